"""Ask MediaPipe's Face Landmarker for the blendshapes of the faces of FER2013.

MediaPipe brings another OpenCV, so this script has an environment of its own (`make blendshapes` sets it up). It reads
the training images alone. `facial_actions.py` reads what it writes.

    python checkpoints/build/blendshapes.py --images DIR/fer2013 --landmarker face_landmarker.task --output FILE.npz
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

CHECKSUM = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
"""SHA-256 of https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"""
SIDE, BORDERS, CONFIDENCE = 192, (64, 16, 128), 0.1
"""A face is enlarged to `SIDE` pixels, and its outermost pixels are repeated around it: the landmarker expects pictures
with something around the face. If it finds no face, the next border is tried."""
SPLITS = ("train",)


def main() -> None:
    """Read all images, and write paths, blendshapes and their names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="folder of FER2013")
    parser.add_argument("--landmarker", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--output", type=Path, required=True, help="file for the blendshapes, .npz")
    parsed = parser.parse_args()
    digest = hashlib.sha256(parsed.landmarker.read_bytes()).hexdigest()
    if digest != CHECKSUM:
        raise SystemExit(
            f"{parsed.landmarker} has the SHA-256 {digest}; expected {CHECKSUM}, as published by Google: delete it and "
            "fetch it again"
        )
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(parsed.landmarker)),
        output_face_blendshapes=True,
        min_face_detection_confidence=CONFIDENCE,
        min_face_presence_confidence=CONFIDENCE,
    )
    files = sorted(
        file for split in SPLITS for file in (parsed.images / split).glob("*/*") if file.suffix in (".jpg", ".png")
    )
    if not files:
        raise SystemExit(f"{parsed.images} has no images; expected train/<emotion>/*.jpg, as in FER2013")
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    rows: list[list[float]] = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for number, file in enumerate(files):
            shapes = read(landmarker, file)
            names = names or [shape.category_name for shape in shapes]
            rows.append([shape.score for shape in shapes])
            if number % 2000 == 0:
                print(f"{number} of {len(files)} faces", flush=True)
    values = np.array([row or [np.nan] * len(names) for row in rows], dtype=np.float32)
    paths = [file.relative_to(parsed.images).with_suffix("").as_posix() for file in files]
    np.savez_compressed(parsed.output, paths=np.array(paths), values=values, names=np.array(names))
    print(f"{len(files)} faces, {np.isnan(values[:, 0]).mean():.3f} of them not found -> {parsed.output}")


def read(landmarker: vision.FaceLandmarker, file: Path) -> list:
    """The blendshapes of the face in an image; an empty list if no face is found."""
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise SystemExit(f"{file} is not a picture; fetch FER2013 again")
    grey = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for border in BORDERS:
        framed = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE)
        colour = np.ascontiguousarray(np.repeat(framed[..., None], 3, axis=2))
        detection = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=colour))
        if detection.face_blendshapes:
            return detection.face_blendshapes[0]
    return []


if __name__ == "__main__":
    main()
