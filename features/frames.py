"""Videos and pictures to grey frames: the frames of a file or an array, at most so many per second."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from emoembed.errors import EmoembedError, InputError, MediaError
from emoembed.features import limits, picture_files
from emoembed.features.media_files import File, frames_of_track, name_of, open_media, reason_of, unmasked

Frame = TypeVar("Frame")
LONGEST_JUMP = 300.0
"""Seconds by which a frame may come after the one before it. A larger jump may be an error of its time stamp."""
PLANAR = frozenset(f"yuv{full}{kind}p" for full in ("", "j") for kind in ("411", "420", "422", "440", "444")) | {"nv12"}
"""PyAV's names of pixel formats with 8 bits of luminance in the first plane."""


def frames_of(
    video: Any, rate: float, start: float | None, end: float | None, faults: list[Exception] | None = None
) -> tuple[str, bool, Iterator[tuple[float, np.ndarray]]]:
    """The name of a source, whether it is a single picture, and its times with grey uint8 frames `(height, width)`.

    The errors of damaged packets, which are left out, are added to `faults` while the frames are read.
    """
    if isinstance(video, tuple) and not (len(video) == 2 and isinstance(video[0], np.ndarray)):
        raise InputError(
            f"a video tuple is (array, frame rate); given ({', '.join(type(part).__name__ for part in video)})"
        )
    if isinstance(video, np.ndarray | tuple):
        array, frame_rate = video if isinstance(video, tuple) else (video, None)
        array = _without_alpha(unmasked(array, "video"))
        is_still = _is_still(array)
        return f"video array of shape {array.shape}", is_still, _array_frames(array, frame_rate, rate, start, end)
    if not isinstance(video, str | Path | bytes | bytearray) and not hasattr(video, "read"):
        raise InputError(f"video is a path, bytes, an open file or a NumPy array; given {type(video).__name__}")
    name = name_of(video)
    if picture_files.is_picture(video):
        return name, True, iter([(0.0, picture_files.read(video))])
    return name, False, _file_frames(video, name, rate, start, end, [] if faults is None else faults)


def _sampled(
    frames: Iterable[tuple[float, Frame]], rate: float, start: float | None, end: float | None
) -> Iterator[tuple[float, Frame]]:
    """Yield the first frame of every 1/rate seconds between start and end."""
    last_slot = -1
    for time, frame in frames:
        if end is not None and time >= end:
            return
        slot = math.floor(time * rate + 1e-3)  # tolerate rounding errors of the time
        if slot > last_slot and time >= (start or 0.0) - 1e-6:
            last_slot = slot
            yield time, frame


def _plausible(frames: Iterable[tuple[float, Frame]]) -> Iterator[tuple[float, Frame]]:
    """Leave out a frame whose time is far after the one before it, unless the next frame is later still."""
    last_time, held = None, None
    for time, frame in frames:
        if held is not None and time >= held[0]:
            last_time = held[0]
            yield held
        held = None
        if last_time is not None and time > last_time + LONGEST_JUMP:
            held = time, frame
            continue
        last_time = time
        yield time, frame


def _array_frames(
    video: np.ndarray, frame_rate: float | None, rate: float, start: float | None, end: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """The times and grey uint8 frames `(height, width)` of an array."""
    frames = video[None] if _is_still(video) else video
    check_array(video, frames)
    if frame_rate is not None and not (isinstance(frame_rate, Real) and math.isfinite(frame_rate) and frame_rate > 0):
        raise InputError(f"frame_rate is frames per second, above 0; given {frame_rate!r}")
    times = (index / (frame_rate or rate) for index in range(len(frames)))
    # a generator converts only the sampled frames, so that a long array is not copied
    return ((time, grey(frame)) for time, frame in _sampled(zip(times, frames, strict=True), rate, start, end))


def _without_alpha(video: np.ndarray) -> np.ndarray:
    """Convert RGBA to RGB, and remove a last axis of length 1 (grey)."""
    if video.ndim in (3, 4) and video.shape[-1] in (1, 4):
        return video[..., :3] if video.shape[-1] == 4 else video[..., 0]
    return video


def _is_still(video: np.ndarray) -> bool:
    """Whether an array is a single image, `(height, width)` or `(height, width, 3)`."""
    return video.ndim == 2 or (video.ndim == 3 and video.shape[-1] == 3)


def check_array(video: np.ndarray, frames: np.ndarray) -> None:
    """Raise InputError if an array has a shape, type or values that video does not have.

    Args:
        video: the array as given.
        frames: the same with a first axis for time.
    """
    if video.ndim == 3 and video.shape[0] in (3, 4) and min(video.shape[1:]) > 4 * video.shape[0]:
        raise InputError(
            f"a video array of shape {video.shape} looks like one image with its channels first; give (height, width, "
            "3) for an image, or (time, height, width, 1) for grey frames"
        )
    if frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] != 3) or 0 in frames.shape[1:3]:
        raise InputError(
            f"a video array is (time, height, width, 3) RGB or (time, height, width) grey, an image (height, width, 3) "
            f"or (height, width); given shape {video.shape}"
        )
    if video.dtype == np.uint8 or not video.size:
        return
    if not np.issubdtype(video.dtype, np.floating):
        raise InputError(f"a video array has uint8 values 0..255 or float values 0..1; given {video.dtype}")
    minimum, maximum = (
        float(video.min()),
        float(video.max()),
    )  # NaN if any value is NaN; infinite if any value is infinite
    if not (math.isfinite(minimum) and math.isfinite(maximum)):
        count = video.size - int(np.isfinite(video).sum())
        raise InputError(f"video array of shape {video.shape} has {count} NaN or infinite values; replace them")
    if minimum < 0 or maximum > 1:
        raise InputError(f"a float video array has values in 0..1; given {minimum:.3g} to {maximum:.3g}")


