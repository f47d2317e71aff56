"""Open and read HDF5 files. Sizes are checked before reading, and errors are the package's own types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora.files import existing
from emoembed.errors import CorpusFileError
from emoembed.features.limits import ARCHIVE_FREE, ARCHIVE_GROWTH, archive_allows

DAMAGED = (
    OSError,
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    AttributeError,
    IndexError,
    MemoryError,
    OverflowError,
)
"""Errors that h5py raises for damaged files; it maps each HDF5 error to one of these types."""


def open_file(path: str | Path) -> Any:
    """Open an HDF5 file for reading.

    Raises:
        MissingFileError: the file does not exist.
        CorpusFileError: the file is not HDF5, or is truncated.
    """
    import h5py

    path = existing(Path(path))
    try:
        return h5py.File(path, "r")
    except DAMAGED as error:
        raise CorpusFileError(
            f"{path} is not a complete HDF5 file ({error}); the download may have stopped early: fetch it again and "
            "compare its size"
        ) from error


def read_values(dataset: Any, path: Path, where: str) -> np.ndarray:
    """Read the values of a dataset.

    Raises:
        CorpusFileError: `dataset` is not a dataset, cannot be read, links to another file, or has far more values than
            the file can hold.
    """
    try:
        if dataset.external or dataset.is_virtual or Path(dataset.file.filename).resolve() != path.resolve():
            raise CorpusFileError(
                f"{path}, {where}: links to another file, which is not read; copy the values into {path.name}"
            )
        declared_size, file_size = dataset.size * dataset.dtype.itemsize, path.stat().st_size
        if not archive_allows(declared_size, file_size):
            raise CorpusFileError(
                f"{path}, {where}: declares {declared_size:,} bytes, more than {ARCHIVE_GROWTH} times the file's size; "
                "fetch the file again"
            )
        return _read_objects(dataset, file_size) if dataset.dtype.hasobject else np.asarray(dataset[()])
    except CorpusFileError:
        raise
    except DAMAGED as error:
        raise CorpusFileError(f"{path}, {where}: cannot be read ({error}); fetch the file again") from error


def _read_objects(dataset: Any, file_size: int) -> np.ndarray:
    """Read values of variable length, such as words, a few at a time. Many values may share the same bytes in the file.

    Raises ValueError if they have more bytes than a file of this size may hold.
    """
    if not dataset.ndim:
        return np.asarray(dataset[()])
    row_size = max(1, dataset.size // max(1, len(dataset)))  # a value has at most as many bytes as the file
    step = max(1, max(ARCHIVE_GROWTH, ARCHIVE_FREE // max(1, file_size)) // (4 * row_size))
    parts, size = [], 0
    for begin in range(0, len(dataset), step):
        parts.append(np.asarray(dataset[begin : begin + step]))
        size += sum(map(_size_of, parts[-1].ravel().tolist()))
        if not archive_allows(size, file_size):
            raise ValueError(f"its values have more than {ARCHIVE_GROWTH} times the bytes of the file")
    return np.concatenate(parts) if parts else np.asarray(dataset[()])


def _size_of(value: Any) -> int:
    """The bytes of a value: a string, an array, or a tuple of these."""
    if isinstance(value, tuple):
        return sum(map(_size_of, value))
    if isinstance(value, np.ndarray):
        return value.nbytes
    return len(value) if isinstance(value, bytes | str) else 8
