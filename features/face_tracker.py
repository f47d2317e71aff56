"""Where the face is: detected about twice a second, followed by template matching in between, cut out at 48 x 48.

The crop is the square the frontal Haar cascade draws. FER2013 was cut by the same kind of detector: on 600 of its test
faces (bordered, enlarged) the cascade's square covers a median 0.98 of the image's width and starts at 0.007 of it, so
no margin is added, and the training images and the faces found here look alike.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import InputError, MediaError, MissingFileError

FACE_SIZE = 48  # pixels: FER2013's
MIN_FACE = 1 / 8  # of the frame's shorter side: smaller ones are passers-by, and searching for them is what costs
MIN_FACE_PIXELS = 40  # below this the crop would hold less than FER2013's 48 pixels
SEARCH_SIDE = 300  # the shorter side a frame is reduced to before the whole of it is searched
NEAR_FACE = 64  # width of the expected face when only its surroundings are searched
REDETECT_SECONDS = 0.5  # the detector's turn
LOST_SECONDS = 2.0  # a face the detector has not confirmed for so long is given up: the template may sit on a wall
TRACKED = 0.7  # normalised correlation below which the template is held to be lost
TEMPLATE = 48  # pixels a side when matching
MAX_ROLL = 30.0  # degrees; steeper "eyes" are a nostril or a brow
EYE_DISTANCE = 0.385  # of the square's side, and ...
EYE_HEIGHT = 0.38  # ... the eyes' height in it: medians over 248 FER2013 test faces
EYE_TO_MOUTH = 1.16  # eyes to mouth over eye distance in a frontal face (ArcFace's five-point template)


@dataclass(frozen=True)
class Face:
    """A square in pixels of the frame, how sure its finder is (0..1), and how far its eyes are from level."""

    x: float
    y: float
    side: float
    confidence: float
    roll: float | None = None
    """Degrees, positive where the eye on the right of the picture is the lower one; None where no eyes were found."""


class HaarDetector:
    """OpenCV's frontal Haar cascade (Viola & Jones 2001), the eyes by its eye cascade."""

    def __init__(self, *, patient: bool = False) -> None:
        """patient: where nothing was found, search once more in finer steps and beyond the border (for stills)."""
        self.patient = patient

    def detect(self, grey: np.ndarray, near: Face | None = None) -> list[Face]:
        """Faces in a grey uint8 frame `(height, width)`; where `near` is given, only those around it."""
        if near is not None:
            return self._around(grey, near)
        faces = self._search(grey, border=0, scale_step=1.2, neighbours=5)
        if not faces and (self.patient or min(grey.shape) <= SEARCH_SIDE):
            # a picture cut close to the face: the cascade needs to see around it
            border = min(max(grey.shape) // 4, min(grey.shape) // 3)
            faces = self._search(grey, border=border, scale_step=1.1, neighbours=4)
        return faces

    def roll(self, grey: np.ndarray, face: Face) -> float | None:
        """Degrees between the eyes and the horizontal, or None when two plausible eyes are not found."""
        import cv2

        size = 96
        upper = cv2.resize(_cut(grey, face.x, face.y, face.side), (size, size), interpolation=cv2.INTER_AREA)[:58]
        found = _cascade("haarcascade_eye.xml").detectMultiScale(upper, 1.1, 4, minSize=(20, 20), maxSize=(36, 36))
        centres = [(x + width / 2, y + height / 2) for x, y, width, height in found]
        pairs = [(left, right) for left in centres for right in centres if left[0] < size / 2 < right[0]]
        if not pairs:
            return None
        expected = np.array([[0.5 - EYE_DISTANCE / 2, EYE_HEIGHT], [0.5 + EYE_DISTANCE / 2, EYE_HEIGHT]]) * size
        left, right = min(pairs, key=lambda pair: np.abs(np.array(pair) - expected).sum())
        degrees = float(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])))
        return degrees if right[0] - left[0] > 0.2 * size and abs(degrees) <= MAX_ROLL else None

    def _search(self, grey: np.ndarray, border: int, scale_step: float, neighbours: int) -> list[Face]:
        import cv2

        shorter = min(grey.shape)
        scale = min(1.0, SEARCH_SIDE / shorter)
        reduced = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        margin = int(border * scale)
        if margin:
            reduced = cv2.copyMakeBorder(reduced, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        smallest = max(shorter * MIN_FACE, MIN_FACE_PIXELS) * scale
        return [
            replace(face, x=(face.x - margin) / scale, y=(face.y - margin) / scale, side=face.side / scale)
            for face in _squares(reduced, scale_step, neighbours, smallest, None)
        ]

    def _around(self, grey: np.ndarray, near: Face) -> list[Face]:
        import cv2

        x, y = near.x - near.side / 2, near.y - near.side / 2
        scale = NEAR_FACE / near.side
        size = 2 * NEAR_FACE
        surroundings = cv2.resize(_cut(grey, x, y, 2 * near.side), (size, size), interpolation=cv2.INTER_AREA)
        return [
            replace(face, x=round(x) + face.x / scale, y=round(y) + face.y / scale, side=face.side / scale)
            for face in _squares(surroundings, 1.1, 4, 0.7 * NEAR_FACE, 1.4 * NEAR_FACE)
        ]


class YuNetDetector:
    """OpenCV Zoo's YuNet (Wu et al. 2023) from its ONNX file: finds turned and partly covered faces too.

    It is given the grey picture in all three channels. The square is laid so that eyes and mouth stand where FER2013
    has them, because YuNet's own boxes are taller than wide.
    """

    def __init__(self, path: str | Path) -> None:
        import cv2

        if not Path(path).is_file():
            raise MissingFileError(
                f"no YuNet model at {path}; it is the file face_detection_yunet_*.onnx of OpenCV Zoo"
            )
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score_threshold=0.6)
        except cv2.error as error:
            raise InputError(f"{path} is not a YuNet model OpenCV can load: {error}") from error

    def detect(self, grey: np.ndarray, near: Face | None = None) -> list[Face]:
        """Faces in a grey uint8 frame `(height, width)`; where `near` is given, only those that overlap it."""
        import cv2

        scale = min(1.0, SEARCH_SIDE / min(grey.shape))
        reduced = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._net.setInputSize(reduced.shape[::-1])
        _, rows = self._net.detect(cv2.cvtColor(reduced, cv2.COLOR_GRAY2BGR))
        faces = [] if rows is None else [_square_of_landmarks(row, scale) for row in rows]
        smallest = max(min(grey.shape) * MIN_FACE, MIN_FACE_PIXELS)
        return [face for face in faces if face.side >= smallest and (near is None or _overlap(face, near) > 0.2)]

    def roll(self, grey: np.ndarray, face: Face) -> float | None:
        """The face's own: its landmarks came with it."""
        return face.roll


