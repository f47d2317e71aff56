"""Video and pictures to faces: one face, tracked over time, as 48 x 48 grey pixels, at most ten frames a second."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from emoembed.errors import EmoembedError, InputError, MediaError
from emoembed.features import limits, picture_files
from emoembed.features.face_tracker import FACE_SIZE, FaceTracker, HaarDetector, YuNetDetector, crop, equalised
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.media_files import File, name_of, openable
from emoembed.features.notes import Note

Frame = TypeVar("Frame")

FACES = FeatureSet(
    "faces",
    tuple(f"pixel_{row:02d}_{column:02d}" for row in range(FACE_SIZE) for column in range(FACE_SIZE)),
    rate=10.0,
)
FACE_ITSELF = 64  # pixels: a picture whose longer side is at most this is a face and is not searched
SMALL_PICTURE = 256  # pixels: a picture whose longer side is at most this may be a cropped face
CUT_OUT = 0.7  # of the shorter side: a small picture is a cropped face if its face is this large, or if none is found
FLAT = 8  # of 256 grey levels: a frame with a smaller range shows nothing
FEW_FACES = 0.25  # of a clip's frames: if fewer show a face, the detections may be wrong


@dataclass(frozen=True)
class FaceTrack:
    """One face over time. Frames without the face have no row."""

    features: Features
    """float32 `(time, 2304)`, grey 0..1, pixels row by row. Feature set `faces`; its rate is an upper bound."""
    times: np.ndarray
    """(time,) seconds from the beginning of the video."""
    boxes: np.ndarray
    """(time, 4): x, y, width, height in pixels of the source's frames."""
    confidences: np.ndarray
    """(time,) 0..1: confidence of the detector; between two detections, normalised correlation of the template."""
    frames_seen: int
    """Number of frames searched. The share with a face is `len(times) / frames_seen`."""


def read_faces(
    video: File | np.ndarray | tuple[np.ndarray, float],
    *,
    rate: float = 10.0,
    start: float | None = None,
    end: float | None = None,
    side: Literal["left", "right"] | None = None,
    detector: str | Path = "haar",
    limit: int | None = None,
) -> FaceTrack:
    """Find a face in a video or picture and track it. Each row is the face as 48 x 48 grey pixels, with level eyes.

    The histogram of each face is equalised, to reduce the effect of light and camera. If several faces are visible, the
    track begins with the largest face and stays with it until it is lost.

    Small pictures count as a cropped face and are only resized: those of at most 64 pixels on the longer side (FER2013
    has 48 x 48); and those of at most 256 pixels that a face fills, or in which no face is found (a note says so).

    Args:
        video: a video or image file (a path, bytes or an open file); or an array of RGB frames
            `(time, height, width, 3)`, grey frames `(time, height, width)`, one RGB image `(height, width, 3)` or one
            grey image `(height, width)`; uint8, or float 0..1. `(array, frame_rate)` gives the frames per second of an
            array. An array without a frame rate counts as sampled at `rate`, so that every frame is read.
        rate: most frames per second to read. Files are sampled by their time stamps.
        start, end: the part to read, in seconds; the whole video by default.
        side: read only the left or right half of the picture (for recordings with one speaker on each side).
        detector: "haar", the cascade that comes with OpenCV; the path of a YuNet ONNX file; or "none" if each frame is
            a cropped face, so that no search is needed.
        limit: stop after this many faces; no limit by default.

    Raises:
        MissingFileError: a path is not a file.
        MediaError: the file cannot be decoded, has no frames, or has no face in any frame.
        InputError: an array has the wrong shape or type, or NaN or infinite values; or an argument is invalid.
    """
    _check_arguments(rate, start, end, side, limit)
    name, is_still, frames = _frames_of(video, rate, start, end)
    finder = _Finder(name, detector, side, is_still)
    frames_seen, rows = 0, []
    for time, grey in frames:
        frames_seen += 1
        face = finder.find(grey, time)
        rows += [] if face is None else [(time, *face)]
        if len(rows) == limit:
            break
    if not frames_seen:
        span = f" from {start or 0} s to {'the end' if end is None else f'{end} s'}" if start or end else ""
        raise MediaError(f"{name}: no frames{span}")
    if not rows:
        raise MediaError(_no_face(frames_seen, name))
    times, faces, boxes, confidences = zip(*rows, strict=True)
    notes = (*finder.notes, *_frame_notes(len(rows), frames_seen))
    feature_set = FACES if rate == FACES.rate else replace(FACES, rate=rate)
    return FaceTrack(
        Features(np.stack(faces).reshape(len(faces), -1), feature_set, notes),
        np.array(times),
        np.array(boxes, dtype=np.float64),
        np.array(confidences, dtype=np.float32),
        frames_seen,
    )


