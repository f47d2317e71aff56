"""MELD: dialogues from the series Friends; each utterance has one of seven emotions.

Poria et al. 2019, "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations".
Licence: GPL-3.0.

Layout: `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv`. The raw release adds one clip per
utterance, `dia<dialogue>_utt<utterance>.mp4`, in `train_splits/`, `dev_splits_complete/` and
`output_repeated_splits_test/`. If a clip exists, it is both the audio and the video of its row. The times in the CSV
files refer to the episodes and are not used.

The text contains typographic characters. In the first release it also contains Windows-1252 bytes that were decoded
as Latin-1 (U+0092 for an apostrophe). Both become the plain ASCII character. EmoryNLP uses the same series: never
train on one of the two and test on the other.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora.corpus import Corpus, gather, make_samples, to_labels
from emoembed.corpora.files import numbers, read_csv

FILES = {"train": "train_sent_emo.csv", "valid": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}
CLIPS = {"train": "train_splits", "valid": "dev_splits_complete", "test": "output_repeated_splits_test"}

_PLAIN = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\xa0": " "}
# each character, and the control character that its Windows-1252 byte becomes when decoded as Latin-1
PLAIN = {
    ord(char): ascii_ for sign, ascii_ in _PLAIN.items() for char in (sign, sign.encode("cp1252").decode("latin-1"))
}


def read(folder: Path) -> Corpus:
    """Read the three splits; `dev` becomes `valid`.

    Dialogue numbers restart in each file, so ids begin with the split.
    """
    return gather("meld", folder, FILES, _read_split)


def _read_split(path: Path, split: str) -> pd.DataFrame:
    table = read_csv(path, ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID"))
    ids = [f"dia{d}_utt{u}" for d, u in zip(table["Dialogue_ID"], table["Utterance_ID"], strict=True)]
    clips = [path.parent / CLIPS[split] / f"{name}.mp4" for name in ids]
    media = [str(clip) if clip.is_file() else None for clip in clips]
    return make_samples(
        [f"{split}_{name}" for name in ids],
        text=table["Utterance"].map(lambda text: text.translate(PLAIN)),
        audio=media,
        video=media,
        labels=to_labels("meld", table, "Emotion", path),
        split=split,
        speaker=table["Speaker"].map(lambda text: text.translate(PLAIN)),
        dialogue=[f"{split}_dia{number}" for number in table["Dialogue_ID"]],
        turn=numbers(table, "Utterance_ID", path, whole=True),
    )
