"""Compressed files, unpacked only up to the limit for their size (`limits.archive_allows`)."""

from __future__ import annotations

import bz2
import gzip
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from emoembed.features.limits import ARCHIVE_GROWTH, archive_allows, cells_allowed, rows_allowed

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
    """Check the rows, cells and unpacked bytes of a Parquet file. Raises ValueError if one exceeds its limit."""
    import pyarrow.parquet

    metadata, size = pyarrow.parquet.read_metadata(path), path.stat().st_size
    if not rows_allowed(metadata.num_rows, size):
        raise ValueError(
            f"it declares {metadata.num_rows:,} rows in {size:,} bytes, too many for its size; "
            "split it into smaller files"
        )
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [(group.column(i), metadata.schema.column(i)) for group in groups for i in range(group.num_columns)]
    cells = sum(chunk.num_values for chunk, _ in chunks)
    if not cells_allowed(cells, size):
        raise ValueError(
            f"it declares {cells:,} cells in {size:,} bytes, too many for its size; split it into smaller files"
        )
    fixed_size = sum(chunk.num_values * max(8, column.length or 0) for chunk, column in chunks)
    _require_unpacked(max(fixed_size, sum(chunk.total_uncompressed_size for chunk, _ in chunks)), size)
    text_columns = [chunk.path_in_schema for chunk, _ in chunks if chunk.physical_type == "BYTE_ARRAY"]
    if text_columns:
        _require_texts(path, sorted(set(text_columns)), size)


def _require_texts(path: Path, columns: list[str], size: int) -> None:
    """Check the bytes of the texts. A text may be stored once for many rows, so each text is read only once."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, read_dictionary=columns) as file:
        unpacked_size = 0
        for group in range(file.num_row_groups):
            for column in columns:
                for array in file.read_row_group(group, columns=[column]).columns:
                    unpacked_size += sum(_bytes_of_texts(chunk) for chunk in array.chunks)
                _require_unpacked(unpacked_size, size)


def _bytes_of_texts(array: Any) -> int:
    """The bytes of all texts in an Arrow array, each counted as often as it occurs."""
    import pyarrow
    import pyarrow.compute

    if pyarrow.types.is_dictionary(array.type):
        if pyarrow.types.is_decimal(array.type.value_type):
            return len(array) * array.type.value_type.byte_width
        lengths = pyarrow.compute.binary_length(array.dictionary)
        return int(pyarrow.compute.sum(lengths.take(array.indices).cast("int64")).as_py() or 0)
    if pyarrow.types.is_struct(array.type):
        return sum(map(_bytes_of_texts, array.flatten()))
    if pyarrow.types.is_map(array.type):
        return _bytes_of_texts(array.keys) + _bytes_of_texts(array.items)
    if pyarrow.types.is_nested(array.type):
        return _bytes_of_texts(array.flatten())
    return int(array.nbytes)


def _require_unpacked(unpacked_size: int, size: int) -> None:
    if not archive_allows(unpacked_size, size):
        raise ValueError(
            f"it unpacks to {unpacked_size:,} bytes, more than {ARCHIVE_GROWTH} times its {size:,} bytes; "
            "save it as .csv"
        )
