"""RAVDESS's speech with OpenFace action units of the same clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from emoembed import corpora
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.readers import ravdess
from emoembed.features.feature_set import Features
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join

ACTION_UNITS = "ravdess_openface/ravdess_openface_au.csv.gz"
OTHER_SPEECH = ("tess", "emodb")


def read_both(data: Path, cache: Path | None = None) -> tuple[EmotionData, tuple[str, ...]]:
    """RAVDESS's rows with speech features and action units, and the names of the action units."""
    corpus = corpora.load("ravdess", data)
    speech = corpus_rows.audio_data(corpus, cache)
    units: Mapping[str, Features] = ravdess.read_action_units(data / ACTION_UNITS)
    faces = {f"{corpus.name}/{i}": features.values for i, features in units.items()}
    columns = next(iter(units.values())).feature_set.columns
    return replace(speech, inputs={"audio": speech.inputs["audio"], "video": faces}), columns


def other_speech(data: Path, cache: Path | None = None) -> EmotionData:
    """The recordings of TESS and EMO-DB, which are added to RAVDESS's to fit the ridge map of speech."""
    others = [corpora.load(name, data).canonical() for name in OTHER_SPEECH]
    return join([corpus_rows.audio_data(corpus, cache) for corpus in others])


def part_of(data: EmotionData, corpus: Corpus, split: str) -> EmotionData:
    """The rows that the corpus assigns to this split."""
    splits = dict(zip(corpus.samples["id"], corpus.samples["split"], strict=True))
    return data.rows(np.array([splits[i.partition("/")[2]] == split for i in data.ids]))


def only(data: EmotionData, modality: str) -> EmotionData:
    """The same rows with only this modality."""
    return replace(data, inputs={modality: data.inputs[modality]})
