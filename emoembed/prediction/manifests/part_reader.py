"""The parts of a manifest: rows that one process reads and scores together.

Parts depend only on the manifest and on their size, not on the number of processes. So a part that is scored again has
the same rows, and a stopped run knows which parts are missing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emoembed.corpora import places
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.manifest import SEPARATOR
from emoembed.corpora.table_files import is_missing, normalise_names
from emoembed.errors import CorpusError, CorpusFileError
from emoembed.features import addresses

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Part:
    """Some rows of a manifest.

    Attributes:
        number: number of the part, from 0.
        first: position of its first row in the manifest.
        count: number of rows.
        file, group, begin: for Parquet, the file, its row group, and the position of the first row in it.
        rows: for other tables, the rows in the form of Arrow's streams.
    """

    number: int
    first: int
    count: int
    file: str = ""
    group: int = 0
    begin: int = 0
    rows: bytes = b""

    @property
    def name(self) -> str:
        """The name of the file with its scores."""
        return f"part-{self.number:08d}.parquet"

    def single_rows(self) -> Iterator[Part]:
        """Each row as a separate part."""
        table = _from_stream(self.rows) if self.rows else None
        for i in range(self.count):
            rows = b"" if table is None else _to_stream(table.slice(i, 1))
            yield replace(self, first=self.first + i, count=1, begin=self.begin + i, rows=rows)


@dataclass(frozen=True)
class Source:
    """A manifest whose rows are read in parts.

    Attributes:
        place: path or address of the manifest.
        folder: the folder to which media paths are relative.
        schema: names and types of the columns.
        groups: for Parquet, the file, the number and the rows of each row group.
        table: for other tables, all rows.
        state: sizes and times of the files, to find out whether they have changed.
    """

    place: str
    folder: str
    schema: pyarrow.Schema
    groups: tuple[tuple[str, int, int], ...]
    table: pyarrow.Table | None
    state: str

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.table.num_rows if self.table is not None else sum(rows for _, _, rows in self.groups)

    def parts(self, size: int) -> Iterator[Part]:
        """The parts, of `size` rows at most, without their rows. A part of Parquet lies in one row group."""
        number = first = 0
        for file, group, rows in self.groups or (("", 0, self.rows),):
            for begin in range(0, rows, size):
                count = min(size, rows - begin)
                yield Part(number, first, count, file, group, begin)
                number, first = number + 1, first + count

    def with_rows(self, part: Part) -> Part:
        """The part for a process: with its rows, if the process cannot read them from a Parquet file."""
        return part if self.table is None else replace(part, rows=_to_stream(self.table.slice(part.begin, part.count)))


def open_source(source: Corpus | str | Path, id_column: str = "id") -> Source:
    """Find the rows of a manifest. Of Parquet, only the column of the ids is read.

    Raises:
        MissingFileError, CorpusError, InputError: there is no table, its files do not have the same columns, or two
            rows have the same id.
    """
    if isinstance(source, Corpus):
        samples = source.samples.dropna(axis=1, how="all").drop(columns=["labels", "split"], errors="ignore")
        table = _as_strings(samples)
        return Source(source.name, "", table.schema, (), table, repr(samples.to_csv(index=False)))
    tables = places.tables_at(source)
    state = repr([(info.path, info.size, info.mtime_ns) for info in tables.files])
    if tables.suffix != ".parquet":
        frame, folder = places.read_tables(source)
        table = _as_strings(frame)
        return Source(str(source), folder, table.schema, (), table, state)
    return _parquet_source(str(source), tables, id_column, state)


def _parquet_source(place: str, tables: places.Tables, id_column: str, state: str) -> Source:
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    groups, schemas, ids = [], [], []
    for info in tables.files:
        try:
            with pyarrow.parquet.ParquetFile(info.path, filesystem=tables.system) as file:
                groups += [(info.path, i, file.metadata.row_group(i).num_rows) for i in range(file.num_row_groups)]
                names = normalise_names(file.schema_arrow.names)
                schemas.append(pyarrow.schema(list(zip(names, file.schema_arrow.types, strict=True))))
                if id_column in names:
                    column = file.read(columns=[file.schema_arrow.names[names.index(id_column)]]).column(0)
                    ids += column.cast(pyarrow.string()).chunks
        except (pyarrow.ArrowException, OSError) as error:
            raise CorpusFileError(f"{info.path} cannot be read as .parquet: {error}") from error
    try:
        schema = pyarrow.unify_schemas(schemas, promote_options="permissive")
    except pyarrow.ArrowException as error:
        raise CorpusError(f"the files of {place} do not have the same columns: {error}") from error
    counted = pyarrow.compute.value_counts(pyarrow.chunked_array(ids, pyarrow.string()))
    repeated = counted.filter(pyarrow.compute.greater(counted.field("counts"), 1))
    if len(repeated):
        raise CorpusError(f"{place}: the id {repeated[0]['values'].as_py()!r} is in several rows; ids must be unique")
    return Source(place, tables.folder, schema, tuple(groups), None, state)


def read_part(place: str, schema: pyarrow.Schema, part: Part) -> pyarrow.Table:
    """The rows of a part, with the columns of the whole manifest."""
    import pyarrow

    if part.rows:
        return _from_stream(part.rows)
    try:
        table = _row_group(place, part.file, part.group).slice(part.begin, part.count)
    except (pyarrow.ArrowException, OSError) as error:
        raise CorpusFileError(f"{part.file} cannot be read: {error}") from error
    table = table.rename_columns(normalise_names(table.column_names))
    columns = [
        table.column(name).cast(kind) if name in table.column_names else pyarrow.nulls(part.count, kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pyarrow.Table.from_arrays(columns, schema=schema)


@lru_cache(maxsize=1)
def _row_group(place: str, file: str, group: int) -> pyarrow.Table:
    """A row group. The last one is kept, because its parts are read one after the other."""
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(file, filesystem=addresses.located(place)[0]) as opened:
        return opened.read_row_group(group)


def _as_strings(frame: pd.DataFrame) -> pyarrow.Table:
    """A table of strings, as CSV stores its cells."""
    import pyarrow

    def cell(value: Any) -> str | None:
        if isinstance(value, list | tuple | np.ndarray):
            return SEPARATOR.join(map(str, value))
        return None if is_missing(value) else str(value)

    columns = {str(name): [cell(value) for value in frame[name]] for name in frame}
    kinds = pyarrow.schema([(name, pyarrow.string()) for name in columns])
    return pyarrow.Table.from_pydict(columns, schema=kinds)


def _to_stream(table: pyarrow.Table) -> bytes:
    import pyarrow.ipc

    out = io.BytesIO()
    with pyarrow.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue()


def _from_stream(content: bytes) -> pyarrow.Table:
    import pyarrow.ipc

    return pyarrow.ipc.open_stream(content).read_all()
