"""Find and read the files of a corpus; errors name the file and the line or row."""

from __future__ import annotations

import contextlib
import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.errors import CorpusError, MissingFileError
from emoembed.features.limits import TEXT_FILE, file_fault
from emoembed.features.packed import open_packed


def existing(path: Path) -> Path:
    """Return the path. Raises MissingFileError if it does not exist."""
    try:
        exists = path.exists()
    except (OSError, ValueError) as error:  # the name is too long, or contains a zero byte
        raise MissingFileError(f"no file can be called {str(path)!r:.60}: {error}") from error
    if not exists:
        raise MissingFileError(f"there is no {path}")
    return path


def media_files(folder: Path, suffixes: Sequence[str], pattern: str) -> dict[str, Path]:
    """Find the files with these suffixes in a folder and its subfolders: name without suffix -> path, sorted by name.

    `pattern` describes the names in error messages. Raises MissingFileError if there is no such file, and CorpusError
    if two files have the same name.
    """
    paths: dict[str, Path] = {}
    for path in sorted(existing(folder).rglob("*"), key=lambda path: (path.stem, path)):
        if path.suffix.lower() not in suffixes:
            continue
        if path.stem in paths:
            raise CorpusError(f"{paths[path.stem]} and {path} have the same name; keep one of them")
        paths[path.stem] = path
    if not paths:
        raise MissingFileError(f"{folder} holds no file named {pattern} with suffix {', '.join(suffixes)}")
    return paths


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, gzip-compressed if its suffix is `.gz`, and drop a byte order mark."""
    try:
        fault = file_fault(path.stat().st_size, TEXT_FILE)
        if fault:
            raise CorpusError(f"{path}: {fault}")
        with open_packed(path) as file:
            content = file.read()
    except CorpusError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise CorpusError(f"{path}: cannot be read: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise CorpusError(f"{path}, line {line}: expected UTF-8 text, found byte {content[error.start]:#x}") from error


def read_csv(
    path: Path, columns: Sequence[str], *, sep: str = ",", header: bool = True, quoted: bool = True
) -> pd.DataFrame:
    """Read a table of strings; an empty cell is "".

    With a header, `columns` are the required columns; without one, they are the names of all columns. Raises
    CorpusError with the file and the line if a row has more or fewer cells than columns (pandas' reader fills or shifts
    such rows), or if a quoted cell does not end.
    """
    return parse_csv(read_text(path), path, columns, sep=sep, header=header, quoted=quoted)


def parse_csv(
    text: str, path: Path, columns: Sequence[str], *, sep: str = ",", header: bool = True, quoted: bool = True
) -> pd.DataFrame:
    """Parse the text of a file as `read_csv` does. Spaces around column names are removed."""
    with long_cells():
        return _parse_rows(text, path, columns, sep, header, quoted)


@contextlib.contextmanager
def long_cells() -> Iterator[None]:
    """Allow cells of any length within this block, and restore the csv module's limit (131,072 characters) after it."""
    old_limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(old_limit)


def _parse_rows(text: str, path: Path, columns: Sequence[str], sep: str, header: bool, quoted: bool) -> pd.DataFrame:
    lines = TextIOWrapper(BytesIO(text.encode()), "utf-8", newline="")  # StringIO would take four bytes a character
    reader = csv.reader(lines, delimiter=sep, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True)
    rows: list[list[str]] = []
    try:
        table_columns = [name.strip() for name in next(filter(None, reader), [])] if header else list(columns)
        require_columns(table_columns, columns, path)
        for cells in reader:
            if cells and len(cells) != len(table_columns):
                expected = f"expected {len(table_columns)} ({', '.join(table_columns)})"
                raise CorpusError(f"{path}, line {reader.line_num}: {len(cells)} cells; {expected}")
            rows += [cells] if cells else []
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: {error}") from error
    return pd.DataFrame(rows, columns=table_columns, dtype=object)


def require_columns(columns: Sequence[str], required: Sequence[str], where: str | Path) -> None:
    """Raise CorpusError if a column name occurs twice or a required column is missing; the message lists `columns`."""
    if len(set(columns)) != len(columns):
        raise CorpusError(f"{where}: the columns {', '.join(columns)} contain a name twice; rename one")
    for column in required:
        if column not in columns:
            names = ", ".join(filter(None, map(str, columns))) or "none: the file is empty"
            separator = len(columns) == 1 and next((mark for mark in ";\t" if mark in str(columns[0])), None)
            hint = f"; expected a comma between cells, found {separator!r}" if separator else ""
            raise CorpusError(f"{where}: no column {column!r}; the columns found are {names}{hint}")


def numbers(table: pd.DataFrame, column: str, path: Path, *, whole: bool = False) -> pd.Series:
    """Convert a column of strings to numbers; a missing or empty cell becomes NaN. `whole` requires integers."""
    cells = table[column].where(table[column].notna() & (table[column] != ""))
    values = pd.to_numeric(cells.map(_convertible), errors="coerce")
    invalid_cells = cells.notna() & (
        values.isna() | np.isinf(values) | (whole & ((values % 1 != 0) | (values.abs() > 2**53)))
    )
    if invalid_cells.any():
        row, expected = int(invalid_cells.argmax()), "a whole number" if whole else "a number"
        raise CorpusError(f"{path}, row {row + 1}, column {column}: expected {expected}, found {cells.iloc[row]!r:.40}")
    return values


def _convertible(cell: object) -> object:
    """The cell, or NaN for what pandas cannot convert: JSON has integers of any length, and halves of characters."""
    huge = isinstance(cell, int) and abs(cell) >= 2**1023
    half = isinstance(cell, str) and any("\ud800" <= letter <= "\udfff" for letter in cell)
    return np.nan if huge or half else cell


def read_jsonl(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a file with one JSON object per line; each must have `columns`. CorpusError names the file and the line."""
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path}, line {number}: expected a JSON object: {error}") from error
        if not isinstance(row, dict):
            raise CorpusError(f"{path}, line {number}: expected a JSON object, found {line[:40]!r}")
        require_columns(list(row), columns, f"{path}, line {number}")
        rows.append(row)
    return pd.DataFrame(rows, columns=None if rows else list(columns), dtype=object)
