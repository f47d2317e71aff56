"""Features of a corpus's media: extracted once, read from the cache ever after."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from emoembed.corpora.corpus import Corpus
from emoembed.features import audio
from emoembed.features.feature_set import Features
from emoembed.features.store import FeatureStore, extract

REVISION = 2
"""Raised when a change to the features makes those in the cache stale."""

LOOKED_AT, MOST_FACES = 300.0, 3000
"""What `predict` looks at of an item, and so does training: seconds of sound, and faces."""

Span = tuple[str, float | None, float | None, Literal["left", "right"] | None]
"""A media file, the part that is meant in seconds (None for its beginning or end), and the side of the picture."""


def cache_folder() -> Path:
    """Where features and trained models are kept: `EMOEMBED_CACHE`, or `~/.cache/emoembed`."""
    return Path(os.environ.get("EMOEMBED_CACHE", Path.home() / ".cache" / "emoembed"))


def spans(corpus: Corpus, modality: str) -> Iterator[tuple[str, Span]]:
    """Row ids and their media, of the rows that have this modality.

    A column `side` (left, right) says on which half of the picture a row's speaker is; a true `audio_whole` that its
    sound is a file of its own, to which `start` and `end` do not apply.
    """
    samples = corpus.samples
    blank = [None] * len(samples)
    sides = samples["side"] if "side" in samples and modality == "video" else blank
    whole = samples["audio_whole"] if "audio_whole" in samples and modality == "audio" else blank
    columns = (samples["id"], samples[modality], samples["start"], samples["end"], sides, whole)
    for row, path, start, end, side, own_file in zip(*columns, strict=True):
        if path is not None:
            part = (None, None) if own_file else (_seconds(start), _seconds(end))
            yield row, (path, *part, side)


def read_span(modality: str, span: Span, *, whole: bool = False) -> Features:
    """The features a modality's recipe reads: `speech` of sound, `faces` of video and images.

    Unless the whole of it is asked for, no more than `predict` looks at.
    """
    path, start, end, side = span
    if modality == "audio":
        return audio.speech(path, start=start, end=end, limit=None if whole else LOOKED_AT)
    from emoembed.features import video

    limit = None if whole else MOST_FACES
    return video.read_faces(path, start=start, end=end, side=side, limit=limit).features


def extract_features(
    corpus: Corpus, modality: str, folder: str | Path, *, dtype: str = "float32", progress: bool = False
) -> FeatureStore:
    """A corpus's features into a store of the caller's, by row id; rows that cannot be read are in its failures."""
    return extract(
        spans(corpus, modality),
        lambda span: read_span(modality, span, whole=True),
        folder,
        dtype=dtype,
        progress=progress,
        retry=True,
        state_of=_state,
    )


def cached_features(
    corpus: Corpus, modality: str, cache: Path | None = None, *, progress: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """A corpus's features by row id, and why others are missing.

    The cache is keyed by file, part and time of change, so a file that was mended is read again, and two manifests
    that share a name share nothing else.
    """
    keys = {row: (_key(span), span) for row, span in spans(corpus, modality)}
    folder = (cache or cache_folder()) / "features" / f"{corpus.name}-{modality}"
    wanted = list(dict(keys.values()).items())
    store = extract(
        wanted, lambda span: read_span(modality, span), folder, dtype="float16", progress=progress and len(wanted) > 99
    )
    failures = store.failures
    found = {row: store[key] for row, (key, _) in keys.items() if key in store}
    return found, {row: failures[key] for row, (key, _) in keys.items() if key in failures and key not in store}


def _key(span: Span) -> str:
    place, changed = str(span[0]), 0
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # no file can be called so: reading it will say so
        place, changed = str(Path(place).resolve()), Path(place).stat().st_mtime_ns
    part = span[1:3] if span[3] is None else span[1:]  # as before there were sides, so that what is cached stays
    return hashlib.sha256(repr((REVISION, place, part, changed)).encode("utf-8", "replace")).hexdigest()[:20]


def _state(span: Span) -> str:
    """What a media file and its part are like; empty where the file is not there. A file that was moved is the same."""
    with contextlib.suppress(OSError, ValueError):
        held = Path(span[0]).stat()
        return f"{REVISION} {held.st_size} {held.st_mtime_ns} {span[1:]}"
    return ""


def _seconds(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
