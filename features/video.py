"""Video and pictures to faces: one face followed through time, cut to 48 x 48 grey, at most ten a second."""

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
FACE_ITSELF = 64  # pixels on the longer side up to which a picture is not searched: it is the face
SMALL_PICTURE = 256  # pixels on the longer side up to which a picture may be a face that was cut out before ...
CUT_OUT = 0.7  # ... and is taken to be one where the face that is found fills so much of it, or where none is found
FLAT = 8  # levels of grey of 256 that a frame has at least: with fewer it shows nothing
FEW_FACES = 0.25  # of a clip's frames: with fewer, what was found may be no face


@dataclass(frozen=True)
class FaceTrack:
    """One face through time; frames in which it was not found have no row."""

    features: Features
    """float32 `(time, 2304)`, grey 0..1, row by row; feature set `faces`, whose rate is an upper bound."""
    times: np.ndarray
    """(time,) seconds from the beginning of the video."""
    boxes: np.ndarray
    """(time, 4): x, y, width, height in pixels of the source's frames."""
    confidences: np.ndarray
    """(time,) 0..1: the detector's, and in frames between two detections the normalised correlation of the template."""
    frames_seen: int
    """Frames looked at; the share of them with a face is `len(times) / frames_seen`."""


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
    """Find a face in a video or picture and follow it; each row is the face, eyes level, as 48 x 48 grey pixels.

    Light and camera count less, for each face's histogram is levelled. With several faces in view the track begins with
    the largest and stays with that face until it is lost. A picture of at most 64 pixels on its longer side (FER2013's
    are 48 x 48) is taken as the face itself and only resized; so is one of at most 256 pixels that a face fills, or in
    which none is found (a note says so).

    Args:
        video: a video or image file, its bytes or the open file, or an array of RGB frames `(time, height, width, 3)`,
            grey frames `(time, height, width)`, one RGB `(height, width, 3)` or grey `(height, width)` image; uint8, or
            float 0..1. `(array, frame_rate)` says how many frames a second an array has; without it the array is taken
            to have been sampled already, at `rate`, and every frame is looked at.
        rate: frames a second that are looked at, at most; files are sampled by the times they carry.
        start, end: seconds to look at; the whole video by default.
        side: look only at the left or right half of the picture (recordings with one speaker on each side).
        detector: "haar", the cascade that comes with OpenCV; a YuNet ONNX file; or "none", where each frame is a face
            that was cut out before, and nothing is searched.
        limit: faces after which no further frame is looked at; by default all are.

    Raises:
        MissingFileError: a path is not a file.
        MediaError: the file cannot be decoded, or has no frames, or no face in any frame.
        InputError: an array of the wrong shape or type, or with NaN or infinite values; or a bad argument.
    """
    _check_arguments(rate, start, end, side, limit)
    name, still, frames = _frames_of(video, rate, start, end)
    finder = _Finder(name, detector, side, still)
    seen, found = 0, []
    for time, grey in frames:
        seen += 1
        face = finder.find(grey, time)
        found += [] if face is None else [(time, *face)]
        if len(found) == limit:
            break
    if not seen:
        span = f" from {start or 0} s to {'the end' if end is None else f'{end} s'}" if start or end else ""
        raise MediaError(f"{name}: no frames{span}")
    if not found:
        raise MediaError(_no_face(seen, name))
    times, faces, boxes, confidences = zip(*found, strict=True)
    notes = (*finder.notes, *_counted(len(found), seen))
    feature_set = FACES if rate == FACES.rate else replace(FACES, rate=rate)
    return FaceTrack(
        Features(np.stack(faces).reshape(len(faces), -1), feature_set, notes),
        np.array(times),
        np.array(boxes, dtype=np.float64),
        np.array(confidences, dtype=np.float32),
        seen,
    )


def _counted(found: int, seen: int) -> list[Note]:
    """Notes on how many frames show a face."""
    notes = [Note("faces", "video", f"{found} of {seen} frames show a face")] if seen > 1 else []
    if found < FEW_FACES * seen:
        notes.append(Note("few-faces", "video", f"{found} of {seen} frames show a face, so that it may be none"))
    return notes


