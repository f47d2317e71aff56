"""NumPy's `.npz` and `.npy` files, their declared sizes checked before anything is unpacked."""

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
"""What NumPy and the standard library raise of a file that is damaged."""


def read_npz(path: str | Path) -> dict[str, Any]:
    """The arrays of an `.npz` file by name; an array of objects is read as pickles are.

    An array of one object comes back as that object.

    Raises:
        MissingFileError: there is no such file.
        CorpusFileError: it is no whole `.npz`, would unpack to far more than its size, or holds more than arrays and
            plain containers.
    """
    path = existing(Path(path))
    held: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(member.file_size for member in archive.infolist())
            if not archive_allows(total, path.stat().st_size):
                raise CorpusFileError(
                    f"{path} says it unpacks to {total:,} bytes, more than {ARCHIVE_GROWTH} times its own size"
                )
            for member in archive.infolist():
                with archive.open(member) as stream:
                    where = f"{path}, {member.filename}"
                    held[member.filename.removesuffix(".npy")] = read_array(stream, where, member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error) as error:
        if isinstance(error, CorpusFileError):
            raise
        raise CorpusFileError(f"{path} is no whole .npz file ({error}); fetch it again") from error
    return held


def read_npy(path: str | Path) -> np.ndarray:
    """The array of numbers of an `.npy` file. Raises as `read_npz`."""
    path = existing(Path(path))
    try:
        with path.open("rb") as stream:
            values = read_array(stream, str(path), path.stat().st_size)
    except OSError as error:
        raise CorpusFileError(f"{path}: cannot be read: {error}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise CorpusFileError(f"{path}: no NumPy array of numbers; extract it again")
    return values


def read_array(stream: IO[bytes], where: str, size: int) -> Any:
    """One array in NumPy's form from an open file of `size` bytes, which must be what its header declares."""
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
        raise CorpusFileError(f"{where}: no NumPy array of numbers ({error}); fetch it again") from error
    held = pickles.read_bytes(stream.read(), where)
    return held.item() if shape == () and isinstance(held, np.ndarray) else held
