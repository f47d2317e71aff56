"""Video and pictures to faces: one face followed through time, cut to 48 x 48 grey, at most ten a second."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features.face_tracker import FACE_SIZE, Face, FaceTracker, HaarDetector, YuNetDetector, crop
from emoembed.features.feature_set import Features, FeatureSet

FACES = FeatureSet(
    "faces",
    tuple(f"pixel_{row:02d}_{column:02d}" for row in range(FACE_SIZE) for column in range(FACE_SIZE)),
    rate=10.0,
)
FACE_ITSELF = 64  # pixels on the longer side up to which a picture is not searched: it is the face
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".jp2"}
)  # a .gif is read as a video


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
    video: str | Path | np.ndarray,
    *,
    rate: float = 10.0,
    frame_rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    side: Literal["left", "right"] | None = None,
    detector: str | Path | None = None,
) -> FaceTrack:
    """Find a face in a video or picture and follow it; each row is the face, eyes level, as 48 x 48 grey pixels.

    With several faces in view the track begins with the largest and stays with that face until it is lost. A picture
    of at most 64 pixels on its longer side (FER2013's are 48 x 48) is taken as the face itself and only resized.

    Args:
        video: a video file, an image file, or an array of RGB frames `(time, height, width, 3)`, grey frames
            `(time, height, width)`, one RGB `(height, width, 3)` or grey `(height, width)` image; uint8, or float 0..1.
        rate: frames a second that are looked at, at most; files are sampled by the times they carry.
        frame_rate: frames a second of an array of several frames; required with one, refused with a path.
        start, end: seconds to look at; the whole video by default.
        side: look only at the left or right half of the picture (recordings with one speaker on each side).
        detector: a YuNet ONNX file to find faces with; by default the Haar cascade that comes with OpenCV.

    Raises:
        MissingFileError: a path is not a file.
        MediaError: the file cannot be decoded, or has no frames, or no face in any frame.
        InputError: an array of the wrong shape or type, with NaN or infinite values, or without its frame rate.
    """
    _check_arguments(rate, start, end, side)
    if isinstance(video, np.ndarray):
        name, still = f"video array of shape {video.shape}", _is_still(video)
        frames = _array_frames(video, frame_rate, rate, start, end)
    else:
        path = _checked_path(video, frame_rate)
        name, still = str(video), path.suffix.lower() in IMAGE_SUFFIXES
        frames = iter([(0.0, _read_image(path))]) if still else _file_frames(path, rate, start, end)
    tracker = FaceTracker(YuNetDetector(detector) if detector is not None else HaarDetector(patient=still))
    seen, found = 0, []
    for time, grey in frames:
        seen += 1
        half = grey.shape[1] // 2
        offset = half if side == "right" else 0
        grey = grey[:, half:] if side == "right" else grey[:, :half] if side == "left" else grey
        row = _face_row(grey, time, tracker)
        if row is not None:
            pixels, (x, y, width, height), confidence = row
            found.append((time, pixels, (x + offset, y, width, height), confidence))
    if not seen:
        raise MediaError(f"{name}: no frames" + (f" between {start} s and {end} s" if start or end else ""))
    if not found:
        raise MediaError(_no_face(seen, name, detector))
    times, faces, boxes, confidences = zip(*found, strict=True)
    feature_set = FACES if rate == FACES.rate else replace(FACES, rate=rate)
    return FaceTrack(
        Features(np.stack(faces).reshape(len(faces), -1), feature_set),
        np.array(times),
        np.array(boxes, dtype=np.float64),
        np.array(confidences, dtype=np.float32),
        seen,
    )


def _face_row(
    grey: np.ndarray, time: float, tracker: FaceTracker
) -> tuple[np.ndarray, tuple[float, float, float, float], float] | None:
    """The face of one frame `(48, 48)`, its box and confidence, or None."""
    import cv2

    height, width = grey.shape
    if max(height, width) <= FACE_ITSELF:
        interpolation = cv2.INTER_AREA if min(height, width) >= FACE_SIZE else cv2.INTER_CUBIC
        resized = cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=interpolation)
        return resized.astype(np.float32) / 255.0, (0.0, 0.0, float(width), float(height)), 1.0
    face: Face | None = tracker.follow(grey, time)
    if face is None:
        return None
    return crop(grey, face), (face.x, face.y, face.side, face.side), face.confidence


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
