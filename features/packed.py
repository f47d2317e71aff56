"""Packed files, no more of which is unpacked than a file of that size may hold: `limits.ARCHIVE_GROWTH`."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from emoembed.features.limits import ARCHIVE_GROWTH, archive_allows, rows_allowed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def open_packed(path: Path) -> BinaryIO:
    """A file opened for reading, unpacked where it is named `.gz` or `.bz2`.

    Reading raises ValueError once more has come than the file may hold; OSError, EOFError or zlib.error where it is
    damaged.
    """
    if path.suffix == ".gz":
        return cast(BinaryIO, io.BufferedReader(_Bounded(gzip.open(path), path)))
    if path.suffix == ".bz2":
        return cast(BinaryIO, io.BufferedReader(_Bounded(bz2.open(path), path)))
    return path.open("rb")


class _Bounded(io.RawIOBase):
    """What is unpacked, counted."""

    def __init__(self, unpacked: gzip.GzipFile | bz2.BZ2File, path: Path) -> None:
        self._unpacked, self._packed, self._read = unpacked, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        content = self._unpacked.read(len(view))
        self._read += len(content)
        if not archive_allows(self._read, self._packed):
            raise ValueError(f"it unpacks to more than {ARCHIVE_GROWTH} times its {self._packed:,} bytes")
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._unpacked.close()
        super().close()


def require_rows(path: Path) -> None:
    """Check how many rows a Parquet file declares. Raises ValueError where it may not hold so many."""
    import pyarrow.parquet

    rows, size = pyarrow.parquet.read_metadata(path).num_rows, path.stat().st_size
    if not rows_allowed(rows, size):
        raise ValueError(f"it declares {rows:,} rows in {size:,} bytes; give it in parts")
