"""Compressed files, unpacked only up to the limit for their size (`limits.archive_allows`)."""

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
    """Open a file for reading. Files named `.gz` or `.bz2` are unpacked.

    Reading raises ValueError if the unpacked content exceeds the limit, and OSError, EOFError or zlib.error if the file
    is damaged.
    """
    if path.suffix == ".gz":
        return cast(BinaryIO, io.BufferedReader(_Bounded(gzip.open(path), path)))
    if path.suffix == ".bz2":
        return cast(BinaryIO, io.BufferedReader(_Bounded(bz2.open(path), path)))
    return path.open("rb")


class _Bounded(io.RawIOBase):
    """Counts the unpacked bytes and raises ValueError above the limit."""

    def __init__(self, unpacked: gzip.GzipFile | bz2.BZ2File, path: Path) -> None:
        self._unpacked, self._packed, self._read = unpacked, path.stat().st_size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        content = self._unpacked.read(len(view))
        self._read += len(content)
        if not archive_allows(self._read, self._packed):
            raise ValueError(
                f"it unpacks to more than {ARCHIVE_GROWTH} times its {self._packed:,} bytes; if you trust it, "
                "unpack it first"
            )
        view[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._unpacked.close()
        super().close()


def require_rows(path: Path) -> None:
    """Check the number of rows that a Parquet file declares. Raises ValueError if it exceeds the limit."""
    import pyarrow.parquet

    rows, size = pyarrow.parquet.read_metadata(path).num_rows, path.stat().st_size
    if not rows_allowed(rows, size):
        raise ValueError(
            f"it declares {rows:,} rows in {size:,} bytes, too many for its size; split it into smaller files"
        )
