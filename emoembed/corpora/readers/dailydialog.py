"""DailyDialog: everyday conversations between two people; each utterance has one of seven emotions.

Li et al. 2017, "DailyDialog: A Manually Labelled Multi-turn Dialogue Dataset". Licence: CC BY-NC-SA 4.0.

Layout: `dailydialog_dev.txt`, `dailydialog_test.txt` and, optionally, `dailydialog_train.txt`. Each line is
`speaker<TAB>text<TAB>emotion`. Blank lines separate the dialogues.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, gather, make_samples
from emoembed.corpora.files import read_text
from emoembed.errors import CorpusError

FILES = {"train": "dailydialog_train.txt", "valid": "dailydialog_dev.txt", "test": "dailydialog_test.txt"}


def read(folder: Path) -> Corpus:
    """Read the splits; `dev` becomes `valid`.

    The files do not name the dialogues, so dialogues are numbered from 0 in each split. The speaker numbers 0 and 1
    are valid only within a dialogue, so a speaker's name begins with the dialogue's name.
    """
    required = {split: file for split, file in FILES.items() if split != "train" or (folder / file).is_file()}
    return gather("dailydialog", folder, required, _read_split)


def _read_split(path: Path, split: str) -> pd.DataFrame:
    rows: list[tuple[str, int, str, str, tuple[str, ...]]] = []
    dialogue, turn = 0, 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            dialogue, turn = dialogue + (turn > 0), 0
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) != 3:
            raise CorpusError(
                f"{path}, line {number}: {len(cells)} cells; expected speaker, text, emotion, separated by tabs"
            )
        speaker, text, emotion = cells
        labels = names.to_labels("dailydialog", emotion, f"{path}, line {number}")
        rows.append((f"{split}_{dialogue}", turn, speaker, text, labels))
        turn += 1
    return make_samples(
        [f"{dialogue}_{turn}" for dialogue, turn, *_ in rows],
        text=[row[3] for row in rows],
        labels=[row[4] for row in rows],
        split=split,
        speaker=[f"{dialogue}_speaker{speaker}" for dialogue, _, speaker, *_ in rows],
        dialogue=[row[0] for row in rows],
        turn=[row[1] for row in rows],
    )