def _frame_notes(face_count: int, frame_count: int) -> list[Note]:
    """Notes on the number of frames that show a face."""
    notes = [Note("faces", "video", f"{face_count} of {frame_count} frames show a face")] if frame_count > 1 else []
    if face_count < FEW_FACES * frame_count:
        notes.append(
            Note(
                "few-faces",
                "video",
                f"only {face_count} of {frame_count} frames show a face, so the detection may be wrong",
            )
        )
    return notes


def _frames_of(
    video: Any, rate: float, start: float | None, end: float | None
) -> tuple[str, bool, Iterator[tuple[float, np.ndarray]]]:
    """The name of a source, whether it is a single picture, and its times with grey uint8 frames `(height, width)`."""
    if isinstance(video, tuple) and not (len(video) == 2 and isinstance(video[0], np.ndarray)):
        raise InputError(
            f"a video tuple is (array, frame rate); given ({', '.join(type(part).__name__ for part in video)})"
        )
    if isinstance(video, np.ndarray | tuple):
        array, frame_rate = video if isinstance(video, tuple) else (video, None)
        array = _without_alpha(array)
        is_still = _is_still(array)
        return f"video array of shape {array.shape}", is_still, _array_frames(array, frame_rate, rate, start, end)
    if not isinstance(video, str | Path | bytes | bytearray) and not hasattr(video, "read"):
        raise InputError(f"video is a path, bytes, an open file or a NumPy array; given {type(video).__name__}")
    name = name_of(video)
    if picture_files.is_picture(video):
        return name, True, iter([(0.0, picture_files.read(video))])
    return name, False, _file_frames(video, name, rate, start, end)


Found = tuple[np.ndarray, tuple[float, float, float, float], float]
"""A face `(48, 48)`, its box in the frame, and its confidence."""


class _Finder:
    """Finds the face in each frame of a video."""

    def __init__(self, name: str, detector: str | Path, side: str | None, is_still: bool) -> None:
        self.name, self.side, self.is_still = name, side, is_still
        self.notes: list[Note] = []
        self.tracker: FaceTracker | None = None
        if detector != "none":
            self.tracker = FaceTracker(
                HaarDetector(patient=is_still) if detector == "haar" else YuNetDetector(detector)
            )

    def find(self, grey: np.ndarray, time: float) -> Found | None:
        """The face of a grey uint8 frame `(height, width)`, or None."""
        fault = limits.picture_fault(grey.shape[1], grey.shape[0])
        if fault:
            raise MediaError(f"{self.name}: {fault}")
        middle = grey.shape[1] // 2
        offset = middle if self.side == "right" else 0
        half = grey[:, offset : middle if self.side == "left" else None]
        if int(half.max()) - int(half.min()) < FLAT:
            return None
        face = self._find_in_half(half, time)
        if face is None:
            return None
        pixels, (x, y, width, height), confidence = face
        return pixels, (x + offset, y, width, height), confidence

    def _find_in_half(self, grey: np.ndarray, time: float) -> Found | None:
        """The face in the part of a frame that `side` selects, or None."""
        if self.tracker is None or max(grey.shape) <= FACE_ITSELF:
            return _whole(grey)
        face = self.tracker.follow(grey, time)
        if self.is_still and max(grey.shape) <= SMALL_PICTURE:
            if face is None:
                text = f"no face was found in {self.name}; the full picture was used as the face"
                self.notes.append(Note("face-whole", "video", text))
            if face is None or face.side >= CUT_OUT * min(grey.shape):
                return _whole(grey)
        if face is None:
            return None
        return crop(grey, face), (face.x, face.y, face.side, face.side), face.confidence


def _whole(grey: np.ndarray) -> Found:
    """Use the full frame as the face, with its box and a confidence of 1."""
    import cv2

    height, width = grey.shape
    interpolation = cv2.INTER_AREA if min(height, width) >= FACE_SIZE else cv2.INTER_CUBIC
    face = cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=interpolation)
    return equalised(face), (0.0, 0.0, float(width), float(height)), 1.0


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


