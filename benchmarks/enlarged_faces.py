"""Measure accuracy on faces of other sizes than the 48 pixels of FER2013. The pictures of FER2013 are enlarged.

    python benchmarks/enlarged_faces.py --data DIR [--split valid] [--output docs/enlarged-faces]

For each size the table has the accuracy over the seven emotions of FER2013, the share of pictures without an answer,
and the share of pictures that were used whole because no face was found.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pandas as pd

import emoembed
from emoembed import corpora
from emoembed.evaluation.report import Report, write

SIZES = (48, 65, 100, 112, 224)


def measure(data: Path, split: str, every: int) -> pd.DataFrame:
    """One row a size."""
    model, corpus = emoembed.load("base"), corpora.load("fer2013", data)
    samples = corpus.split(split).samples.iloc[::every]
    pictures = [cast(np.ndarray, cv2.imread(path, cv2.IMREAD_GRAYSCALE)) for path in samples["video"]]
    rows = []
    for size in SIZES:
        shown = [cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC) for picture in pictures]
        results = model.predict(video=shown, labels=list(corpus.labels), errors="skip")
        right = [result.label in row for result, row in zip(results, samples["labels"], strict=True)]
        whole = [any(note.code == "face-whole" for note in result.notes) for result in results]
        rows.append([size, np.mean(right), np.mean([not result.scores for result in results]), np.mean(whole)])
        print(*rows[-1], flush=True)
    return pd.DataFrame(rows, columns=["pixels", "accuracy", "no answer", "taken whole"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--split", default="valid", choices=("valid", "test"), help="rows to score")
    parser.add_argument("--every", type=int, default=1, help="score every N-th picture")
    parser.add_argument("--output", type=Path, help="folder for report.md")
    parsed = parser.parse_args()
    table = measure(parsed.data, parsed.split, parsed.every)
    if parsed.output:
        command = f"`python benchmarks/enlarged_faces.py --data DIR --split {parsed.split} --every {parsed.every}`"
        tables = {"FER2013": table.set_index("pixels")}
        write(Report("Enlarged faces", {"printed by": command}, tables), parsed.output)


if __name__ == "__main__":
    main()
