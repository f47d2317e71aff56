"""Video and pictures to faces: one face, tracked over time, as 48 x 48 grey pixels, at most ten frames a second."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Literal

import numpy as np

from emoembed.errors import InputError, MediaError
from emoembed.features import limits
from emoembed.features.faces.detectors import HaarDetector, YuNetDetector
from emoembed.features.faces.tracker import FACE_SIZE, FaceTracker, FaceTracks, crop, equalised
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.frames import frames_of
from emoembed.features.media_files import File
from emoembed.features.notes import Note

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
    """One face over time. Frames without the face have no row.

    Examples:
        >>> import numpy as np
        >>> from emoembed.features.video import read_faces
        >>> frames = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)  # in place of faces
        >>> track = read_faces((frames, 10.0), detector="none")
        >>> track.features.values.shape, track.times.tolist()
        ((5, 2304), [0.0, 0.1, 0.2, 0.3, 0.4])
    """

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
    faults: list[Exception] = []
    name, is_still, frames = frames_of(video, rate, start, end, faults)
    finder = FaceFinder(name, detector, side=side, is_still=is_still)
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
    notes = (*finder.notes, *_frame_notes(len(rows), frames_seen), *_damage_notes(len(faults)))
    return FaceTrack(
        Features(np.stack(faces).reshape(len(faces), -1), replace(FACES, rate=rate), notes),
        np.array(times),
        np.array(boxes, dtype=np.float64),
        np.array(confidences, dtype=np.float32),
        frames_seen,
    )


def _damage_notes(count: int) -> list[Note]:
    return [Note("damaged", "video", f"{count} damaged parts of the film were left out")] if count else []


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


Found = tuple[np.ndarray, tuple[float, float, float, float], float]
"""A face `(48, 48)`, its box in the frame, and its confidence."""


class FaceFinder:
    """Finds the face in each frame of a video, frames in order.

    Args:
        name: name of the video, for error messages.
        detector, side: as in `read_faces`.
        is_still: whether the video is a single picture.
        every: follow every face; `find_all` returns them. Otherwise only one face is followed.
    """

    def __init__(
        self,
        name: str,
        detector: str | Path = "haar",
        *,
        side: str | None = None,
        is_still: bool = False,
        every: bool = False,
    ) -> None:
        self.name, self.side, self.is_still = name, side, is_still
        self.notes: list[Note] = []
        self.tracker: FaceTracker | None = None
        self.tracks: FaceTracks | None = None
        if detector != "none":
            face_detector = HaarDetector(patient=is_still) if detector == "haar" else YuNetDetector(detector)
            self.tracker = FaceTracker(face_detector)
            self.tracks = FaceTracks(face_detector) if every else None

    def find(self, grey: np.ndarray, time: float) -> Found | None:
        """The face of a grey uint8 frame `(height, width)`, or None."""
        half, offset = self._half(grey)
        face = None if _is_flat(half) else self._find_in_half(half, time)
        return None if face is None else _moved(face, offset)

    def find_all(self, grey: np.ndarray, time: float) -> dict[int, Found]:
        """The faces of a grey uint8 frame `(height, width)` by number. A face keeps its number until it is lost."""
        half, offset = self._half(grey)
        if _is_flat(half):
            return {}
        if self.tracks is None or max(half.shape) <= FACE_ITSELF:
            face = self._find_in_half(half, time)
            return {} if face is None else {1: _moved(face, offset)}
        return {
            number: _moved((crop(half, face), (face.x, face.y, face.side, face.side), face.confidence), offset)
            for number, face in self.tracks.follow(half, time).items()
        }

    def _half(self, grey: np.ndarray) -> tuple[np.ndarray, int]:
        """The part of a frame that `side` selects, and its first column."""
        fault = limits.picture_fault(grey.shape[1], grey.shape[0])
        if fault:
            raise MediaError(f"{self.name}: {fault}")
        middle = grey.shape[1] // 2
        offset = middle if self.side == "right" else 0
        return grey[:, offset : middle if self.side == "left" else None], offset

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


def _is_flat(grey: np.ndarray) -> bool:
    """Whether a frame has too small a range of grey levels to show anything."""
    return int(grey.max()) - int(grey.min()) < FLAT


def _moved(face: Found, offset: int) -> Found:
    """A face with the position of its box in the frame, from its position in a half of the frame."""
    pixels, (x, y, width, height), confidence = face
    return pixels, (x + offset, y, width, height), confidence


def _whole(grey: np.ndarray) -> Found:
    """Use the full frame as the face, with its box and a confidence of 1."""
    import cv2

    height, width = grey.shape
    interpolation = cv2.INTER_AREA if min(height, width) >= FACE_SIZE else cv2.INTER_CUBIC
    face = cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=interpolation)
    return equalised(face), (0.0, 0.0, float(width), float(height)), 1.0


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