def _array_frames(
    video: np.ndarray, frame_rate: float | None, rate: float, start: float | None, end: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """The times and grey uint8 frames `(height, width)` of an array."""
    frames = video[None] if _is_still(video) else video
    _check_array(video, frames)
    if frame_rate is not None and not (isinstance(frame_rate, Real) and math.isfinite(frame_rate) and frame_rate > 0):
        raise InputError(f"frame_rate is frames per second, above 0; given {frame_rate!r}")
    times = (index / (frame_rate or rate) for index in range(len(frames)))
    # a generator converts only the sampled frames, so that a long array is not copied
    return ((time, _grey(frame)) for time, frame in _sampled(zip(times, frames, strict=True), rate, start, end))


def _without_alpha(video: np.ndarray) -> np.ndarray:
    """Convert RGBA to RGB, and remove a last axis of length 1 (grey)."""
    if video.ndim in (3, 4) and video.shape[-1] in (1, 4):
        return video[..., :3] if video.shape[-1] == 4 else video[..., 0]
    return video


def _is_still(video: np.ndarray) -> bool:
    """Whether an array is a single image, `(height, width)` or `(height, width, 3)`."""
    return video.ndim == 2 or (video.ndim == 3 and video.shape[-1] == 3)


def _check_array(video: np.ndarray, frames: np.ndarray) -> None:
    """Raise InputError if an array has a shape, type or values that video does not have."""
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


def _grey(frame: np.ndarray) -> np.ndarray:
    """Convert a frame, RGB or grey, uint8 or float 0..1, to grey uint8."""
    import cv2

    if frame.dtype != np.uint8:
        frame = np.rint(np.asarray(frame, dtype=np.float32) * 255.0).astype(np.uint8)
    frame = np.ascontiguousarray(frame)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame


def _file_frames(
    video: File, name: str, rate: float, start: float | None, end: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """The times and grey uint8 frames of a video file, rotated as its display matrix says.

    PyAV is as fast as OpenCV. In addition, it returns luminance without a conversion to RGB, gives true time stamps and
    raises exceptions for errors.
    """
    import av

    try:
        with av.open(openable(video, picture_files.KIND), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise MediaError(f"{name} has no video track; give a video or an image")
            context = container.streams.video[0].codec_context
            if context is None:
                raise MediaError(f"{name} has a video format that PyAV cannot decode; convert it, for example to .mp4")
            fault = limits.picture_fault(context.width or 1, context.height or 1)
            if fault:
                raise MediaError(f"{name}: {fault}")
            for time, frame in _sampled(_decoded(container, start), rate, start, end):
                # the format gray has the full range 0..255, whatever the range of the file
                grey = frame.reformat(format="gray").to_ndarray()
                yield time, np.ascontiguousarray(np.rot90(grey, frame.rotation // 90))
    except (av.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, EmoembedError):
            raise
        size = f" ({Path(video).stat().st_size} bytes)" if isinstance(video, str | Path) else ""
        raise MediaError(
            f"{name}{size} cannot be read as video: {getattr(error, 'strerror', None) or error}"
        ) from error


def _decoded(container: Any, start: float | None) -> Iterator[tuple[float, Any]]:
    """Yield the seconds since the first frame, and the frame, not yet converted to RGB. Skips damaged packets."""
    import av

    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    first_time = float((stream.start_time or 0) * stream.time_base)
    has_times = stream.start_time is not None  # a raw H.264 stream has no times and does not support seeking
    if start and has_times:
        container.seek(round((start + first_time) / stream.time_base), stream=stream)
    count = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in frames:
            index = count / float(stream.average_rate or 25)
            count += 1
            yield (frame.time - first_time if has_times and frame.time is not None else index), frame


def _check_arguments(rate: float, start: float | None, end: float | None, side: str | None, limit: int | None) -> None:
    """Raise InputError if an argument of `read_faces` is invalid."""
    if rate is None or not all(isinstance(value, Real | None) for value in (rate, start, end, limit)):
        raise InputError(
            f"rate, start, end and limit are numbers; start, end and limit may be None; given rate={rate!r:.40}, "
            f"start={start!r:.40}, end={end!r:.40}, limit={limit!r:.40}"
        )
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"rate is frames per second, above 0; given {rate!r}")
    if not (math.isfinite(start or 0.0) and (start or 0.0) >= 0):
        raise InputError(f"start is a time in seconds, at least 0; given {start!r}")
    if end is not None and not end > (start or 0.0):
        raise InputError(f"end is a time in seconds, after start; given start={start!r}, end={end!r}")
    if side not in (None, "left", "right"):
        raise InputError(f"side is 'left', 'right' or None (the full picture); given {side!r}")
    if limit is not None and limit < 1:
        raise InputError(f"limit is a number of faces, at least 1, or None; given {limit!r}")


def _no_face(frame_count: int, name: str) -> str:
    """The message for a video or picture without a face."""
    shown = f"{frame_count} frames of {name}" if frame_count > 1 else name
    return (
        f"no face found in {shown}; give an upright face that looks at the camera and fills at least an eighth of the "
        "picture's height. If the picture is a cropped face, give {'image': ..., 'face': True}"
    )
