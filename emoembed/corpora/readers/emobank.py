"""EmoBank: English sentences rated for valence, arousal and dominance; no emotion names.

Buechel & Hahn 2017, "EmoBank: Studying the Impact of Annotation Perspective and Representation Format on Dimensional
Emotion Analysis". Licence: CC BY-SA 4.0.

Layout: `emobank.csv` with the columns id, split, V, A, D (1 to 5, 3 is the middle) and text.
"""

from __future__ import annotations

from pathlib import Path

from emoembed.corpora.corpus import Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, numbers, read_csv

SPLITS = {"train": "train", "dev": "valid", "test": "test"}
RATINGS = {"valence": "V", "arousal": "A", "dominance": "D"}


def read(folder: Path) -> Corpus:
    """All sentences; the columns `valence`, `arousal` and `dominance` lie in -1..1. `dev` is `valid`."""
    path = existing(folder / "emobank.csv")
    table = read_csv(path, ("id", "split", *RATINGS.values(), "text"))
    samples = make_samples(
        table["id"],
        text=table["text"],
        labels=[()] * len(table),
        split=to_splits(table, "split", SPLITS, path),
    )
    rated = {name: (numbers(table, column, path) - 3.0) / 2.0 for name, column in RATINGS.items()}
    return Corpus("emobank", samples.assign(**rated), (), True)
