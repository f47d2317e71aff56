"""CMU-MOSEI's labels, folds and words, read from the files of the CMU SDK."""

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
"""Columns of the SDK's `All Labels` (issue 191 of the CMU SDK)."""
FOLDS = {"train": "train", "valid": "valid", "validation": "valid", "test": "test"}
SAME_TIME = 0.5  # seconds; the largest difference between a segment's times in transcript and labels
SAME_SENTIMENT = 1e-3  # the largest difference between two files' roundings of one rating (-3 to 3)


def read_folds(folder: Path) -> dict[str, str]:
    """Video -> split, from `standard_folds.json` or the SDK's `cmu_mosei_std_folds.py` (parsed, not executed)."""
    for path in sorted(folder.rglob("standard_folds.json")):
        try:
            return _split_by_video(json.loads(read_text(path)), path)
        except ValueError as error:
            raise CorpusError(f"{path}: expected a JSON object with train, validation and test: {error}") from error
    for path in sorted(folder.rglob("*std_folds.py")):
        folds = {
            node.targets[0].id.split("_")[1]: ast.literal_eval(node.value)
            for node in ast.parse(read_text(path)).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        return _split_by_video(folds, path)
    raise MissingFileError(
        f"{folder} has no folds; put there the CMU SDK's file cmu_mosei_std_folds.py (from its folder "
        "mmsdk/mmdatasdk/dataset/standard_datasets/CMU_MOSEI), or a standard_folds.json with train, validation and test"
    )


def _split_by_video(folds: object, path: Path) -> dict[str, str]:
    if not isinstance(folds, Mapping) or not {"train", "test"} <= set(folds) <= set(FOLDS):
        raise CorpusError(f"{path}: expected lists of videos with the names train, validation (or valid) and test")
    return {video: FOLDS[name] for name, videos in folds.items() for video in videos}


def label_sequence(sequences: Mapping[str, ComputationalSequence], folder: Path) -> ComputationalSequence:
    """The label sequence. The order of its columns is checked if the file names them."""
    label_sequences = [sequence for name, sequence in sequences.items() if "label" in name.lower()]
    if len(label_sequences) != 1:
        error = CorpusError if label_sequences else MissingFileError
        raise error(
            f"{folder} needs exactly one label sequence (All Labels, in CMU_MOSEI_Labels.csd); its sequences are "
            f"{', '.join(sequences) or 'none'}"
        )
    columns = label_sequences[0].metadata.get("dimension names")
    if isinstance(columns, list) and tuple(map(str.lower, map(str, columns))) not in (ALL_LABELS, _long_names()):
        raise CorpusError(
            f"{label_sequences[0].path} names its columns {', '.join(map(str, columns))}; expected "
            f"{', '.join(ALL_LABELS)}, in this order: another order would give every row a wrong emotion"
        )
    return label_sequences[0]


def _long_names() -> tuple[str, ...]:
    return ("sentiment", "happiness", "sadness", "anger", "surprise", "disgust", "fear")


def segments_of(
    labels: ComputationalSequence, folds: Mapping[str, str]
) -> tuple[pd.DataFrame, list[tuple[str, ...]], list[str]]:
    """All labelled segments of the videos in the folds, their emotions, and a note on the segments left out."""
    rows: list[tuple[str, str, float, float, str, float, int]] = []
    emotions = []
    outside_count = 0
    for video in labels:
        segments = labels[video]
        if segments.values.shape[1] != len(ALL_LABELS):
            raise CorpusError(
                f"{labels.path}, {video}: expected {len(ALL_LABELS)} columns ({', '.join(ALL_LABELS)}), found "
                f"{segments.values.shape[1]}"
            )
        if video not in folds:
            outside_count += len(segments.values)
            continue
        for number, (values, (start, end)) in enumerate(zip(segments.values, segments.intervals, strict=True)):
            rows.append((f"{video}[{number}]", video, start, end, folds[video], float(values[0]), number))
            emotions.append(present_emotions(values, ALL_LABELS))
    if not rows:
        raise CorpusError(
            f"{labels.path}: none of its {len(labels)} videos is in the folds; check that both are of the same corpus"
        )
    ids, videos, starts, ends, splits, sentiment, turns = zip(*rows, strict=True)
    samples = make_samples(ids, start=starts, end=ends, split=splits, speaker=videos, dialogue=videos, turn=turns)
    samples["sentiment"] = sentiment
    notes = [f"{outside_count} labelled segments belong to videos in no fold and are left out"] * bool(outside_count)
    return samples, emotions, notes


def present_emotions(values: np.ndarray, columns: Sequence[str]) -> tuple[str, ...]:
    """Canonical names of the emotions with a value above 0."""
    native = [name for name, value in zip(columns, values, strict=True) if name != "sentiment" and value > 0]
    return tuple(label for name in native for label in names.to_labels("mosei", name, "CMU-MOSEI"))


def texts_of(words: ComputationalSequence, samples: pd.DataFrame) -> pd.Series:
    """The words of each segment, without the SDK's pause marker; None for a segment without words."""
    texts: list[str | None] = [None] * len(samples)
    spans = samples[["start", "end"]].to_numpy()
    for video, rows in samples.groupby("dialogue").indices.items():
        if str(video) not in words:
            continue
        video_words, times = words.words(str(video)), words[str(video)].intervals
        for row in rows:
            start, end = spans[row]
            segment_words = [
                w for w, (a, b) in zip(video_words, times, strict=True) if a < end and b > start and w != "sp"
            ]
            texts[row] = " ".join(segment_words) or None
    return pd.Series(texts, index=samples.index, dtype=object)


def emotions_of(
    ids: Sequence[str], sentiments: Sequence[float], labels: ComputationalSequence
) -> tuple[list[tuple[str, ...] | None], int]:
    """Emotions of rows named `video/start/end` or `video$_$segment` (None without a match), and the number of None.

    Segment numbers come from the transcript, which also counts segments without labels. The label file stores the rows
    of a video in the order of these numbers as strings (10 before 2). Rows are therefore paired in this order, but only
    if the video has as many rows as in the label file, and only if the sentiments agree.
    """
    numbered: dict[str, list[str]] = {}
    for row_id in ids:
        video, separator, number = row_id.partition("$_$")
        if separator:
            numbered.setdefault(video, []).append(number)
    emotions: list[tuple[str, ...] | None] = []
    for row_id, sentiment in zip(ids, sentiments, strict=True):
        values = None
        if "$_$" in row_id:
            video, _, number = row_id.partition("$_$")
            stored_rows = labels.stored(video).values if video in labels else np.zeros((0, len(ALL_LABELS)))
            if len(stored_rows) == len(numbered[video]):
                row = stored_rows[sorted(numbered[video]).index(number)]
                values = row if abs(row[0] - sentiment) < SAME_SENTIMENT else None
        else:
            values = _labels_at(labels, *row_id.split("/")[:2])
        emotions.append(None if values is None else present_emotions(values, ALL_LABELS))
    return emotions, sum(row_emotions is None for row_emotions in emotions)


def _labels_at(labels: ComputationalSequence, video: str, start: str = "") -> np.ndarray | None:
    """The labels of the video's segment that starts at `start` (within `SAME_TIME`); None without such a segment."""
    if video not in labels or not start:
        return None
    segments = labels[video]
    gaps = np.abs(segments.intervals[:, 0] - float(start))
    return segments.values[int(gaps.argmin())] if gaps.min() < SAME_TIME else None
