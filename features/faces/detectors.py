"""Find faces: OpenCV's Haar cascades, or YuNet from a file.

A face is the square that the frontal Haar cascade returns, without a margin, because a detector of the same kind
cropped FER2013. On 600 of its test faces (bordered, enlarged) the cascade's square covers a median 0.98 of the image's
width and starts at 0.007 of it. So the crops resemble the training images.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import InputError, MediaError, MissingFileError

MIN_FACE = 1 / 8  # of the frame's shorter side: smaller faces are passers-by, and the search for them is slow
MIN_FACE_PIXELS = 40  # a smaller face has less detail than FER2013's 48 pixels
SEARCH_SIDE = 300  # pixels: the shorter side of a frame that is reduced for a search of the full frame
NEAR_FACE = 64  # pixels: the width of the expected face when only its surroundings are searched
MAX_ROLL = 30.0  # degrees; a steeper "eye" is a nostril or a brow
EYE_DISTANCE = 0.385  # of the square's side; median over 248 FER2013 test faces
EYE_HEIGHT = 0.38  # of the square's side, from its top to the eyes; median over the same faces
EYE_TO_MOUTH = 1.16  # distance from eyes to mouth / distance between the eyes, frontal face (ArcFace's template)


@dataclass(frozen=True)
class Face:
    """A square in pixels of the frame, the confidence of its detector (0..1) and its roll angle."""

    x: float
    y: float
    side: float
    confidence: float
    roll: float | None = None
    """Degrees; positive if the eye on the right of the picture is lower; None if no eyes were found."""


class HaarDetector:
    """OpenCV's frontal Haar cascade (Viola & Jones 2001). OpenCV's eye cascade finds the eyes."""

    def __init__(self, *, patient: bool = False) -> None:
        """patient: if no face is found, search again in finer steps and beyond the border (for stills)."""
        self.patient = patient

    def detect(self, grey: np.ndarray, near: Face | None = None) -> list[Face]:
        """Find the faces in a grey uint8 frame `(height, width)`. With `near`, search only around that face."""
        if near is not None:
            return self._around(grey, near)
        faces = self._search(grey, border=0, scale_step=1.2, neighbours=5)
        if not faces and (self.patient or min(grey.shape) <= SEARCH_SIDE):
            # the picture may be cropped close to the face: the cascade needs some surroundings
            border = min(max(grey.shape) // 4, min(grey.shape) // 3)
            faces = self._search(grey, border=border, scale_step=1.1, neighbours=4)
        return faces

    def roll(self, grey: np.ndarray, face: Face) -> float | None:
        """The angle in degrees between the line of the eyes and the horizontal; None without two plausible eyes."""
        import cv2

        size = 96
        upper_half = cv2.resize(cut(grey, face.x, face.y, face.side), (size, size), interpolation=cv2.INTER_AREA)[:58]
        boxes = _cascade("haarcascade_eye.xml").detectMultiScale(upper_half, 1.1, 4, minSize=(20, 20), maxSize=(36, 36))
        centres = [(x + width / 2, y + height / 2) for x, y, width, height in boxes]
        pairs = [(left, right) for left in centres for right in centres if left[0] < size / 2 < right[0]]
        if not pairs:
            return None
        expected_eyes = np.array([[0.5 - EYE_DISTANCE / 2, EYE_HEIGHT], [0.5 + EYE_DISTANCE / 2, EYE_HEIGHT]]) * size
        left, right = min(pairs, key=lambda pair: np.abs(np.array(pair) - expected_eyes).sum())
        degrees = float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))
        return degrees if right[0] - left[0] > 0.2 * size and abs(degrees) <= MAX_ROLL else None

    def _search(self, grey: np.ndarray, border: int, scale_step: float, neighbours: int) -> list[Face]:
        import cv2

        shorter_side = min(grey.shape)
        scale = min(1.0, SEARCH_SIDE / shorter_side)
        reduced_frame = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        margin = int(border * scale)
        if margin:
            reduced_frame = cv2.copyMakeBorder(reduced_frame, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        smallest_side = max(shorter_side * MIN_FACE, MIN_FACE_PIXELS) * scale
        return [
            replace(face, x=(face.x - margin) / scale, y=(face.y - margin) / scale, side=face.side / scale)
            for face in _squares(reduced_frame, scale_step, neighbours, smallest_side, None)
        ]

    def _around(self, grey: np.ndarray, near: Face) -> list[Face]:
        import cv2

        x, y = near.x - near.side / 2, near.y - near.side / 2
        scale = NEAR_FACE / near.side
        size = 2 * NEAR_FACE
        surroundings = cv2.resize(cut(grey, x, y, 2 * near.side), (size, size), interpolation=cv2.INTER_AREA)
        return [
            replace(face, x=round(x) + face.x / scale, y=round(y) + face.y / scale, side=face.side / scale)
            for face in _squares(surroundings, 1.1, 4, 0.7 * NEAR_FACE, 1.4 * NEAR_FACE)
        ]


class YuNetDetector:
    """OpenCV Zoo's YuNet (Wu et al. 2023), loaded from its ONNX file. It also finds turned and partly covered faces.

    The network receives the grey picture in all three channels. YuNet's boxes are taller than wide, so the square is
    computed from the landmarks instead: eyes and mouth are where they are in FER2013.
    """

    def __init__(self, path: str | Path) -> None:
        import cv2

        if not Path(path).is_file():
            raise MissingFileError(f"no YuNet model at {path}; download face_detection_yunet_*.onnx from OpenCV Zoo")
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score_threshold=0.6)
        except cv2.error as error:
            raise InputError(f"{path} is not a YuNet model that OpenCV can load: {error}") from error

    def detect(self, grey: np.ndarray, near: Face | None = None) -> list[Face]:
        """Find the faces in a grey uint8 frame `(height, width)`. With `near`, return only those that overlap it."""
        import cv2

        scale = min(1.0, SEARCH_SIDE / min(grey.shape))
        reduced_frame = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._net.setInputSize(reduced_frame.shape[::-1])
        _, rows = self._net.detect(cv2.cvtColor(reduced_frame, cv2.COLOR_GRAY2BGR))
        faces = [] if rows is None else [_square_of_landmarks(row, scale) for row in rows]
        smallest_side = max(min(grey.shape) * MIN_FACE, MIN_FACE_PIXELS)
        return [face for face in faces if face.side >= smallest_side and (near is None or overlap(face, near) > 0.2)]

    def roll(self, grey: np.ndarray, face: Face) -> float | None:
        """Return the roll of the face, which `detect` computed from the landmarks."""
        return face.roll


_loaded = threading.local()  # a cascade contains its work space, so each thread loads its own


def _cascade(name: str) -> Any:
    """Load a cascade of OpenCV, once per thread."""
    if not hasattr(_loaded, name):
        import cv2
        from cv2.data import haarcascades

        setattr(_loaded, name, cv2.CascadeClassifier(str(Path(haarcascades) / name)))
    return getattr(_loaded, name)


def _squares(
    grey: np.ndarray, scale_step: float, neighbours: int, smallest_side: float, largest_side: float | None
) -> list[Face]:
    """Faces of the frontal cascade. Confidence is 1 - exp(-w / 5) for the sum w of the last stage (typically 7)."""
    import cv2

    try:
        boxes, _, weights = _cascade("haarcascade_frontalface_default.xml").detectMultiScale3(
            grey,
            scaleFactor=scale_step,
            minNeighbors=neighbours,
            minSize=(int(smallest_side), int(smallest_side)),
            maxSize=(int(largest_side), int(largest_side)) if largest_side else (0, 0),
            outputRejectLevels=True,
        )
    except cv2.error as error:  # the cascade's work space may be damaged
        vars(_loaded).clear()
        raise MediaError(
            f"a frame of {grey.shape[1]} x {grey.shape[0]} pixels cannot be searched for faces: {error.err}"
        ) from error
    confidences = 1.0 - np.exp(-np.maximum(np.ravel(weights), 0.0) / 5.0)
    return [Face(float(x), float(y), float(w), float(c)) for (x, y, w, _), c in zip(boxes, confidences, strict=True)]


def _square_of_landmarks(row: np.ndarray, scale: float) -> Face:
    """Convert YuNet's row (box, right eye, left eye, nose, two mouth corners, score) of a reduced frame to a square."""
    points = row[4:14].reshape(5, 2) / scale
    left_eye, right_eye = sorted(points[:2].tolist())  # left and right in the picture
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    # a turned head shortens the eye distance, a nodding head the distance from eyes to mouth
    distance = max(np.hypot(*(points[1] - points[0])), np.hypot(*(mouth - eyes)) / EYE_TO_MOUTH)
    side = float(distance / EYE_DISTANCE)
    roll = float(np.degrees(np.arctan2(right_eye[1] - left_eye[1], right_eye[0] - left_eye[0])))
    downwards = np.array([-np.sin(np.radians(roll)), np.cos(np.radians(roll))])
    x, y = eyes + downwards * (0.5 - EYE_HEIGHT) * side - side / 2
    return Face(float(x), float(y), side, float(row[14]), roll if abs(roll) <= MAX_ROLL else None)


def cut(grey: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """Cut out the square at (x, y), rounded to whole pixels. Repeats the edge beyond the frame."""
    left, top, size = round(x), round(y), max(round(side), 1)
    height, width = grey.shape
    square = grey[max(top, 0) : min(top + size, height), max(left, 0) : min(left + size, width)]
    if square.shape == (size, size):
        return square
    rows = np.clip(np.arange(top, top + size), 0, height - 1)
    columns = np.clip(np.arange(left, left + size), 0, width - 1)
    return grey[rows[:, None], columns]


def overlap(first: Face, second: Face) -> float:
    """Intersection over union of two squares."""
    width = min(first.x + first.side, second.x + second.side) - max(first.x, second.x)
    height = min(first.y + first.side, second.y + second.side) - max(first.y, second.y)
    intersection = max(width, 0.0) * max(height, 0.0)
    return intersection / (first.side**2 + second.side**2 - intersection)
