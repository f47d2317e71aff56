"""Face tracking: a detector runs about twice a second, template matching follows the face in between.

The face is cropped to 48 x 48 pixels. The crop is the square that the frontal Haar cascade returns, without a margin,
because a detector of the same kind cropped FER2013. On 600 of its test faces (bordered, enlarged) the cascade's square
covers a median 0.98 of the image's width and starts at 0.007 of it. So the crops resemble the training images.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import InputError, MediaError, MissingFileError

FACE_SIZE = 48  # pixels, as in FER2013
MIN_FACE = 1 / 8  # of the frame's shorter side: smaller faces are passers-by, and the search for them is slow
MIN_FACE_PIXELS = 40  # a smaller face has less detail than FER2013's 48 pixels
SEARCH_SIDE = 300  # pixels: the shorter side of a frame that is reduced for a search of the full frame
NEAR_FACE = 64  # pixels: the width of the expected face when only its surroundings are searched
REDETECT_SECONDS = 0.5  # interval between two runs of the detector
LOST_SECONDS = 2.0  # without a detection for this long the face is lost: the template may match a wall
TRACKED = 0.7  # minimum normalised correlation of a template match; below it the face is lost
TEMPLATE = 48  # pixels: side of the template
SAME_FACE = 0.3  # minimum overlap (intersection over union) of a detected face with the face of a track
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
        upper_half = cv2.resize(_cut(grey, face.x, face.y, face.side), (size, size), interpolation=cv2.INTER_AREA)[:58]
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
        surroundings = cv2.resize(_cut(grey, x, y, 2 * near.side), (size, size), interpolation=cv2.INTER_AREA)
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
        return [face for face in faces if face.side >= smallest_side and (near is None or _overlap(face, near) > 0.2)]

    def roll(self, grey: np.ndarray, face: Face) -> float | None:
        """Return the roll of the face, which `detect` computed from the landmarks."""
        return face.roll


class FaceTracker:
    """Follows one face from frame to frame. `follow` returns the face, or None in frames without it.

    A track begins with the largest face (weighted by confidence). It continues with the face nearest to the last
    position, even if a larger face appears. When the face is lost, the next track begins with the largest face again.
    """

    def __init__(self, detector: HaarDetector | YuNetDetector) -> None:
        self.detector = detector
        self._face: Face | None = None
        self._template = np.zeros((0, 0), np.uint8)
        self._detected_at = -np.inf

    def follow(self, grey: np.ndarray, time: float) -> Face | None:
        """Grey uint8 frame `(height, width)` and its time in seconds, frames in order -> the face, or None."""
        elapsed = time - self._detected_at
        if elapsed > LOST_SECONDS + REDETECT_SECONDS:  # after a gap, a face may be another person's
            self._face = None
        tracked_face = self._match_template(grey)
        if tracked_face is None or elapsed >= REDETECT_SECONDS:
            detected_face = self._detect(grey, tracked_face)
            if detected_face is not None:
                self._keep(grey, time, detected_face)
                return detected_face
            if elapsed > LOST_SECONDS:
                tracked_face = None
        self._face = tracked_face
        return tracked_face

    def _keep(self, grey: np.ndarray, time: float, face: Face) -> None:
        """Remember a detected face: its position, its template and its time."""
        self._face, self._template, self._detected_at = face, _template(grey, face), time

    def _match_template(self, grey: np.ndarray) -> Face | None:
        """Move the last face to the best template match within half its width; None if that match is poor."""
        import cv2

        face = self._face
        if face is None:
            return None
        x, y = round(face.x - face.side / 2), round(face.y - face.side / 2)
        window = cv2.resize(_cut(grey, x, y, 2 * face.side), (2 * TEMPLATE, 2 * TEMPLATE), interpolation=cv2.INTER_AREA)
        fit = cv2.matchTemplate(window, self._template, cv2.TM_CCOEFF_NORMED)
        _, correlation, _, (column, row) = cv2.minMaxLoc(fit)
        if not correlation >= TRACKED:  # NaN, from a window of one grey, counts as lost too
            return None
        scale = TEMPLATE / face.side
        face_x = x + (column + _vertex(fit[row], column)) / scale
        face_y = y + (row + _vertex(fit[:, column], row)) / scale
        return replace(face, x=face_x, y=face_y, confidence=min(correlation, 1.0))

    def _detect(self, grey: np.ndarray, tracked_face: Face | None) -> Face | None:
        """Detect the face near its tracked or last position; if it is lost, detect the largest face of the frame."""
        previous_face = tracked_face or self._face
        faces = self.detector.detect(grey, near=previous_face) if previous_face else []
        if previous_face and faces:
            face = max(faces, key=lambda candidate: _overlap(candidate, previous_face))
            return self._continued(grey, face, previous_face)
        if tracked_face is not None:
            return None
        faces = self.detector.detect(grey)
        if not faces:
            return None
        return self._with_roll(grey, max(faces, key=lambda face: face.side**2 * face.confidence), None)

    def _continued(self, grey: np.ndarray, face: Face, previous_face: Face) -> Face:
        """A detected face that continues a track, with steady size and roll."""
        # the sizes of the cascade's squares are 10 % apart: halve the change in size, keep the centre
        side = round((face.side + previous_face.side) / 2)
        face = replace(face, x=face.x + (face.side - side) / 2, y=face.y + (face.side - side) / 2, side=side)
        return self._with_roll(grey, face, previous_face.roll)

    def _with_roll(self, grey: np.ndarray, face: Face, previous_roll: float | None) -> Face:
        """Set the roll of a face, averaged with the previous roll because a single one is accurate to a few degrees."""
        roll = self.detector.roll(grey, face)
        if roll is None or previous_roll is None:
            return replace(face, roll=previous_roll if roll is None else roll)
        return replace(face, roll=(roll + previous_roll) / 2)


class FaceTracks:
    """Follows all faces from frame to frame. Each face has a number, from 1, which it keeps until it is lost."""

    def __init__(self, detector: HaarDetector | YuNetDetector) -> None:
        self.detector = detector
        self._tracks: dict[int, FaceTracker] = {}
        self._count = 0
        self._searched_at = -np.inf

    def follow(self, grey: np.ndarray, time: float) -> dict[int, Face]:
        """Grey uint8 frame `(height, width)` and its time in seconds, frames in order -> the faces by number."""
        self._drop_lost(time - REDETECT_SECONDS)  # after a gap in the film, a face at the same place is a new one
        found = {}
        for number, track in self._tracks.items():
            tracked_face = track._match_template(grey)
            if tracked_face is not None:
                track._face = found[number] = tracked_face
        if time - self._searched_at >= REDETECT_SECONDS:
            self._searched_at = time
            for face in sorted(self.detector.detect(grey), key=lambda face: -face.side):
                known = [track._face for track in self._tracks.values() if track._detected_at == time and track._face]
                if all(_overlap(face, other) <= SAME_FACE for other in known):  # the cascade may find a face twice
                    number, found_face = self._assign(grey, time, face)
                    found[number] = found_face
        self._drop_lost(time)
        return {number: face for number, face in found.items() if number in self._tracks}

    def _drop_lost(self, time: float) -> None:
        """Forget the tracks whose face was not detected for more than `LOST_SECONDS`."""
        self._tracks = {
            number: track for number, track in self._tracks.items() if time - track._detected_at <= LOST_SECONDS
        }

    def _assign(self, grey: np.ndarray, time: float, face: Face) -> tuple[int, Face]:
        """Give a detected face to the track that it overlaps most, or begin a new track."""
        overlaps = {
            number: _overlap(face, track._face)
            for number, track in self._tracks.items()
            if track._face is not None and track._detected_at < time
        }
        number = max(overlaps, key=overlaps.__getitem__, default=0)
        known_face = self._tracks[number]._face if number and overlaps[number] > SAME_FACE else None
        if known_face is not None:
            track = self._tracks[number]
            face = track._continued(grey, face, known_face)
        else:
            self._count += 1
            number, track = self._count, FaceTracker(self.detector)
            face = track._with_roll(grey, face, None)
            self._tracks[number] = track
        track._keep(grey, time, face)
        return number, face


def crop(grey: np.ndarray, face: Face) -> np.ndarray:
    """Crop a face, rotated until its eyes are level: `(48, 48)` float32 in 0..1. Repeats the edge beyond the frame."""
    import cv2

    # rotate at about the frame's resolution, then average down: this avoids aliasing
    size = FACE_SIZE * max(1, round(face.side / FACE_SIZE))
    centre = (face.x + (face.side - 1) / 2, face.y + (face.side - 1) / 2)
    rotation = cv2.getRotationMatrix2D(centre, face.roll or 0.0, size / face.side)
    rotation[0, 2] += (size - 1) / 2 - centre[0]
    rotation[1, 2] += (size - 1) / 2 - centre[1]
    rotated = cv2.warpAffine(grey, rotation, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return equalised(cv2.resize(rotated, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA))


def equalised(face: np.ndarray) -> np.ndarray:
    """Equalise the histogram of a grey uint8 face, to reduce the effect of light and camera; float32 in 0..1."""
    import cv2

    return cv2.equalizeHist(face).astype(np.float32) / 255.0


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


def _cut(grey: np.ndarray, x: float, y: float, side: float) -> np.ndarray:
    """Cut out the square at (x, y), rounded to whole pixels. Repeats the edge beyond the frame."""
    left, top, size = round(x), round(y), max(round(side), 1)
    height, width = grey.shape
    square = grey[max(top, 0) : min(top + size, height), max(left, 0) : min(left + size, width)]
    if square.shape == (size, size):
        return square
    rows = np.clip(np.arange(top, top + size), 0, height - 1)
    columns = np.clip(np.arange(left, left + size), 0, width - 1)
    return grey[rows[:, None], columns]


def _template(grey: np.ndarray, face: Face) -> np.ndarray:
    """The pixels of a face at the template's size."""
    import cv2

    return cv2.resize(_cut(grey, face.x, face.y, face.side), (TEMPLATE, TEMPLATE), interpolation=cv2.INTER_AREA)


def _vertex(fit: np.ndarray, peak: int) -> float:
    """Vertex of the parabola through a peak and its two neighbours: its offset from the peak, at most half a pixel."""
    if not 0 < peak < len(fit) - 1:
        return 0.0
    left, centre, right = (float(value) for value in fit[peak - 1 : peak + 2])
    curvature = left - 2 * centre + right
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5))


def _overlap(first: Face, second: Face) -> float:
    """Intersection over union of two squares."""
    width = min(first.x + first.side, second.x + second.side) - max(first.x, second.x)
    height = min(first.y + first.side, second.y + second.side) - max(first.y, second.y)
    intersection = max(width, 0.0) * max(height, 0.0)
    return intersection / (first.side**2 + second.side**2 - intersection)
