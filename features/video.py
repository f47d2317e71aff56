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
from emoembed.features.face_tracker import FACE_SIZE, Face, FaceTracker, HaarDetector, YuNetDetector, crop, equalised
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
    video: File | np.ndarray,
    *,
    rate: float = 10.0,
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    side: Literal["left", "right"] | None = None,
    detector: str | Path | None = None,
    limit: int | None = None,
    face_itself: bool = False,
) -> FaceTrack:
    """Find a face in a video or picture and follow it; each row is the face, eyes level, as 48 x 48 grey pixels.

    Light and camera count less, for each face's histogram is levelled. With several faces in view the track begins with
    the largest and stays with that face until it is lost. A picture of at most 64 pixels on its longer side (FER2013's
    are 48 x 48) is taken as the face itself and only resized; so is one of at most 256 pixels that a face fills, or in
    which none is found (a note says so).

    Args:
        video: a video or image file, its bytes or the open file, or an array of RGB frames `(time, height, width, 3)`,
            grey frames `(time, height, width)`, one RGB `(height, width, 3)` or grey `(height, width)` image; uint8, or
            float 0..1.
        rate: frames a second that are looked at, at most; files are sampled by the times they carry.
        frame_rate: frames a second of an array, refused with a path. Without it the array is taken to have been sampled
            already, at `rate`: every frame is looked at.
        start, end: seconds to look at; the whole video by default.
        side: look only at the left or right half of the picture (recordings with one speaker on each side).
        detector: a YuNet ONNX file to find faces with; by default the Haar cascade that comes with OpenCV.
        limit: faces after which no further frame is looked at; by default all are.
        face_itself: each frame is a face that was cut out before; nothing is searched.

    Raises:
        MissingFileError: a path is not a file.
        MediaError: the file cannot be decoded, or has no frames, or no face in any frame.
        InputError: an array of the wrong shape or type, or with NaN or infinite values; or a bad argument.
    """
    _check_arguments(rate, start, end, side, limit)
    if isinstance(video, np.ndarray):
        video = _without_alpha(video)
        name, still = f"video array of shape {video.shape}", _is_still(video)
        frames = _array_frames(video, frame_rate, rate, start, end)
    else:
        if not isinstance(video, str | Path | bytes | bytearray) and not hasattr(video, "read"):
            raise InputError(f"video is a path, bytes, an open file or a NumPy array; given {type(video).__name__}")
        if frame_rate is not None:
            raise InputError(f"frame_rate={frame_rate} was given with {name_of(video)}, which states its own")
        name = name_of(video)
        still = picture_files.is_picture(video)
        frames = iter([(0.0, picture_files.read(video))]) if still else _file_frames(video, name, rate, start, end)
    tracker = FaceTracker(YuNetDetector(detector) if detector is not None else HaarDetector(patient=still))
    seen, found, notes = 0, [], []
    for time, grey in frames:
        seen += 1
        fault = limits.picture_fault(grey.shape[1], grey.shape[0])
        if fault:
            raise MediaError(f"{name}: {fault}")
        middle = grey.shape[1] // 2
        offset = middle if side == "right" else 0
        half = grey[:, offset : middle if side == "left" else None]
        if int(half.max()) - int(half.min()) < FLAT:
            continue
        row = _whole(half) if face_itself or max(half.shape) <= FACE_ITSELF else _face_row(half, time, tracker)
        if still and not face_itself and FACE_ITSELF < max(half.shape) <= SMALL_PICTURE:
            if row is None:
                notes.append(
                    Note("face-whole", "video", f"no face was found in {name}; the whole picture was taken as one")
                )
            if row is None or row[1][2] >= CUT_OUT * min(half.shape):
                row = _whole(half)
        if row is not None:
            pixels, (x, y, width, height), confidence = row
            found.append((time, pixels, (x + offset, y, width, height), confidence))
        if len(found) == limit:
            break
    if not seen:
        span = f" from {start or 0} s to {'the end' if end is None else f'{end} s'}" if start or end else ""
        raise MediaError(f"{name}: no frames{span}")
    if not found:
        raise MediaError(_no_face(seen, name))
    times, faces, boxes, confidences = zip(*found, strict=True)
    feature_set = FACES if rate == FACES.rate else replace(FACES, rate=rate)
    if seen > 1:
        notes.append(Note("faces", "video", f"{len(found)} of {seen} frames show a face"))
    if len(found) < FEW_FACES * seen:
        notes.append(Note("few-faces", "video", f"{len(found)} of {seen} frames show a face, so that it may be none"))
    return FaceTrack(
        Features(np.stack(faces).reshape(len(faces), -1), feature_set, tuple(notes)),
        np.array(times),
        np.array(boxes, dtype=np.float64),
        np.array(confidences, dtype=np.float32),
        seen,
    )


def _face_row(
    grey: np.ndarray, time: float, tracker: FaceTracker
) -> tuple[np.ndarray, tuple[float, float, float, float], float] | None:
    """The face of one frame `(48, 48)`, its box and confidence, or None."""
    face: Face | None = tracker.follow(grey, time)
    if face is None:
        return None
    return crop(grey, face), (face.x, face.y, face.side, face.side), face.confidence


def _whole(grey: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float], float]:
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
    if frame_rate is not None and not (math.isfinite(frame_rate) and frame_rate > 0):
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
