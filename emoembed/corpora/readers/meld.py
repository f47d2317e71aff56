"""MELD: dialogues from the series Friends, one of seven emotions an utterance.

Poria et al. 2019, "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations".
Licence: GPL-3.0.

Layout: `train_sent_emo.csv`, `dev_sent_emo.csv`, `test_sent_emo.csv`; and, from the raw release, one clip an
utterance `dia<dialogue>_utt<utterance>.mp4` in `train_splits/`, `dev_splits_complete/` and
`output_repeated_splits_test/`. Where a clip is there, it is the row's audio and video; the times in the CSVs are
those of the episode and are not used.

The text carries typographic signs and, in the first release, bytes of Windows-1252 read as Latin-1 (U+0092 for an
apostrophe); both become the plain ASCII sign. The shows are EmoryNLP's too: train on one, never test on the other.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emoembed.corpora.corpus import Corpus, gather, make_samples, to_labels
from emoembed.corpora.files import numbers, read_csv

FILES = {"train": "train_sent_emo.csv", "valid": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}
CLIPS = {"train": "train_splits", "valid": "dev_splits_complete", "test": "output_repeated_splits_test"}

_PLAIN = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\xa0": " "}
# each sign, and the control character that its Windows-1252 byte reads as in Latin-1
PLAIN = {ord(read): plain for sign, plain in _PLAIN.items() for read in (sign, sign.encode("cp1252").decode("latin-1"))}


def read(folder: Path) -> Corpus:
    """The three splits; `dev` is `valid`. Dialogues are numbered anew in every file, so ids begin with the split."""
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
