"""How time grows with the number of texts and labels, with the length of a recording, and with the number of processes.

    python benchmarks/growth.py --output docs/growth

It prints medians of repeated calls of a warm model, and draws them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from speed import LABELS, SAMPLING_RATE, SITUATIONS, median, voice

import emoembed
from emoembed import corpora, plots
from emoembed.evaluation.report import Report, write
from emoembed.prediction.manifests.scoring import predict_manifest
from emoembed.prediction.recognizer import Recognizer

TEXTS, NAMES, SECONDS, WORKERS, ROWS = (1, 10, 100, 1000), (1, 10, 100, 1000, 10_000), (4, 30, 100, 300), (1, 2), 4000


def of_texts(model: Recognizer, texts: list[str]) -> dict[int, float]:
    """Seconds of one call by its number of texts."""
    return {count: median(partial(model.predict, texts[:count], labels=LABELS), 5, 1) for count in TEXTS}


def of_labels(model: Recognizer, text: str) -> dict[int, float]:
    """Seconds of one call by its number of labels, which were all embedded before."""
    names = [f"feeling number {i}" for i in range(max(NAMES))]
    return {count: median(partial(model.predict, text, labels=names[:count]), 9, 2) for count in NAMES}


def of_seconds(model: Recognizer) -> dict[int, float]:
    """Seconds of one call by the length of a recording in seconds."""
    taken = {}
    for seconds in SECONDS:
        samples = np.tile(voice(), 1 + seconds * SAMPLING_RATE // len(voice()))[: seconds * SAMPLING_RATE]
        taken[seconds] = median(partial(model.predict, audio=(samples, SAMPLING_RATE), labels=LABELS), 5, 1)
    return taken


def of_workers(model: Recognizer, texts: list[str]) -> dict[int, float]:
    """Seconds of scoring a manifest of texts by the number of processes, with their start."""
    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "texts.csv"
        pd.DataFrame({"text": (texts * (1 + ROWS // len(texts)))[:ROWS]}).to_csv(manifest, index=False)
        for count in WORKERS:
            files = iter(Path(folder) / f"{count}-{run}.csv" for run in range(9))

            def score(count: int = count, files: Iterator[Path] = files) -> None:
                predict_manifest(model, manifest, LABELS, next(files), workers=count)

            taken[count] = median(score, 3, 1)
    return taken


def main() -> None:
    """Measure, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--output", type=Path, default=Path("build/growth"), help="folder for the table and the plots")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    model = emoembed.load("base")
    texts = corpora.load("situations", SITUATIONS).samples["text"].tolist()[:1000]
    curves = {
        "texts in one call": of_texts(model, texts),
        "labels, one text": of_labels(model, texts[0]),
        "seconds of sound": of_seconds(model),
        f"processes, {ROWS:,} texts": of_workers(model, texts),
    }
    report = Report("How time grows", {"threads": parsed.threads}, figures=["growth"])
    for name, taken in curves.items():
        table = pd.Series(taken, name="seconds").rename_axis(name).to_frame()
        report.tables[name] = table.assign(each=table["seconds"] / table.index)
    parsed.output.mkdir(parents=True, exist_ok=True)
    plots.save(plots.growth(curves), parsed.output / "growth.png")
    write(report, parsed.output)
    print(report.markdown())


if __name__ == "__main__":
    main()
