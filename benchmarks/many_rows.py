"""Measure what rows cost beside the encoder: `python benchmarks/many_rows.py`.

It scores a table of 200,000 texts with a model whose encoder is left out, and prints the rows a second and the growth
of the memory. With several processes or machines, one process does this part of the work: it reads the table, hands out
the rows and writes the scores.
"""

from __future__ import annotations

import argparse
import csv
import resource
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import emoembed
from emoembed import corpora
from emoembed.prediction.manifests.scoring import predict_manifest
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result

SITUATIONS = Path(__file__).parents[1] / "checkpoints" / "build" / "situations"
LABELS = ["joy", "anger", "nostalgia", "awe"]


class Prepared(Recognizer):
    """Gives every text the same answer."""

    answer: Result

    def predict(self, *_: Any, **options: Any) -> Any:
        """The answers of the texts, computed before."""
        return [self.answer] * len(options["text"])


def peak() -> float:
    """The greatest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="number of texts")
    parsed = parser.parse_args()
    base = emoembed.load("base")
    recognizer = Prepared(base.model, base.folder)
    recognizer.answer = base.predict("We won the final!", labels=LABELS)
    texts = corpora.load("situations", SITUATIONS).samples["text"].tolist()
    with tempfile.TemporaryDirectory() as name:
        table, output = Path(name) / "in.csv", Path(name) / "out.csv"
        with table.open("w", newline="") as lines:  # row by row, so that writing it takes no memory
            csv.writer(lines).writerow(["text"])
            csv.writer(lines).writerows([text] for text in islice(cycle(texts), parsed.rows))
        size = table.stat().st_size / 2**20
        before, begin = peak(), time.perf_counter()
        predict_manifest(recognizer, table, LABELS, output)
        seconds = time.perf_counter() - begin
    print(f"{parsed.rows:,} texts ({size:.0f} MiB): {parsed.rows / seconds:,.0f} rows a second beside the encoder")
    print(f"greatest memory: {before:.0f} MiB before, {peak():.0f} MiB after, {peak() - before:.0f} MiB more")


if __name__ == "__main__":
    main()
