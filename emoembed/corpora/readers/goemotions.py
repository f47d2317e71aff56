"""GoEmotions: Reddit comments; each has one or more of 27 emotions and neutral.

Demszky et al. 2020, "GoEmotions: A Dataset of Fine-Grained Emotions". Licence: CC BY 4.0.

Layout: `train.tsv`, `dev.tsv`, `test.tsv`, without header: text, label numbers separated by commas, comment id.
`labels.txt` (`emotions.txt` in the authors' repository) lists the label names in the order of their numbers, one per
line.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, gather, make_samples
from emoembed.corpora.files import existing, read_csv, read_text
from emoembed.errors import CorpusError

FILES = {"train": "train.tsv", "valid": "dev.tsv", "test": "test.tsv"}


def read(folder: Path) -> Corpus:
    """Read the three splits; `dev` becomes `valid`."""
    names_file = folder / "emotions.txt"
    if not names_file.is_file():
        names_file = existing(folder / "labels.txt")
    label_names = [names.to_labels("goemotions", name, names_file) for name in read_text(names_file).split()]

    def labels(cell: str, path: Path, row: int) -> tuple[str, ...]:
        numbers = cell.split(",")
        if not all(number.isdecimal() and int(number) < len(label_names) for number in numbers):
            expected = f"label numbers below {len(label_names)} separated by commas"
            raise CorpusError(f"{path}, row {row}, column 2: expected {expected}, found {cell!r}")
        return tuple(name for number in numbers for name in label_names[int(number)])

    def read_split(path: Path, split: str) -> pd.DataFrame:
        table = read_csv(path, ("text", "labels", "id"), sep="\t", header=False, quoted=False)
        rows = [labels(cell, path, row) for row, cell in enumerate(table["labels"], start=1)]
        return make_samples(table["id"], text=table["text"], labels=rows, split=split)

    return gather("goemotions", folder, FILES, read_split, multi_label=True)