class FaceTracker:
    """Follows one face from frame to frame. `follow` returns it, or None in frames without one.

    A track begins with the face that is largest (weighted by confidence) and goes on with the face nearest to where it
    was, even when a larger one enters. When it is lost, the next track begins with the largest again.
    """

    def __init__(self, detector: HaarDetector | YuNetDetector) -> None:
        self.detector = detector
        self._face: Face | None = None
        self._template = np.zeros((0, 0), np.uint8)
        self._detected_at = -np.inf

    def follow(self, grey: np.ndarray, time: float) -> Face | None:
        """grey uint8 `(height, width)` and its time in seconds, in order -> the face, or None."""
        tracked = self._matched(grey)
        overdue = time - self._detected_at
        if tracked is None or overdue >= REDETECT_SECONDS:
            detected = self._detected(grey, tracked)
            if detected is not None:
                self._template = _template(grey, detected)
                self._detected_at = time
                tracked = detected
            elif overdue > LOST_SECONDS:
                tracked = None
        self._face = tracked
        return tracked

    def _matched(self, grey: np.ndarray) -> Face | None:
        """The last face where its template fits best within half a face's width, or None where it fits badly."""
        import cv2

        last = self._face
        if last is None:
            return None
        x, y = round(last.x - last.side / 2), round(last.y - last.side / 2)
        window = cv2.resize(_cut(grey, x, y, 2 * last.side), (2 * TEMPLATE, 2 * TEMPLATE), interpolation=cv2.INTER_AREA)
        fit = cv2.matchTemplate(window, self._template, cv2.TM_CCOEFF_NORMED)
        _, best, _, (column, row) = cv2.minMaxLoc(fit)
        if not best >= TRACKED:  # NaN, where the window is flat, is lost too
            return None
        scale = TEMPLATE / last.side
        across = x + (column + _vertex(fit[row], column)) / scale
        down = y + (row + _vertex(fit[:, column], row)) / scale
        return replace(last, x=across, y=down, confidence=min(best, 1.0))

    def _detected(self, grey: np.ndarray, tracked: Face | None) -> Face | None:
        """The face near where it is or was; if it is lost, the largest of the frame."""
        previous = tracked or self._face
        faces = self.detector.detect(grey, near=previous) if previous else []
        if previous and faces:
            face = max(faces, key=lambda candidate: _overlap(candidate, previous))
            # the cascade's squares come in steps of 10 %: halve the jump, about the same centre
            side = round((face.side + previous.side) / 2)
            face = replace(face, x=face.x + (face.side - side) / 2, y=face.y + (face.side - side) / 2, side=side)
            return self._levelled(grey, face, previous.roll)
        if tracked is not None:
            return None
        faces = self.detector.detect(grey)
        if not faces:
            return None
        return self._levelled(grey, max(faces, key=lambda face: face.side**2 * face.confidence), None)

    def _levelled(self, grey: np.ndarray, face: Face, before: float | None) -> Face:
        """The face with its roll, averaged with the one before: single eye positions are good to a few degrees."""
        roll = self.detector.roll(grey, face)
        if roll is None or before is None:
            return replace(face, roll=before if roll is None else roll)
        return replace(face, roll=(roll + before) / 2)