def grey(frame: np.ndarray) -> np.ndarray:
    """Convert a frame, RGB or grey, uint8 or float 0..1, to grey uint8."""
    import cv2

    if frame.dtype != np.uint8:
        frame = np.rint(np.asarray(frame, dtype=np.float32) * 255.0).astype(np.uint8)
    frame = np.ascontiguousarray(frame)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame


def _file_frames(
    video: File, name: str, rate: float, start: float | None, end: float | None, faults: list[Exception]
) -> Iterator[tuple[float, np.ndarray]]:
    """The times and grey uint8 frames of a video file, rotated as its display matrix says.

    PyAV is as fast as OpenCV. In addition, it gives the luminance without a conversion, true time stamps, and
    exceptions for errors.
    """
    import av

    try:
        with open_media(video, picture_files.KIND) as container:
            if not container.streams.video:
                raise MediaError(f"{name} has no video track; give a video or an image")
            context = container.streams.video[0].codec_context
            if context is None:
                raise MediaError(f"{name} has a video format that PyAV cannot decode; convert it, for example to .mp4")
            fault = limits.picture_fault(context.width or 1, context.height or 1)
            if fault:
                raise MediaError(f"{name}: {fault}")
            for time, frame in _sampled(_plausible(_decoded(container, start, faults)), rate, start, end):
                yield time, np.ascontiguousarray(np.rot90(_luminance(frame), frame.rotation // 90))
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, EmoembedError):
            raise
        size = f" ({Path(video).stat().st_size} bytes)" if isinstance(video, str | Path) else ""
        raise MediaError(f"{name}{size} cannot be read as video: {reason_of(error)}") from error


def _luminance(frame: Any) -> np.ndarray:
    """The luminance of a decoded frame, uint8 `(height, width)`, in the full range 0..255 whatever the file's range.

    The formats of nearly all videos have luminance in a separate plane. Reading it is several times faster than
    PyAV's conversion, and the values are the same.
    """
    import cv2

    if frame.format.name not in PLANAR:
        return np.asarray(frame.reformat(format="gray").to_ndarray())
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return np.asarray(cv2.LUT(rows[: frame.height, : frame.width], _full_range(frame.format.name, frame.color_range)))


@lru_cache(maxsize=32)
def _full_range(pixel_format: str, color_range: int) -> np.ndarray:
    """The full-range value of each luminance value 0..255, as PyAV converts it."""
    import av

    ramp = av.VideoFrame(256, 2, pixel_format)
    ramp.color_range = color_range
    plane = ramp.planes[0]
    rows = np.zeros((plane.buffer_size // plane.line_size, plane.line_size), np.uint8)
    rows[:, :256] = np.arange(256)
    plane.update(rows.tobytes())
    for other in ramp.planes[1:]:
        other.update(bytes([128]) * other.buffer_size)
    return np.asarray(ramp.reformat(format="gray").to_ndarray()[0])


def _decoded(container: Any, start: float | None, faults: list[Exception]) -> Iterator[tuple[float, Any]]:
    """Yield the seconds since the first frame, and the frame, not yet converted to RGB. Skips damaged packets."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    has_times = stream.start_time is not None  # a raw H.264 stream has no times and does not support seeking
    first_time = float(stream.start_time * stream.time_base) if has_times else None
    if start and first_time is not None:
        container.seek(round((start + first_time) / stream.time_base), stream=stream)
    for count, frame in enumerate(frames_of_track(container, stream, faults)):
        first_time = frame.time if first_time is None else first_time
        index = count / float(stream.average_rate or 25)
        yield (index if frame.time is None or first_time is None else frame.time - first_time), frame
