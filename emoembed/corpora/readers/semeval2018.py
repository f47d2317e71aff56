"""SemEval-2018 task 1 E-c: English tweets; each has any number of eleven emotions.

Mohammad et al. 2018, "SemEval-2018 Task 1: Affect in Tweets". Licence: for research.

Layout: `semeval18_ec.csv.gz` (or `.csv`) with the columns split (train, dev, test), ID, Tweet and labels.
Labels are joined by `|`; `none` means no label.
"""

from __future__ import annotations

from pathlib import Path

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, read_csv

SPLITS = {"train": "train", "dev": "valid", "test": "test"}
WITHHELD = "?"


def read(folder: Path) -> Corpus:
    """Read train and dev (as `valid`). The labels of test tweets are withheld (`?`), so these rows are left out."""
    path = folder / "semeval18_ec.csv"
    if not path.is_file():
        path = existing(folder / "semeval18_ec.csv.gz")
    table = read_csv(path, ("split", "ID", "Tweet", "labels"))
    table = table[table["labels"] != WITHHELD]
    samples = make_samples(
        table["ID"],
        text=table["Tweet"],
        labels=[
            _labels(cell, f"{path}, row {row + 1}, column labels")
            for row, cell in zip(table.index.tolist(), table["labels"], strict=True)
        ],
        split=to_splits(table, "split", SPLITS, path),
    )
    return Corpus("semeval2018", samples, names.corpus_labels("semeval2018"), multi_label=True)


def _labels(cell: str, where: str) -> tuple[str, ...]:
    return tuple(name for native in cell.split("|") for name in names.to_labels("semeval2018", native, where))
