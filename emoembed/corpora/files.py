"""Finding and reading a corpus's files, with errors that name the file and the place in it."""

from __future__ import annotations

import contextlib
import csv
import json
import zlib
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.errors import CorpusError, MissingFileError
from emoembed.features.packed import open_packed


def existing(path: Path) -> Path:
    """The path itself. Raises MissingFileError where nothing is there."""
    try:
        there = path.exists()
    except (OSError, ValueError) as error:  # longer than names may be, or with a zero byte
        raise MissingFileError(f"no file can be called {str(path)!r:.60}: {error}") from error
    if not there:
        raise MissingFileError(f"there is no {path}")
    return path


def media_files(folder: Path, suffixes: Sequence[str], pattern: str) -> dict[str, Path]:
    """The files of these suffixes in a folder and below, by name without suffix, in the order of the names.

    `pattern` is how a name is made up, for the errors. Raises MissingFileError where there is no such file, and
    CorpusError where two files share a name.
    """
    found: dict[str, Path] = {}
    for path in sorted(existing(folder).rglob("*"), key=lambda path: (path.stem, path)):
        if path.suffix.lower() not in suffixes:
            continue
        if path.stem in found:
            raise CorpusError(f"{found[path.stem]} and {path} share a name; keep one of them")
        found[path.stem] = path
    if not found:
        raise MissingFileError(f"{folder} holds no file named {pattern} with suffix {', '.join(suffixes)}")
    return found


def read_text(path: Path) -> str:
    """A UTF-8 text file, gzip-compressed if named `.gz`; a byte order mark is left out."""
    try:
        with open_packed(path) as file:
            content = file.read()
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
    """A table of strings, "" where a cell is empty; `columns` are those it must have, or has where there is no header.

    Raises CorpusError naming the file and the line: where a row has more or fewer cells than columns (pandas' own
    reader fills or shifts such rows), or a quotation does not end.
    """
    return parse_csv(read_text(path), path, columns, sep=sep, header=header, quoted=quoted)


def parse_csv(
    text: str, path: Path, columns: Sequence[str], *, sep: str = ",", header: bool = True, quoted: bool = True
) -> pd.DataFrame:
    """The same of a text that was read from a path. Blanks around the names of columns are left out."""
    with long_cells():
        return _parsed_csv(text, path, columns, sep, header, quoted)


@contextlib.contextmanager
def long_cells() -> Iterator[None]:
    """Cells of any length within this block; the csv module's own limit of 131,072 characters afterwards."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _parsed_csv(text: str, path: Path, columns: Sequence[str], sep: str, header: bool, quoted: bool) -> pd.DataFrame:
    lines = StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=sep, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=True)
    rows: list[list[str]] = []
    try:
        found = [name.strip() for name in next(reader, [])] if header else list(columns)
        require_columns(found, columns, path)
        for cells in reader:
            if cells and len(cells) != len(found):
                expected = f"expected {len(found)} ({', '.join(found)})"
                raise CorpusError(f"{path}, line {reader.line_num}: {len(cells)} cells; {expected}")
            rows += [cells] if cells else []
    except csv.Error as error:
        raise CorpusError(f"{path}, line {reader.line_num}: {error}") from error
    return pd.DataFrame(rows, columns=found, dtype=object)


def require_columns(found: Sequence[str], required: Sequence[str], where: str | Path) -> None:
    """Raise CorpusError for a column that is there twice, or the first one required that is not, naming those found."""
    if len(set(found)) != len(found):
        raise CorpusError(f"{where}: the columns {', '.join(found)} name one twice")
    for column in required:
        if column not in found:
            names = ", ".join(filter(None, map(str, found))) or "none: the file is empty"
            one = len(found) == 1 and next((mark for mark in ";\t" if mark in str(found[0])), None)
            hint = f"; cells are separated by commas, here by {one!r}" if one else ""
            raise CorpusError(f"{where}: no column {column!r}; the columns found are {names}{hint}")


def numbers(table: pd.DataFrame, column: str, path: Path, *, whole: bool = False) -> pd.Series:
    """A column of strings as numbers, a missing or empty cell as NaN; `whole` for integers."""
    given = table[column].where(table[column].notna() & (table[column] != ""))
    values = pd.to_numeric(given, errors="coerce")
    wrong = given.notna() & (values.isna() | np.isinf(values) | (whole & ((values % 1 != 0) | (values.abs() > 2**53))))
    if wrong.any():
        row, expected = int(wrong.argmax()), "a whole number" if whole else "a number"
        raise CorpusError(f"{path}, row {row + 1}, column {column}: expected {expected}, found {given.iloc[row]!r}")
    return values


def read_jsonl(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A file of one JSON object a line, all having `columns`. Raises CorpusError naming the file and the line."""
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
