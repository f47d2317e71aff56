"""EmoryNLP: scenes from the series Friends, one of seven emotions an utterance.

Zahiri & Choi 2018, "Emotion Detection on TV Show Transcripts with Sequence-based Convolutional Neural Networks".
Licence: Apache-2.0.

Layout: `emorynlp_train_final.csv`, `emorynlp_dev_final.csv`, `emorynlp_test_final.csv`, plain ASCII. The times in
them are those of the episode, which the release does not hold, and are not used. The shows are MELD's too: train on
one, never test on the other.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd

from emoembed.corpora.corpus import Corpus, gather, make_samples, to_labels
from emoembed.corpora.files import numbers, read_csv
from emoembed.errors import CorpusError

FILES = {
    "train": "emorynlp_train_final.csv",
    "valid": "emorynlp_dev_final.csv",
    "test": "emorynlp_test_final.csv",
}


def read(folder: Path) -> Corpus:
    """The three splits; `dev` is `valid`. A dialogue is a scene; speakers in chorus are joined with a comma."""
    return gather("emorynlp", folder, FILES, _read_split)


def _read_split(path: Path, split: str) -> pd.DataFrame:
    place = ("Season", "Episode", "Scene_ID")
    table = read_csv(path, ("Utterance", "Speaker", "Emotion", *place, "Utterance_ID"))
    scenes = [f"s{s}_e{e}_c{c}" for s, e, c in zip(*(table[column] for column in place), strict=True)]
    return make_samples(
        [f"{scene}_u{number}" for scene, number in zip(scenes, table["Utterance_ID"], strict=True)],
        text=table["Utterance"],
        labels=to_labels("emorynlp", table, "Emotion", path),
        split=split,
        speaker=[_speakers(cell, path) for cell in table["Speaker"]],
        dialogue=scenes,
        turn=numbers(table, "Utterance_ID", path, whole=True),
    )


def _speakers(cell: str, path: Path) -> str:
    try:
        return ", ".join(ast.literal_eval(cell))
    except (ValueError, SyntaxError) as error:
        raise CorpusError(f"{path}, column Speaker: expected a list such as ['Ross Geller'], found {cell!r}") from error
