"""Read pictures from files. Their declared size is checked before anything is decoded."""

from __future__ import annotations

import io
import struct
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emoembed.errors import MediaError
from emoembed.features import limits
from emoembed.features.media_files import File, name_of, openable, require_size

if TYPE_CHECKING:
    from PIL import Image

KIND = "video or image"
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".jp2"}
)  # a .gif is read as a video


FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "GIF", "AVIF", "ICO")
"""Pillow's formats that are read, by content. Others may start a program: Pillow passes EPS to Ghostscript."""
DAMAGED = (OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, AttributeError, struct.error)
"""Errors that Pillow raises for damaged or closed pictures."""


def is_picture(source: File) -> bool:
    """Whether a file is a single picture. The suffix decides for a path, the header for other sources."""
    file_or_path = openable(source, KIND)
    if isinstance(file_or_path, str):
        return Path(file_or_path).suffix.lower() in SUFFIXES
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file_or_path, formats=_formats()) as picture:
            return picture.format != "GIF"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def read(source: File) -> np.ndarray:
    """Read a picture as grey uint8 `(height, width)`, rotated as its EXIF entry says.

    Raises:
        MediaError: the picture cannot be read or exceeds `limits`.
    """
    import cv2
    from PIL import Image

    name, file_or_path = name_of(source), openable(source, KIND)
    require_size(file_or_path, name, limits.PICTURE_BYTES, "make it smaller")
    try:
        content = Path(file_or_path).read_bytes() if isinstance(file_or_path, str) else file_or_path.read()
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror or error}") from error
    kind = Path(file_or_path).suffix if isinstance(file_or_path, str) else "valid"
    message = f"{name} cannot be read as an image: its {len(content)} bytes are not a {kind} picture"
    fault = _declared_fault(content)
    if fault is not None:
        raise MediaError(f"{name}: {fault}" if fault else message)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=_formats()) as picture:
            colours = _colours(picture)
    except DAMAGED as error:
        raise MediaError(f"{message} ({error})") from error
    # convert through RGB: Pillow's grey differs from the grey that arrays are converted to
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY))


def of_pillow(picture: Image.Image) -> np.ndarray:
    """Convert a Pillow picture to RGB uint8 `(height, width, 3)`, rotated as its EXIF entry says.

    Raises:
        MediaError: the picture cannot be read or exceeds `limits`.
    """
    from PIL import ImageFile

    is_unread = isinstance(picture, ImageFile.StubImageFile) or bool(getattr(picture, "tile", None))
    if is_unread and picture.format in ("EPS", "WMF"):
        raise MediaError(
            f"the Pillow picture is a drawing in {picture.format}, which only another program can read; convert it to "
            "PNG, or call its load() first if you trust the file"
        )
    fault = limits.picture_fault(*picture.size)
    if fault:
        raise MediaError(f"the picture: {fault}")
    try:
        return _colours(picture)
    except DAMAGED as error:
        raise MediaError(f"the Pillow picture cannot be read ({error}); open its file again") from error


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """The formats of `FORMATS` that the installed Pillow has."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _colours(picture: Image.Image) -> np.ndarray:
    from PIL import ImageOps

    return np.asarray(_eight_bits(ImageOps.exif_transpose(picture)).convert("RGB"))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Convert 16 bits per pixel to 8 bits; Pillow would clip them. Mode `I` may have 8 or 16 bits."""
    from PIL import Image

    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture).astype(np.int64)
    has_16_bits = picture.mode != "I" or int(values.max()) > 255
    return Image.fromarray((values >> 8 if has_16_bits else values).clip(0, 255).astype(np.uint8))


def _declared_fault(content: bytes) -> str | None:
    """The reason to refuse a picture for its declared size, or None; empty if Pillow cannot read its header."""
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=_formats()) as picture:
            width, height = picture.size
            if width * height > limits.PICTURE_PACKING * len(content):
                return f"{width} x {height} pixels in a file of {len(content)} bytes: it is damaged; save it again"
            return limits.picture_fault(width, height)
    except Image.DecompressionBombError:  # Pillow's limit is above the one of this package
        return f"more pixels than the limit of {limits.PICTURE_PIXELS:,}; make it smaller"
    except DAMAGED:
        return ""