def _frames_of(
    video: Any, rate: float, start: float | None, end: float | None
) -> tuple[str, bool, Iterator[tuple[float, np.ndarray]]]:
    """What a source is called, whether it is one picture, and its times and grey uint8 frames `(height, width)`."""
    if isinstance(video, tuple) and not (len(video) == 2 and isinstance(video[0], np.ndarray)):
        raise InputError("a tuple as video is (array, frames a second)")
    if isinstance(video, np.ndarray | tuple):
        array, frame_rate = video if isinstance(video, tuple) else (video, None)
        array = _without_alpha(array)
        still = _is_still(array)
        return f"video array of shape {array.shape}", still, _array_frames(array, frame_rate, rate, start, end)
    if not isinstance(video, str | Path | bytes | bytearray) and not hasattr(video, "read"):
        raise InputError(f"video is a path, bytes, an open file or a NumPy array; given {type(video).__name__}")
    name = name_of(video)
    if picture_files.is_picture(video):
        return name, True, iter([(0.0, picture_files.read(video))])
    return name, False, _file_frames(video, name, rate, start, end)


Found = tuple[np.ndarray, tuple[float, float, float, float], float]
"""A face `(48, 48)`, its box in the frame, and a confidence."""


class _Finder:
    """Finds the face of one frame after another."""

    def __init__(self, name: str, detector: str | Path, side: str | None, still: bool) -> None:
        self.name, self.side, self.still = name, side, still
        self.notes: list[Note] = []
        self.tracker: FaceTracker | None = None
        if detector != "none":
            self.tracker = FaceTracker(HaarDetector(patient=still) if detector == "haar" else YuNetDetector(detector))

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
        found = self._in(half, time)
        if found is None:
            return None
        pixels, (x, y, width, height), confidence = found
        return pixels, (x + offset, y, width, height), confidence

    def _in(self, grey: np.ndarray, time: float) -> Found | None:
        if self.tracker is None or max(grey.shape) <= FACE_ITSELF:
            return _whole(grey)
        face = self.tracker.follow(grey, time)
        if self.still and max(grey.shape) <= SMALL_PICTURE:
            if face is None:
                said = f"no face was found in {self.name}; the whole picture was taken as one"
                self.notes.append(Note("face-whole", "video", said))
            if face is None or face.side >= CUT_OUT * min(grey.shape):
                return _whole(grey)
        if face is None:
            return None
        return crop(grey, face), (face.x, face.y, face.side, face.side), face.confidence


def _whole(grey: np.ndarray) -> Found:
    """The whole of a frame as a face, its box and a confidence of 1."""
    import cv2

    height, width = grey.shape
    interpolation = cv2.INTER_AREA if min(height, width) >= FACE_SIZE else cv2.INTER_CUBIC
    resized = cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=interpolation)
    return equalised(resized), (0.0, 0.0, float(width), float(height)), 1.0


def _sampled(
    frames: Iterable[tuple[float, Frame]], rate: float, start: float | None, end: float | None
) -> Iterator[tuple[float, Frame]]:
    """The first frame of every 1/rate seconds between start and end."""
    last = -1
    for time, frame in frames:
        if end is not None and time >= end:
            return
        slot = math.floor(time * rate + 1e-3)  # a time a hair under its slot belongs to it
        if slot > last and time >= (start or 0.0) - 1e-6:
            last = slot
            yield time, frame


