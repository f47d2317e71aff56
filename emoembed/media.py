"""From what a caller hands in - a sentence, a path, an array - to the float32 array a modality's encoder reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import CheckpointError, InputError
from emoembed.extraction import LOOKED_AT
from emoembed.features import audio as sound
from emoembed.features.feature_set import Features
from emoembed.model import EmotionModel
from emoembed.model_config import ModalityConfig
from emoembed.transformer import SentenceEncoder
from emoembed.words import WordTable

FACES_SHOWN = 16
"""Faces of a clip that an image transformer reads, evenly spaced: each takes 0.6 MB of pixels, and long to read."""


def read(model: EmotionModel, modality: str, source: Any) -> np.ndarray:
    """One item's features `(time, feature_dim)` for one modality of a model.

    Args:
        model: whose configuration says which features to extract.
        modality: `text`, `audio` or `video`.
        source: a sentence; a path; `(samples, sampling_rate)`; an image or video array; or ready `Features`.

    Raises:
        InputError: of the wrong type or shape, NaN, empty text.
        MissingFileError, MediaError: from reading media.
    """
    config = model.config.modalities[modality]
    if isinstance(source, Features):
        return _ready(source, config, modality)
    if modality == "text":
        return _text(model, config, source)
    if isinstance(source, str) and not source.strip():
        raise InputError(f"{modality}='' is not a path")
    if modality == "audio":
        return _audio(config, source)
    return _video(config, source)


def _text(model: EmotionModel, config: ModalityConfig, source: Any) -> np.ndarray:
    if not isinstance(source, str):
        raise InputError(f"text is a string; given {type(source).__name__}")
    if not source.strip():
        raise InputError("text is empty; leave it out (None) where there is none")
    if config.features == "wordpieces" and isinstance(model.phrases, SentenceEncoder):
        ids = model.phrases.token_ids([source])[0]
        if ids is None:
            raise InputError(f"nothing in the text {source[:40]!r} is known to this model, which reads English")
        return np.array(ids, dtype=np.float32)[:, None]
    if config.features == "words" and isinstance(model.phrases, WordTable):
        from emoembed.features.text import words

        return words(source, model.phrases).values
    raise CheckpointError(f"this model reads {config.features} features as text; hand them in as Features")


def _audio(config: ModalityConfig, source: Any) -> np.ndarray:
    extractors = {"speech": sound.speech, "waveform": sound.waveform}
    if config.features not in extractors:
        raise _needs_features("audio", config)
    extractor = extractors[config.features]
    if isinstance(source, tuple) and len(source) == 2:
        values = extractor(np.asarray(source[0]), source[1], limit=LOOKED_AT).values
    elif isinstance(source, (str, Path)):
        values = extractor(source, limit=LOOKED_AT).values
    elif isinstance(source, np.ndarray):
        raise InputError("an audio array comes with its sampling rate: audio=(samples, 16000)")
    else:
        raise InputError(f"audio is a path or (samples, sampling_rate); given {type(source).__name__}")
    values = values[: config.longest].copy()  # the rest of a long recording is let go
    return _waveform(values, config) if config.features == "waveform" else values


def _waveform(values: np.ndarray, config: ModalityConfig) -> np.ndarray:
    """Samples as a speech transformer wants them: as they are, or of mean 0 and deviation 1."""
    if not config.settings["trunk_config"].get("do_normalize"):
        return values
    return (values - values.mean()) / max(values.std(), 1e-4)


def _video(config: ModalityConfig, source: Any) -> np.ndarray:
    from emoembed.features import tables, video

    if config.features == "action_units" and isinstance(source, (str, Path)):
        return _ready(tables.read_openface(source), config, "video")
    if config.features not in ("faces", "pixels"):
        raise _needs_features("video", config)
    if not isinstance(source, (str, Path, np.ndarray)):
        raise InputError(f"video is a path or an array (time, height, width, 3); given {type(source).__name__}")
    faces = video.read_faces(source, limit=config.longest).features.values
    return faces if config.features == "faces" else _pixels(faces, config)


class Pixels(Mapping[str, np.ndarray]):
    """Faces by id, `(time, 48 * 48)`, made ready for an image transformer at each reading: too large to keep."""

    def __init__(self, faces: Mapping[str, np.ndarray], config: ModalityConfig) -> None:
        self.faces, self.config = faces, config

    def __getitem__(self, item: str) -> np.ndarray:
        return _pixels(self.faces[item], self.config)

    def __contains__(self, item: object) -> bool:
        return item in self.faces

    def __iter__(self) -> Iterator[str]:
        return iter(self.faces)

    def __len__(self) -> int:
        return len(self.faces)


def _pixels(faces: np.ndarray, config: ModalityConfig) -> np.ndarray:
    """Faces from all over a clip as an image transformer wants: its size, mean and spread; grey in all channels."""
    import cv2

    faces = faces[: config.longest]
    trunk = config.settings["trunk_config"]
    side, channels = int(trunk.get("image_size", 224)), int(trunk.get("num_channels", 3))
    mean, spread = (np.array(trunk.get(key, [0.5] * channels), np.float32) for key in ("image_mean", "image_std"))
    small = int(faces.shape[1] ** 0.5)
    chosen = faces[np.linspace(0, len(faces) - 1, min(len(faces), FACES_SHOWN)).round().astype(int)]
    resized = [cv2.resize(face.astype(np.float32).reshape(small, small), (side, side)).ravel() for face in chosen]
    shown = (np.stack(resized)[:, None] - mean[:, None]) / spread[:, None]
    return np.ascontiguousarray(shown.reshape(len(chosen), -1), dtype=np.float32)


def _ready(source: Features, config: ModalityConfig, modality: str) -> np.ndarray:
    """Ready features, their columns put in the order the encoder was trained on."""
    if config.features == "pixels" and source.feature_set.name == "faces":
        return _pixels(source.values, config)
    have = source.feature_set.columns
    missing = [column for column in config.columns if column not in have]
    if missing:
        raise InputError(
            f"{modality} features {source.feature_set.name!r} lack {len(missing)} columns this model reads, "
            f"{missing[0]!r} first; it reads {config.features} with {len(config.columns)} columns"
        )
    values = source.values[:, [have.index(column) for column in config.columns]] if config.columns else source.values
    if not len(values):
        raise InputError(f"{modality} features {source.feature_set.name!r} have no rows")
    if not np.isfinite(values).all():
        raise InputError(f"{modality} features {source.feature_set.name!r} hold NaN or infinite values")
    values = values[: config.longest].astype(np.float32)
    return _waveform(values, config) if config.features == "waveform" else values


def _needs_features(modality: str, config: ModalityConfig) -> InputError:
    return InputError(
        f"this model reads {config.features} as {modality}, which are not extracted from files here; hand them in as "
        f"emoembed.features.feature_set.Features with columns {', '.join(config.columns[:4])}, ..."
    )
