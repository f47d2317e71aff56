"""EmoContext: chats of three turns; the label is the emotion of the last turn (happy, sad, angry or others).

Chatterjee et al. 2019, "SemEval-2019 Task 3: EmoContext". Licence: for research.

Layout: `train.txt`, `valid.txt`, `test.txt`, separated by tabs, with a header: id, turn1, turn2, turn3, label.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora.corpus import Corpus, gather, make_samples, to_labels
from emoembed.corpora.files import read_csv

FILES = {"train": "train.txt", "valid": "valid.txt", "test": "test.txt"}
TURNS = ("turn1", "turn2", "turn3")


def read(folder: Path) -> Corpus:
    """Read one row per chat. The text has all three turns, one per line: the last turn alone is often "Why?" or "ok".

    `others` is not a label: such rows have the `labels` (). Chat numbers restart in each file, so an id begins with
    the split.
    """
    return gather("emocontext", folder, FILES, _read_split)


def _read_split(path: Path, split: str) -> pd.DataFrame:
    table = read_csv(path, ("id", *TURNS, "label"), sep="\t", quoted=False)
    return make_samples(
        [f"{split}_{number}" for number in table["id"]],
        text=["\n".join(turns) for turns in zip(*(table[turn] for turn in TURNS), strict=True)],
        labels=to_labels("emocontext", table, "label", path),
        split=split,
    )