def _array_frames(
    video: np.ndarray, frame_rate: float | None, rate: float, start: float | None, end: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """Times and grey uint8 frames `(height, width)` of an array."""
    frames = video[None] if _is_still(video) else video
    _check_array(video, frames)
    if frame_rate is not None and not (isinstance(frame_rate, Real) and math.isfinite(frame_rate) and frame_rate > 0):
        raise InputError(f"frame_rate is frames a second, above 0; given {frame_rate!r}")
    times = (index / (frame_rate or rate) for index in range(len(frames)))
    # grey only those that are kept: a generator, so that a long array is not copied whole
    return ((time, _grey(frame)) for time, frame in _sampled(zip(times, frames, strict=True), rate, start, end))


def _without_alpha(video: np.ndarray) -> np.ndarray:
    """RGBA as RGB, and a grey last axis of one left out."""
    if video.ndim in (3, 4) and video.shape[-1] in (1, 4):
        return video[..., :3] if video.shape[-1] == 4 else video[..., 0]
    return video


def _is_still(video: np.ndarray) -> bool:
    """One image, not several frames: `(height, width)` or `(height, width, 3)`."""
    return video.ndim == 2 or (video.ndim == 3 and video.shape[-1] == 3)


def _check_array(video: np.ndarray, frames: np.ndarray) -> None:
    if video.ndim == 3 and video.shape[0] in (3, 4) and min(video.shape[1:]) > 4 * video.shape[0]:
        raise InputError(
            f"a video array of shape {video.shape} looks like one image with its channels first; give (height, width, "
            "3), or of that many grey frames (time, height, width, 1)"
        )
    if frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] != 3) or 0 in frames.shape[1:3]:
        raise InputError(
            f"a video array is (time, height, width, 3) RGB or (time, height, width) grey, an image (height, width, 3) "
            f"or (height, width); given shape {video.shape}"
        )
    if video.dtype == np.uint8 or not video.size:
        return
    if not np.issubdtype(video.dtype, np.floating):
        raise InputError(f"a video array holds uint8 0..255 or float 0..1; given {video.dtype}")
    lowest, highest = float(video.min()), float(video.max())  # NaN and infinite values show in these
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        bad = video.size - int(np.isfinite(video).sum())
        raise InputError(f"video array of shape {video.shape} holds {bad} NaN or infinite values")
    if lowest < 0 or highest > 1:
        raise InputError(f"a float video array holds values in 0..1; given {lowest:.3g} to {highest:.3g}")


def _grey(frame: np.ndarray) -> np.ndarray:
    import cv2

    if frame.dtype != np.uint8:
        frame = np.rint(np.asarray(frame, dtype=np.float32) * 255.0).astype(np.uint8)
    frame = np.ascontiguousarray(frame)
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) if frame.ndim == 3 else frame


def _file_frames(
    video: File, name: str, rate: float, start: float | None, end: float | None
) -> Iterator[tuple[float, np.ndarray]]:
    """Times and grey uint8 frames of a video file, turned the way its display matrix says.

    PyAV rather than OpenCV: as fast, and it hands over luminance without a detour through RGB, true time stamps, and
    errors as exceptions.
    """
    import av

    try:
        with av.open(openable(video, picture_files.KIND), metadata_errors="ignore") as container:
            if not container.streams.video:
                raise MediaError(f"{name} has no pictures: it holds no video track")
            context = container.streams.video[0].codec_context
            if context is None:
                raise MediaError(f"{name} is in a form of video that is not known here; convert it, say to .mp4")
            fault = limits.picture_fault(context.width or 1, context.height or 1)
            if fault:
                raise MediaError(f"{name}: {fault}")
            for time, frame in _sampled(_decoded(container, start), rate, start, end):
                # to grey means to full range, 0..255, whatever the range of the file
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
    """Seconds since the video's first frame, and the undecoded-to-RGB frame; damaged packets are passed over."""
    import av

    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    first = float((stream.start_time or 0) * stream.time_base)
    timed = stream.start_time is not None  # a bare H.264 stream carries no times, and cannot be wound forward
    if start and timed:
        container.seek(round((start + first) / stream.time_base), stream=stream)
    count = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            continue
        for frame in frames:
            index = count / float(stream.average_rate or 25)
            count += 1
            yield (frame.time - first if timed and frame.time is not None else index), frame


def _check_arguments(rate: float, start: float | None, end: float | None, side: str | None, limit: int | None) -> None:
    if rate is None or not all(isinstance(value, Real | None) for value in (rate, start, end, limit)):
        raise InputError("rate, start, end and limit are numbers; start, end and limit may be None")
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"rate is frames a second, above 0; given {rate!r}")
    if not (math.isfinite(start or 0.0) and (start or 0.0) >= 0):
        raise InputError(f"start is seconds from the beginning, at least 0; given {start!r}")
    if end is not None and not end > (start or 0.0):
        raise InputError(f"end is seconds from the beginning, after start; given start={start!r}, end={end!r}")
    if side not in (None, "left", "right"):
        raise InputError(f"side is 'left', 'right' or None for the whole picture; given {side!r}")
    if limit is not None and limit < 1:
        raise InputError(f"limit is a number of faces, at least 1, or None; given {limit!r}")


def _no_face(seen: int, name: str) -> str:
    where = f"{seen} frames of {name}" if seen > 1 else name
    return (
        f"no face found in {where}; give an upright face that looks towards the camera and takes up an eighth of the "
        "picture's height, or say that a picture is the face: {'image': ..., 'face': True}"
    )
