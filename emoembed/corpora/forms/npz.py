"""Read NumPy's `.npz` and `.npy` files. Declared sizes are checked before unpacking."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from emoembed.corpora.files import existing
from emoembed.corpora.forms import pickles
from emoembed.corpora.forms.pickle_values import array_over
from emoembed.errors import CorpusFileError
from emoembed.features.limits import ARCHIVE_GROWTH, archive_allows

DAMAGED = (ValueError, SyntaxError, TypeError, TokenError, RecursionError, EOFError, OSError, zlib.error, MemoryError)
"""Errors that NumPy and the standard library raise for damaged files."""


def read_npz(path: str | Path) -> dict[str, Any]:
    """Read the arrays of an `.npz` file by name. Object arrays are read with the restricted pickle reader.

    A zero-dimensional object array is returned as its object.

    Raises:
        MissingFileError: the file does not exist.
        CorpusFileError: the file is not a complete `.npz`, would unpack to far more than its size, or contains anything
            but arrays and plain containers.
    """
    path = existing(Path(path))
    arrays: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if not archive_allows(total, path.stat().st_size):
                raise CorpusFileError(
                    f"{path} declares {total:,} unpacked bytes, more than {ARCHIVE_GROWTH} times its size; "
                    "fetch it again"
                )
            for member in archive.infolist():
                with archive.open(member) as stream:
                    where = f"{path}, {member.filename}"
                    arrays[member.filename.removesuffix(".npy")] = read_array(stream, where, member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error) as error:
        if isinstance(error, CorpusFileError):
            raise
        raise CorpusFileError(f"{path} is not a complete .npz file ({error}); fetch it again") from error
    return arrays


def read_npy(path: str | Path) -> np.ndarray:
    """Read an `.npy` file of numbers. Raises the same errors as `read_npz`."""
    path = existing(Path(path))
    try:
        with path.open("rb") as stream:
            values = read_array(stream, str(path), path.stat().st_size)
    except OSError as error:
        raise CorpusFileError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise CorpusFileError(f"{path}: not a NumPy array of numbers; extract it again")
    return values


def read_array(stream: IO[bytes], where: str, size: int) -> Any:
    """Read one array in NumPy's format from an open file; `size` bytes must be what the array's header declares."""
    try:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read_header(stream)
        begin = stream.tell()
        if not kind.hasobject:
            count = math.prod(shape)
            if min(shape, default=0) < 0 or begin + count * kind.itemsize != size:
                raise ValueError(f"{size - begin} bytes for an array of shape {shape} and type {kind}")
            if kind.kind not in "?biufcSU":
                raise ValueError(f"values of type {kind}")
            flat = array_over(stream.read(count * kind.itemsize), kind)
            return flat.reshape(shape, order="F" if fortran else "C")
    except DAMAGED as error:
        raise CorpusFileError(f"{where}: not a NumPy array of numbers ({error}); fetch it again") from error
    objects = pickles.read_bytes(stream.read(), where)
    return objects.item() if shape == () and isinstance(objects, np.ndarray) else objects
