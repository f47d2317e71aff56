"""CMU-MOSEI's labels, folds and words, as the CMU SDK's files hold them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora import names
from emoembed.corpora.corpus import make_samples
from emoembed.corpora.files import read_text
from emoembed.corpora.forms.csd import ComputationalSequence
from emoembed.errors import CorpusError, MissingFileError

ALL_LABELS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
"""Columns of the SDK's `All Labels` (SDK issue 191)."""
FOLDS = {"train": "train", "valid": "valid", "validation": "valid", "test": "test"}
SAME_TIME = 0.5  # seconds by which a transcript's and a label's times of the same segment may differ
SAME_SENTIMENT = 1e-3  # by which two files' roundings of one rating, -3 to 3, may differ


def read_folds(folder: Path) -> dict[str, str]:
    """Video -> split, from `standard_folds.json` or the SDK's `cmu_mosei_std_folds.py` (which is not run)."""
    for path in sorted(folder.rglob("standard_folds.json")):
        try:
            return _by_video(json.loads(read_text(path)), path)
        except ValueError as error:
            raise CorpusError(f"{path}: expected JSON of train, validation and test: {error}") from error
    for path in sorted(folder.rglob("*std_folds.py")):
        named = {
            node.targets[0].id.split("_")[1]: ast.literal_eval(node.value)
            for node in ast.parse(read_text(path)).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        return _by_video(named, path)
    raise MissingFileError(
        f"{folder} has no folds; put the CMU SDK's file cmu_mosei_std_folds.py there (in its folder "
        "mmsdk/mmdatasdk/dataset/standard_datasets/CMU_MOSEI), or a standard_folds.json of train, validation and test"
    )


def _by_video(folds: object, path: Path) -> dict[str, str]:
    if not isinstance(folds, Mapping) or not {"train", "test"} <= set(folds) <= set(FOLDS):
        raise CorpusError(f"{path}: expected lists of videos named train, validation (or valid) and test")
    return {video: FOLDS[name] for name, videos in folds.items() for video in videos}


def label_sequence(sequences: Mapping[str, ComputationalSequence], folder: Path) -> ComputationalSequence:
    """The labels, whose columns are checked against their names where the file has them."""
    found = [one for name, one in sequences.items() if "label" in name.lower()]
    if len(found) != 1:
        raise MissingFileError(
            f"{folder} lacks the labels' sequence (CMU_MOSEI_Labels.csd, named All Labels); it has "
            f"{', '.join(sequences) or 'none'}"
        )
    given = found[0].metadata.get("dimension names")
    if isinstance(given, list) and tuple(map(str.lower, map(str, given))) not in (ALL_LABELS, _long_names()):
        raise CorpusError(
            f"{found[0].path} names its columns {', '.join(map(str, given))}; expected {', '.join(ALL_LABELS)}: "
            "another order would give every row a wrong emotion"
        )
    return found[0]


def _long_names() -> tuple[str, ...]:
    return ("sentiment", "happiness", "sadness", "anger", "surprise", "disgust", "fear")


def segments_of(
    labels: ComputationalSequence, folds: Mapping[str, str]
) -> tuple[pd.DataFrame, list[tuple[str, ...]], list[str]]:
    """All labelled segments of the folds, their emotions, and what was left out."""
    rows: list[tuple[str, str, float, float, str, float, int]] = []
    emotions = []
    outside = 0
    for video in labels:
        timed = labels[video]
        if timed.values.shape[1] != len(ALL_LABELS):
            raise CorpusError(
                f"{labels.path}, {video}: expected {len(ALL_LABELS)} columns ({', '.join(ALL_LABELS)}), found "
                f"{timed.values.shape[1]}"
            )
        if video not in folds:
            outside += len(timed.values)
            continue
        for number, (values, (start, end)) in enumerate(zip(timed.values, timed.intervals, strict=True)):
            rows.append((f"{video}[{number}]", video, start, end, folds[video], float(values[0]), number))
            emotions.append(present_emotions(values, ALL_LABELS))
    if not rows:
        raise CorpusError(f"{labels.path}: none of its {len(labels)} videos is in the folds")
    ids, videos, starts, ends, splits, sentiment, turns = zip(*rows, strict=True)
    samples = make_samples(ids, start=starts, end=ends, split=splits, speaker=videos, dialogue=videos, turn=turns)
    samples["sentiment"] = sentiment
    return samples, emotions, [f"{outside} labelled segments are of videos in no fold and are left out"] * bool(outside)


def present_emotions(values: np.ndarray, columns: Sequence[str]) -> tuple[str, ...]:
    """Canonical names of those above 0."""
    native = [name for name, value in zip(columns, values, strict=True) if name != "sentiment" and value > 0]
    return tuple(label for name in native for label in names.to_labels("mosei", name, "CMU-MOSEI"))


def texts_of(words: ComputationalSequence, samples: pd.DataFrame) -> pd.Series:
    """The words of each segment, without the SDK's mark of a pause."""
    texts: list[str | None] = [None] * len(samples)
    spans = samples[["start", "end"]].to_numpy()
    for video, rows in samples.groupby("dialogue").indices.items():
        if str(video) not in words:
            continue
        spoken, times = words.words(str(video)), words[str(video)].intervals
        for row in rows:
            start, end = spans[row]
            said = [w for w, (a, b) in zip(spoken, times, strict=True) if a < end and b > start and w != "sp"]
            texts[row] = " ".join(said) or None
    return pd.Series(texts, index=samples.index, dtype=object)


def emotions_of(
    ids: Sequence[str], sentiments: Sequence[float], labels: ComputationalSequence
) -> tuple[list[tuple[str, ...] | None], int]:
    """Emotions of `video/start/end` or `video$_$segment` rows; None for a row the labels lack.

    A segment's number is the transcript's, which counts segments without labels too; the labels' file keeps a video's
    rows in the order of those numbers as strings (10 before 2). So rows are paired in that order where a video has as
    many as the file, and only where the sentiment agrees.
    """
    numbered: dict[str, list[str]] = {}
    for one in ids:
        video, mark, number = one.partition("$_$")
        if mark:
            numbered.setdefault(video, []).append(number)
    found: list[tuple[str, ...] | None] = []
    for one, sentiment in zip(ids, sentiments, strict=True):
        values = None
        if "$_$" in one:
            video, _, number = one.partition("$_$")
            stored = labels.stored(video).values if video in labels else np.zeros((0, len(ALL_LABELS)))
            if len(stored) == len(numbered[video]):
                row = stored[sorted(numbered[video]).index(number)]
                values = row if abs(row[0] - sentiment) < SAME_SENTIMENT else None
        else:
            values = _at(labels, *one.split("/")[:2])
        found.append(None if values is None else present_emotions(values, ALL_LABELS))
    return found, sum(one is None for one in found)


def _at(labels: ComputationalSequence, video: str, start: str = "") -> np.ndarray | None:
    """The labels of a video's segment that starts then; None where there is none."""
    if video not in labels or not start:
        return None
    timed = labels[video]
    gaps = np.abs(timed.intervals[:, 0] - float(start))
    return timed.values[int(gaps.argmin())] if gaps.min() < SAME_TIME else None
