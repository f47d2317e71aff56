"""DAIR emotion: English tweets; each has one of six emotions.

Saravia et al. 2018, "CARER: Contextualized Affect Representations for Emotion Recognition". Licence: for research
and education.

Layout: `train.txt`, `val.txt`, `test.txt`. Each line is `text;emotion`; the header `text;label_name` is optional.
The rows have no ids, so an id is made of the split and the row's position in its file, counted from 0.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora.corpus import Corpus, gather, make_samples, to_labels
from emoembed.corpora.files import read_csv

FILES = {"train": "train.txt", "valid": "val.txt", "test": "test.txt"}
HEADER = ("text", "label_name")


def read(folder: Path) -> Corpus:
    """Read the three splits; `val` becomes `valid`."""
    return gather("dair_emotion", folder, FILES, _read_split)


def _read_split(path: Path, split: str) -> pd.DataFrame:
    table = read_csv(path, HEADER, sep=";", header=False, quoted=False)
    if len(table) and tuple(table.iloc[0]) == HEADER:
        table = table.iloc[1:].reset_index(drop=True)
    return make_samples(
        [f"{split}_{number}" for number in range(len(table))],
        text=table["text"],
        labels=to_labels("dair_emotion", table, "label_name", path),
        split=split,
    )
