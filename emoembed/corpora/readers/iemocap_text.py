"""IEMOCAP's transcripts: dialogues of two actors, text only; each utterance has one of six emotions.

Busso et al. 2008, "IEMOCAP: Interactive emotional dyadic motion capture database". Licence: USC's IEMOCAP licence.

Layout: `iemocap_text.jsonl`, one JSON object per line with id, dialogue, turn, speaker, split, text and label. The
test split is the fifth session; its two actors are in no other split.
"""

from __future__ import annotations

from pathlib import Path

from emoembed.corpora import names
from emoembed.corpora.corpus import Corpus, make_samples, to_labels, to_splits
from emoembed.corpora.files import existing, numbers, read_jsonl

SPLITS = {"train": "train", "validation": "valid", "test": "test"}


def read(folder: Path) -> Corpus:
    """Read the splits that the file defines; `validation` becomes `valid`."""
    path = existing(folder / "iemocap_text.jsonl")
    table = read_jsonl(path, ("id", "dialogue", "turn", "speaker", "split", "text", "label"))
    samples = make_samples(
        table["id"],
        text=table["text"],
        labels=to_labels("iemocap_text", table, "label", path),
        split=to_splits(table, "split", SPLITS, path),
        speaker=table["speaker"],
        dialogue=table["dialogue"],
        turn=numbers(table, "turn", path, whole=True),
    )
    return Corpus("iemocap_text", samples, names.corpus_labels("iemocap_text"), multi_label=False)
