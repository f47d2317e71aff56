"""HDF5 files, opened and read with errors of the package's own, and sizes checked before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora.files import existing
from emoembed.errors import CorpusFileError
from emoembed.features.limits import ARCHIVE_GROWTH, archive_allows

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
"""What h5py raises of a file that is damaged: HDF5's own errors come as whichever of these is nearest."""


def open_file(path: str | Path) -> Any:
    """An HDF5 file, open for reading.

    Raises:
        MissingFileError: there is no such file.
        CorpusFileError: it is not HDF5, or cut short.
    """
    import h5py

    path = existing(Path(path))
    try:
        return h5py.File(path, "r")
    except DAMAGED as error:
        raise CorpusFileError(
            f"{path} is not a whole HDF5 file ({error}); a download that was cut short gives this: fetch it again and "
            "compare its size"
        ) from error


def read_values(dataset: Any, path: Path, where: str) -> np.ndarray:
    """The values of a data set; one that declares far more than the file can hold, or lies in another file, is refused.

    Raises:
        CorpusFileError: it is no data set, cannot be read, declares too much, or leads to another file.
    """
    try:
        if dataset.external or dataset.is_virtual or Path(dataset.file.filename).resolve() != path.resolve():
            raise CorpusFileError(f"{path}, {where}: leads to another file, which is not read; copy the values into it")
        declared, stored = dataset.size * dataset.dtype.itemsize, path.stat().st_size
        if not archive_allows(declared, stored):
            raise CorpusFileError(
                f"{path}, {where}: declares {declared:,} bytes, more than {ARCHIVE_GROWTH} times the file's size"
            )
        return np.asarray(dataset[()])
    except CorpusFileError:
        raise
    except DAMAGED as error:
        raise CorpusFileError(f"{path}, {where}: cannot be read ({error}); fetch the file again") from error
