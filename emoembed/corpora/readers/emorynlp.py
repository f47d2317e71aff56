"""EmoryNLP: scenes from the series Friends; each utterance has one of seven emotions.

Zahiri & Choi 2018, "Emotion Detection on TV Show Transcripts with Sequence-based Convolutional Neural Networks".
Licence: Apache-2.0.

Layout: `emorynlp_train_final.csv`, `emorynlp_dev_final.csv`, `emorynlp_test_final.csv`, plain ASCII. Their times
refer to the episodes, which are not part of the release, so the times are not used. MELD uses the same series: never
train on one of the two and test on the other.
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
    """Read the three splits; `dev` becomes `valid`. A dialogue is a scene; a comma separates joint speakers."""
    return gather("emorynlp", folder, FILES, _read_split)


def _read_split(path: Path, split: str) -> pd.DataFrame:
    scene_columns = ("Season", "Episode", "Scene_ID")
    table = read_csv(path, ("Utterance", "Speaker", "Emotion", *scene_columns, "Utterance_ID"))
    scenes = [f"s{s}_e{e}_c{c}" for s, e, c in zip(*(table[column] for column in scene_columns), strict=True)]
    return make_samples(
        [f"{scene}_u{number}" for scene, number in zip(scenes, table["Utterance_ID"], strict=True)],
        text=table["Utterance"],
        labels=to_labels("emorynlp", table, "Emotion", path),
        split=split,
        speaker=[_join_speakers(cell, path) for cell in table["Speaker"]],
        dialogue=scenes,
        turn=numbers(table, "Utterance_ID", path, whole=True),
    )


def _join_speakers(cell: str, path: Path) -> str:
    try:
        return ", ".join(ast.literal_eval(cell))
    except (ValueError, SyntaxError) as error:
        raise CorpusError(f"{path}, column Speaker: expected a list such as ['Ross Geller'], found {cell!r}") from error