def crop(grey: np.ndarray, face: Face) -> np.ndarray:
    """The face turned until its eyes are level, `(48, 48)` float32 in 0..1; the border is repeated beyond the frame."""
    import cv2

    # turned at about the frame's own resolution and then averaged down, so that nothing aliases
    size = FACE_SIZE * max(1, round(face.side / FACE_SIZE))
    centre = (face.x + (face.side - 1) / 2, face.y + (face.side - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, face.roll or 0.0, size / face.side)
    turn[0, 2] += (size - 1) / 2 - centre[0]
    turn[1, 2] += (size - 1) / 2 - centre[1]
    turned = cv2.warpAffine(grey, turn, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return equalised(cv2.resize(turned, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA))


def equalised(face: np.ndarray) -> np.ndarray:
    """A grey uint8 face as float32 in 0..1 with its histogram levelled, so that light and camera count less."""
    import cv2

    return cv2.equalizeHist(face).astype(np.float32) / 255.0


_loaded = threading.local()  # a cascade keeps its work space inside: one for each thread


def _cascade(name: str) -> Any:
    if not hasattr(_loaded, name):
        import cv2
        from cv2.data import haarcascades

        setattr(_loaded, name, cv2.CascadeClassifier(str(Path(haarcascades) / name)))
    return getattr(_loaded, name)


def _squares(
    grey: np.ndarray, scale_step: float, neighbours: int, smallest: float, largest: float | None
) -> list[Face]:
    """What the frontal cascade finds; confidence 1 - exp(-w / 5) for a last stage's sum w (7 in a typical face)."""
    import cv2

    try:
        boxes, _, weights = _cascade("haarcascade_frontalface_default.xml").detectMultiScale3(
            grey,
            scaleFactor=scale_step,
            minNeighbors=neighbours,
            minSize=(int(smallest), int(smallest)),
            maxSize=(int(largest), int(largest)) if largest else (0, 0),
            outputRejectLevels=True,
        )
    except cv2.error as error:  # its work space may be of no use any more
        vars(_loaded).clear()
        raise MediaError(
            f"a frame of {grey.shape[1]} x {grey.shape[0]} pixels cannot be searched: {error.err}"
        ) from error
    confidences = 1.0 - np.exp(-np.maximum(np.ravel(weights), 0.0) / 5.0)
    return [Face(float(x), float(y), float(w), float(c)) for (x, y, w, _), c in zip(boxes, confidences, strict=True)]


def _square_of_landmarks(row: np.ndarray, scale: float) -> Face:
    """YuNet's row (box, right eye, left eye, nose, two mouth corners, score) of a reduced frame -> a square."""
    points = row[4:14].reshape(5, 2) / scale
    first, second = sorted(points[:2].tolist())  # by x: the left one in the picture first
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    # turning the head shortens the first distance, nodding the second
    distance = max(np.hypot(*(points[1] - points[0])), np.hypot(*(mouth - eyes)) / EYE_TO_MOUTH)
    side = float(distance / EYE_DISTANCE)
    roll = float(np.degrees(np.arctan2(second[1] - first[1], second[0] - first[0])))
    down = np.array([-np.sin(np.radians(roll)), np.cos(np.radians(roll))])
    x, y = eyes + down * (0.5 - EYE_HEIGHT) * side - side / 2
    return Face(float(x), float(y), side, float(row[14]), roll if abs(roll) <= MAX_ROLL else None)


def _cut(grey: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """The square at (x, y), to whole pixels; the border is repeated beyond the frame."""
    left, top, size = round(x), round(y), max(round(side), 1)
    height, width = grey.shape
    inside = grey[max(top, 0) : min(top + size, height), max(left, 0) : min(left + size, width)]
    if inside.shape == (size, size):
        return inside
    rows = np.clip(np.arange(top, top + size), 0, height - 1)
    columns = np.clip(np.arange(left, left + size), 0, width - 1)
    return grey[rows[:, None], columns]


def _template(grey: np.ndarray, face: Face) -> np.ndarray:
    import cv2

    return cv2.resize(_cut(grey, face.x, face.y, face.side), (TEMPLATE, TEMPLATE), interpolation=cv2.INTER_AREA)


def _vertex(fit: np.ndarray, peak: int) -> float:
    """Offset, within half a pixel, of the vertex of the parabola through a peak and its two neighbours."""
    if not 0 < peak < len(fit) - 1:
        return 0.0
    before, at, after = (float(value) for value in fit[peak - 1 : peak + 2])
    curvature = before - 2 * at + after
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (before - after) / curvature, -0.5, 0.5))


def _overlap(first: Face, second: Face) -> float:
    """Intersection over union of two squares."""
    width = min(first.x + first.side, second.x + second.side) - max(first.x, second.x)
    height = min(first.y + first.side, second.y + second.side) - max(first.y, second.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (first.side**2 + second.side**2 - shared)
