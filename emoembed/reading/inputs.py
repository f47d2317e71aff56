"""Converts the usual forms of sound and pictures into those that the feature extractors read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import InputError
from emoembed.features import picture_files
from emoembed.features.media_files import File, unmasked

FILES = (str, Path, bytes, bytearray)
ARRAYS = (("array", "sampling_rate"), ("waveform", "sample_rate"), ("array", "sample_rate"))
"""Keys of a dictionary of sound, as used by datasets, torchaudio and others."""
AUDIO_FORMS = (
    "a path, bytes, an open file, (samples, sampling_rate), or a dictionary such as "
    "{'array': samples, 'sampling_rate': 16000}"
)
VIDEO_FORMS = (
    "a path, bytes, an open file, an array (time, height, width, 3), a picture, a list of frames within a list of "
    "items, or a dictionary such as {'path': 'face.png', 'face': True}"
)


def sound_of(source: Any) -> tuple[File | np.ndarray, float | None]:
    """Convert a caller's sound to a file or an array, with the array's sampling rate in Hz (None for a file).

    Raises:
        InputError: the sound has none of the forms `AUDIO_FORMS`.
    """
    if isinstance(source, FILES) or hasattr(source, "read"):
        if isinstance(source, str) and not source.strip():
            raise InputError(f"audio={source!r} is an empty path; give the path of a file")
        return source, None
    if isinstance(source, Mapping):
        for samples, rate in ARRAYS:
            if source.get(samples) is not None and rate in source:
                return array_of(source[samples], "audio"), _to_number(source[rate])
        for key in ("bytes", "path"):
            if source.get(key) is not None:
                return sound_of(_require_flat(source[key], "audio"))
        raise InputError(
            f"audio must be {AUDIO_FORMS}; given a dictionary of {', '.join(map(str, source)) or 'nothing'}"
        )
    if hasattr(source, "get_all_samples"):  # a decoder of torchcodec, as in a row of the library `datasets`
        samples = source.get_all_samples()
        return array_of(samples.data, "audio"), _to_number(samples.sample_rate)
    if isinstance(source, tuple) and len(source) == 2:
        first, second = source
        if _is_number(first) and not _is_number(second):  # the order of scipy's wavfile.read
            first, second = second, first
        return array_of(first, "audio"), _to_number(second)
    if isinstance(source, np.ndarray) or hasattr(source, "detach"):
        raise InputError("an audio array comes with its sampling rate: audio=(samples, 16000)")
    raise InputError(f"audio must be {AUDIO_FORMS}; given {type(source).__name__}")


def frames_of(source: Any) -> tuple[File | np.ndarray, bool]:
    """Convert a caller's video or picture to a file or an RGB or grey array, and say whether it is already a cropped
    face.

    Raises:
        InputError: the video or picture has none of the forms `VIDEO_FORMS`.
    """
    if isinstance(source, FILES) or hasattr(source, "read"):
        if isinstance(source, str) and not source.strip():
            raise InputError(f"video={source!r} is an empty path; give the path of a file")
        return source, False
    if isinstance(source, Mapping):
        for key in ("image", "path", "bytes", "array"):
            if source.get(key) is not None:
                content, _ = frames_of(_require_flat(source[key], "video"))
                return content, _require_flag(source.get("face", False))
        raise InputError(
            f"video must be {VIDEO_FORMS}; given a dictionary of {', '.join(map(str, source)) or 'nothing'}"
        )
    if isinstance(source, list | tuple):
        if not source:
            raise InputError("video is an empty list of frames; give at least one picture")
        arrays = [None if isinstance(frame, list | tuple | Mapping) else frames_of(frame)[0] for frame in source]
        frames = [frame for frame in arrays if isinstance(frame, np.ndarray) and frame.ndim in (2, 3)]
        if len(frames) < len(arrays):
            raise InputError("a list of frames must have only pictures or arrays (height, width, 3), all of one kind")
        if len({np.shape(frame) for frame in frames}) > 1:
            sizes = ", ".join(sorted({str(np.shape(frame)) for frame in frames})[:3])
            raise InputError(f"the frames of a video must have the same size; given {sizes}")
        return np.stack(frames), False
    if hasattr(source, "convert") and hasattr(source, "getexif"):  # a Pillow image
        return picture_files.of_pillow(source), False
    if isinstance(source, np.ndarray):
        return source, False
    if hasattr(source, "detach"):
        return _channels_last(array_of(source, "video")), False
    raise InputError(f"video must be {VIDEO_FORMS}; given {type(source).__name__}")


def array_of(values: Any, modality: str) -> np.ndarray:
    """Convert a NumPy array, a torch tensor of any type or nested lists to an array of numbers.

    Raises:
        InputError: the values are not numbers.
    """
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = (values.float() if values.is_floating_point() else values).numpy()  # NumPy has no bfloat16
        array = unmasked(np.asanyarray(values), modality)
    except (ValueError, TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise InputError(f"{modality} must be an array of numbers; given {type(values).__name__}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{modality} must be an array of numbers; given an array of {array.dtype}")
    return array


def _require_flat(value: Any, modality: str) -> Any:
    if isinstance(value, Mapping):
        raise InputError(f"{modality} is a nested dictionary; give a dictionary without another inside")
    return value


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) and (np.isscalar(value) or getattr(value, "ndim", None) == 0)


def _require_flag(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise InputError(f"'face' must be True or False (True if the picture is a cropped face); given {value!r:.40}")


def _channels_last(frames: np.ndarray) -> np.ndarray:
    """A tensor's frames as (..., height, width, 3); torch has the channels before height and width."""
    if frames.ndim in (3, 4) and frames.shape[-3] in (1, 3, 4) and frames.shape[-1] not in (1, 3, 4):
        return np.moveaxis(frames, -3, -1)
    return frames


def _to_number(rate: Any) -> Any:
    """The rate as a plain number if it is an array or tensor with one number."""
    return rate.item() if hasattr(rate, "item") and np.ndim(rate) == 0 else rate
