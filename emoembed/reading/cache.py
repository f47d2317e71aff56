"""Features of a corpus's media: extracted once, then read from the cache."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from emoembed.features import addresses, audio, channels
from emoembed.features.feature_set import Features
from emoembed.features.store import FeatureStore, extract
from emoembed.features.workers import Workers

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus

REVISION = 3
"""Increase it when a change to the features makes the cached features stale."""

LOOKED_AT, MOST_FACES = 300.0, 3000
"""Limits per item in `predict` and in training: seconds of sound, and number of faces."""

BEGINNING = 65_536
"""Number of bytes of a file that are compared, to distinguish it from files of the same size and time."""

Span = tuple[str, float | None, float | None, Literal["left", "right"] | None]
"""The path or address of a media file, start and end in seconds (None for the start or end of the file), and the side
of the picture."""


def cache_folder() -> Path:
    """The folder of cached features and trained models: `EMOEMBED_CACHE`, or `~/.cache/emoembed`."""
    return Path(os.environ.get("EMOEMBED_CACHE", Path.home() / ".cache" / "emoembed"))


def spans(corpus: Corpus, modality: str) -> Iterator[tuple[str, Span]]:
    """Yield the id and the media of each row that has this modality.

    The optional column `side` (left, right) is the half of the picture that shows the row's speaker. The optional
    column `audio_whole` is True if the row has its own sound file, to which `start` and `end` do not apply.
    """
    samples = corpus.samples
    blank_column = [None] * len(samples)
    sides = samples["side"] if "side" in samples and modality == "video" else blank_column
    own_files = samples["audio_whole"] if "audio_whole" in samples and modality == "audio" else blank_column
    columns = (samples["id"], samples[modality], samples["start"], samples["end"], sides, own_files)
    for row, path, start, end, side, own_file in zip(*columns, strict=True):
        if path is not None:
            part = (None, None) if str(own_file).lower() == "true" else (_seconds(start), _seconds(end))
            yield row, (path, *part, side if side in ("left", "right") else None)  # else a user's own column


def read_copy(copy: int, span: Span) -> Features:
    """Speech features of a copy of a recording through another channel. The number of the copy decides the channel."""
    path, start, end, _ = span
    samples = audio.read_audio(path, start=start, end=end, limit=LOOKED_AT)
    seed = int.from_bytes(hashlib.sha256(f"{copy} {len(samples)} {samples.sum():.6f}".encode()).digest()[:8])
    return audio.speech_of(channels.other_channel(samples, np.random.default_rng(seed)))


def read_span(modality: str, span: Span, *, whole: bool = False) -> Features:
    """Extract the features that a modality's recipe reads: `speech` from sound, `faces` from video and images.

    Without `whole`, the limits of `predict` apply: `LOOKED_AT` seconds of sound, `MOST_FACES` faces.
    """
    path, start, end, side = span
    file = addresses.fetched(path, modality)
    if modality == "audio":
        return audio.speech(file, start=start, end=end, limit=None if whole else LOOKED_AT)
    from emoembed.features import video

    limit = None if whole else MOST_FACES
    return video.read_faces(file, start=start, end=end, side=side, limit=limit).features


def extract_features(
    corpus: Corpus,
    modality: str,
    folder: str | Path,
    *,
    dtype: str = "float32",
    progress: bool = False,
    workers: Workers = 1,
) -> FeatureStore:
    """Extract a corpus's features into a store in `folder`, by row id; the store's failures list unreadable rows."""
    return extract(
        spans(corpus, modality),
        partial(read_span, modality, whole=True),
        folder,
        dtype=dtype,
        progress=progress,
        state_of=_state,
        workers=workers,
    )


def cached_features(
    corpus: Corpus, modality: str, cache: Path | None = None, *, progress: bool = False, copy: int = 0
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """A corpus's features by row id, and the errors of the other rows by row id.

    The cache key consists of the file, the part and the modification time. So a changed file is read again, and two
    manifests with the same name do not share features by mistake. `copy` is the number of a copy of the recordings
    through other channels (`channels.other_channel`); 0 for the recordings themselves.
    """
    keys = {row: (_key(span), span) for row, span in spans(corpus, modality)}
    name = f"{corpus.name}-{modality}-{REVISION}" + (f"-copy-{copy}" if copy else "")
    folder = (cache or cache_folder()) / "features" / name
    items = list(dict(keys.values()).items())
    store = extract(
        items,
        partial(read_copy, copy) if copy else partial(read_span, modality),
        folder,
        dtype="float16",
        progress=progress and len(items) > 99,
    )
    failures = store.failures
    features = {row: store[key] for row, (key, _) in keys.items() if key in store}
    return features, {row: failures[key] for row, (key, _) in keys.items() if key in failures and key not in store}


def _key(span: Span) -> str:
    path, time_ns = str(span[0]), 0
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # an invalid path: reading it raises the error
        if addresses.is_address(path):
            path = f"{path} {addresses.state_of(path)}"
        else:
            path, time_ns = str(Path(path).resolve()), Path(path).stat().st_mtime_ns
    part = span[1:3] if span[3] is None else span[1:]  # rows without a side keep the keys of earlier releases
    return hashlib.sha256(repr((REVISION, path, part, time_ns)).encode("utf-8", "replace")).hexdigest()[:20]


def _state(span: Span) -> str:
    """A media file's size, modification time, beginning and part. A moved file has the same state.

    Recordings of one length, unpacked from one archive, often have the same size and time. "" if the file is missing.
    """
    with contextlib.suppress(OSError, ValueError):
        if addresses.is_address(span[0]):
            known = addresses.state_of(span[0])
            return f"{REVISION} {known} {span[1:]}" if known else ""
        status = Path(span[0]).stat()
        with open(span[0], "rb") as file:
            beginning = hashlib.sha256(file.read(BEGINNING)).hexdigest()[:16]
        return f"{REVISION} {status.st_size} {status.st_mtime_ns} {beginning} {span[1:]}"
    return ""


def _seconds(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
