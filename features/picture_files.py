"""Pictures and films from files, their declared size checked before anything is decoded."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emoembed.errors import MediaError
from emoembed.features import limits
from emoembed.features.media_files import File, name_of, openable

if TYPE_CHECKING:
    from PIL import Image

KIND = "video or image"
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".jp2"}
)  # a .gif is read as a video


DAMAGED = (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, struct.error)
"""What Pillow raises of pictures that are damaged, or were closed."""


def is_picture(source: File) -> bool:
    """Whether a file is one picture: by its name, or where it has none by its beginning."""
    place = openable(source, KIND)
    if isinstance(place, str):
        return Path(place).suffix.lower() in SUFFIXES
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(place) as picture:
            return picture.format != "GIF"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def read(source: File) -> np.ndarray:
    """A picture as grey uint8 `(height, width)`, turned the way its EXIF entry says.

    Raises:
        MediaError: it cannot be read, or is larger than `limits` allow.
    """
    import cv2
    from PIL import Image

    name, place = name_of(source), openable(source, KIND)
    try:
        content = Path(place).read_bytes() if isinstance(place, str) else place.read()
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror or error}") from error
    kind = Path(place).suffix if isinstance(place, str) else ""
    unreadable = f"{name} cannot be read as an image: {len(content)} bytes that are no {kind} picture"
    fault = _declared_fault(content)
    if fault is not None:
        raise MediaError(f"{name}: {fault}" if fault else unreadable)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as picture:
            colours = _colours(picture)
    except DAMAGED as error:
        raise MediaError(f"{unreadable} ({error})") from error
    # by way of colour, because Pillow's own grey differs from the one of arrays
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))


def of_pillow(picture: Image.Image) -> np.ndarray:
    """A Pillow picture as RGB uint8 `(height, width, 3)`, turned the way its EXIF entry says.

    Raises:
        MediaError: it cannot be read, or is larger than `limits` allow.
    """
    fault = limits.picture_fault(*picture.size)
    if fault:
        raise MediaError(f"the picture: {fault}")
    try:
        return _colours(picture)
    except DAMAGED as error:
        raise MediaError(f"the Pillow picture cannot be read ({error}); open its file again") from error


def _colours(picture: Image.Image) -> np.ndarray:
    from PIL import ImageOps

    return np.asarray(_eight_bits(ImageOps.exif_transpose(picture)).convert("RGB"))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Sixteen bits a pixel as eight: Pillow would clip them. Mode `I` may hold either."""
    from PIL import Image

    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture).astype(np.int64)
    wide = picture.mode != "I" or int(values.max()) > 255
    return Image.fromarray((values >> 8 if wide else values).clip(0, 255).astype(np.uint8))


def _declared_fault(content: bytes) -> str | None:
    """Why a picture is refused by the size that its header declares, or None; empty where Pillow reads no header."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
            if width * height > limits.PICTURE_PACKING * len(content):
                return f"{width} x {height} pixels in a file of {len(content)} bytes: it is damaged"
            return limits.picture_fault(width, height)
    except Image.DecompressionBombError:  # Pillow's own limit is above ours
        return f"more pixels than the {limits.PICTURE_PIXELS:,} that pictures are read up to; make it smaller"
    except DAMAGED:
        return ""
