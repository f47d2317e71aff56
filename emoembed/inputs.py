"""The forms in which people have sound and pictures, brought into those that features are read from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import InputError
from emoembed.features.media_files import File

FILES = (str, Path, bytes, bytearray)
ARRAYS = (("array", "sampling_rate"), ("waveform", "sample_rate"), ("array", "sample_rate"))
"""Keys of a dictionary of sound, as datasets, torchaudio and others name them."""
AUDIO_FORMS = (
    "a path, bytes, an open file, (samples, sampling_rate), or a dictionary such as "
    "{'array': samples, 'sampling_rate': 16000}"
)
VIDEO_FORMS = (
    "a path, bytes, an open file, an array (time, height, width, 3), a picture, a list of frames within a list of "
    "items, or a dictionary such as {'path': 'face.png', 'face': True}"
)


def sound_of(source: Any) -> tuple[File | np.ndarray, float | None]:
    """What a caller gives as sound, as a file or an array, and an array's rate.

    Raises:
        InputError: it is in none of the known forms.
    """
    if isinstance(source, FILES) or hasattr(source, "read"):
        if isinstance(source, str) and not source.strip():
            raise InputError(f"audio={source!r} is not a path")
        return source, None
    if isinstance(source, Mapping):
        for samples, rate in ARRAYS:
            if source.get(samples) is not None and rate in source:
                return array_of(source[samples], "audio"), _number(source[rate])
        for key in ("bytes", "path"):
            if source.get(key) is not None:
                return sound_of(source[key])
        raise InputError(f"audio is {AUDIO_FORMS}; given a dictionary of {', '.join(map(str, source)) or 'nothing'}")
    if isinstance(source, tuple) and len(source) == 2:
        first, second = source
        if np.ndim(first) == 0 and not isinstance(first, str) and np.ndim(second) > 0:  # as scipy's wavfile.read has it
            first, second = second, first
        return array_of(first, "audio"), _number(second)
    if isinstance(source, np.ndarray) or hasattr(source, "detach"):
        raise InputError("an audio array comes with its sampling rate: audio=(samples, 16000)")
    raise InputError(f"audio is {AUDIO_FORMS}; given {type(source).__name__}")


def frames_of(source: Any) -> tuple[File | np.ndarray, bool]:
    """What a caller gives as a face, as a file or an array of RGB or grey, and whether it is the face itself.

    Raises:
        InputError: it is in none of the known forms.
    """
    if isinstance(source, FILES) or hasattr(source, "read"):
        if isinstance(source, str) and not source.strip():
            raise InputError(f"video={source!r} is not a path")
        return source, False
    if isinstance(source, Mapping):
        for key in ("image", "path", "bytes", "array"):
            if source.get(key) is not None:
                return frames_of(source[key])[0], source.get("face") is True
        raise InputError(f"video is {VIDEO_FORMS}; given a dictionary of {', '.join(map(str, source)) or 'nothing'}")
    if isinstance(source, list | tuple):
        if not source:
            raise InputError("video is an empty list of frames")
        given = [frames_of(frame)[0] for frame in source]
        frames = [frame for frame in given if isinstance(frame, np.ndarray) and frame.ndim in (2, 3)]
        if len(frames) < len(given):
            raise InputError("a list of frames holds pictures or arrays (height, width, 3), all of one kind")
        if len({np.shape(frame) for frame in frames}) > 1:
            sizes = ", ".join(sorted({str(np.shape(frame)) for frame in frames})[:3])
            raise InputError(f"the frames of a video are of one size; given {sizes}")
        return np.stack(frames), False
    if hasattr(source, "convert") and hasattr(source, "getexif"):  # a picture of Pillow
        from PIL import ImageOps

        return np.asarray(ImageOps.exif_transpose(source).convert("RGB")), False
    if isinstance(source, np.ndarray):
        return source, False
    if hasattr(source, "detach"):
        return _channels_last(array_of(source, "video")), False
    raise InputError(f"video is {VIDEO_FORMS}; given {type(source).__name__}")


def array_of(values: Any, modality: str) -> np.ndarray:
    """Numbers in any form as an array: a NumPy array, a torch tensor of any type, nested lists.

    Raises:
        InputError: they are no numbers.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()  # NumPy has no bfloat16
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{modality} is an array of numbers; given {type(values).__name__}: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{modality} is an array of numbers; given one of {array.dtype}")
    return array


def _channels_last(frames: np.ndarray) -> np.ndarray:
    """A tensor's frames, which have their channels before height and width in torch, as (..., height, width, 3)."""
    if frames.ndim in (3, 4) and frames.shape[-3] in (1, 3, 4) and frames.shape[-1] not in (1, 3, 4):
        return np.moveaxis(frames, -3, -1)
    return frames


def _number(rate: Any) -> Any:
    """A rate that came as an array or tensor of one number, as that."""
    return rate.item() if hasattr(rate, "item") and np.ndim(rate) == 0 else rate
