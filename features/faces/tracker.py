"""Face tracking: a detector runs about twice a second, template matching follows the face in between.

The face is cropped to 48 x 48 pixels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emoembed.features.faces.detectors import Face, HaarDetector, YuNetDetector, cut, overlap

FACE_SIZE = 48  # pixels, as in FER2013
REDETECT_SECONDS = 0.5  # interval between two runs of the detector
LOST_SECONDS = 2.0  # without a detection for this long the face is lost: the template may match a wall
TRACKED = 0.7  # minimum normalised correlation of a template match; below it the face is lost
TEMPLATE = 48  # pixels: side of the template
SAME_FACE = 0.3  # minimum overlap (intersection over union) of a detected face with the face of a track


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
        window = cv2.resize(cut(grey, x, y, 2 * face.side), (2 * TEMPLATE, 2 * TEMPLATE), interpolation=cv2.INTER_AREA)
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
            face = max(faces, key=lambda candidate: overlap(candidate, previous_face))
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
        faces = {}
        for number, track in self._tracks.items():
            tracked_face = track._match_template(grey)
            if tracked_face is not None:
                track._face = faces[number] = tracked_face
        if time - self._searched_at >= REDETECT_SECONDS:
            self._searched_at = time
            for face in sorted(self.detector.detect(grey), key=lambda face: -face.side):
                updated = [track._face for track in self._tracks.values() if track._detected_at == time and track._face]
                if all(overlap(face, other) <= SAME_FACE for other in updated):  # the cascade may find a face twice
                    number, assigned_face = self._assign(grey, time, face)
                    faces[number] = assigned_face
        self._drop_lost(time)
        return {number: face for number, face in faces.items() if number in self._tracks}

    def _drop_lost(self, time: float) -> None:
        """Forget the tracks whose face was not detected for more than `LOST_SECONDS`."""
        self._tracks = {
            number: track for number, track in self._tracks.items() if time - track._detected_at <= LOST_SECONDS
        }

    def _assign(self, grey: np.ndarray, time: float, face: Face) -> tuple[int, Face]:
        """Give a detected face to the track that it overlaps most, or begin a new track."""
        overlaps = {
            number: overlap(face, track._face)
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


def _template(grey: np.ndarray, face: Face) -> np.ndarray:
    """The pixels of a face at the template's size."""
    import cv2

    return cv2.resize(cut(grey, face.x, face.y, face.side), (TEMPLATE, TEMPLATE), interpolation=cv2.INTER_AREA)


def _vertex(fit: np.ndarray, peak: int) -> float:
    """Vertex of the parabola through a peak and its two neighbours: its offset from the peak, at most half a pixel."""
    if not 0 < peak < len(fit) - 1:
        return 0.0
    left, centre, right = (float(value) for value in fit[peak - 1 : peak + 2])
    curvature = left - 2 * centre + right
    return 0.0 if curvature >= 0 else float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5))
