"""EmoBank: English sentences with ratings of valence, arousal and dominance, without emotion names.

Buechel & Hahn 2017, "EmoBank: Studying the Impact of Annotation Perspective and Representation Format on Dimensional
Emotion Analysis". Licence: CC BY-SA 4.0.

Layout: `emobank.csv` with the columns id, split, V, A, D (each from 1 to 5, midpoint 3) and text.
"""

from __future__ import annotations

from pathlib import Path

from emoembed.corpora.corpus import Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, numbers, read_csv

SPLITS = {"train": "train", "dev": "valid", "test": "test"}
RATINGS = {"valence": "V", "arousal": "A", "dominance": "D"}


def read(folder: Path) -> Corpus:
    """Read all sentences; `dev` becomes `valid`. `valence`, `arousal` and `dominance` are rescaled to -1..1."""
    path = existing(folder / "emobank.csv")
    table = read_csv(path, ("id", "split", *RATINGS.values(), "text"))
    samples = make_samples(
        table["id"],
        text=table["text"],
        labels=[()] * len(table),
        split=to_splits(table, "split", SPLITS, path),
    )
    ratings = {name: (numbers(table, column, path) - 3.0) / 2.0 for name, column in RATINGS.items()}
    return Corpus("emobank", samples.assign(**ratings), (), True)
