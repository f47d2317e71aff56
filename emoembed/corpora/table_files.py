"""Tables as files: CSV, TSV, JSONL, Parquet or Excel `.xlsx`, in common encodings and with common separators."""

from __future__ import annotations

import csv
import json
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emoembed.corpora.corpus import COLUMNS
from emoembed.corpora.files import parse_csv, read_jsonl, require_columns
from emoembed.errors import CorpusError, CorpusFileError
from emoembed.features.limits import ARCHIVE_GROWTH, TABLE_CELLS, TEXT_FILE, archive_allows, cells_allowed, file_fault
from emoembed.features.packed import require_rows

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")
NEEDS = {
    ".parquet": "Parquet needs pyarrow; install emoembed[parquet]",
    ".xlsx": "Excel files need openpyxl; install emoembed[excel]",
}
QUOTED = re.compile('"(?:[^"]|"")*(?:"|$)')
DECLARED_SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
"""The first line of a CSV file that Excel writes to name its separator."""
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
EXCEL_CELL = 32_767
DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError, ArithmeticError),
    *(zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, MemoryError, RuntimeError),
)
"""Errors that openpyxl and pandas raise for damaged files. XML's ParseError is a SyntaxError."""


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table and check that it has `columns`. Cells of CSV and TSV are strings.

    Spaces around column names are removed, and `Text` is read as `text`. Rows without any cell are left out. The
    separator of CSV may be `,`, `;` or tab. The encoding may be UTF-8, UTF-16 or, with a warning, Windows-1252.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        table = _read_delimited(path, columns, "\t" if suffix == ".tsv" else None)
    elif suffix == ".jsonl":
        table = read_jsonl(path, ())
    elif suffix == ".parquet":
        table = _read_with_pandas(path, _read_parquet)
    elif suffix == ".xlsx":
        table = _read_with_pandas(path, _read_excel)
    else:
        raise _unknown_format(path)
    table.columns = normalise_names(list(table.columns))
    require_columns(list(table.columns), columns, path)
    empty = table.map(is_missing).all(axis=1) if len(table.columns) else pd.Series(False, index=table.index)
    return table[~empty].reset_index(drop=True) if empty.any() else table


def normalise_names(columns: Sequence[object]) -> list[str]:
    """Strip the column names, and turn `Text` into `text` unless another column already has that name."""
    names = [str(name).strip() for name in columns]
    absent_names = {*COLUMNS, "label"} - set(names)
    lower_names = [name.lower() for name in names]
    return [
        low if low in absent_names and lower_names.count(low) == 1 else name
        for name, low in zip(names, lower_names, strict=True)
    ]


def _read_delimited(path: Path, columns: Sequence[str], separator: str | None) -> pd.DataFrame:
    """Read a delimited table. The separator is the one that Excel's line `sep=;` declares, or else the one that occurs
    most often in the first row outside quotes.
    """
    text = read_decoded(path)
    declared = DECLARED_SEPARATOR.match(text)
    if declared:
        rest = "\n" + text[declared.end() :]  # an empty line in its place, so that errors count lines as the file does
        return parse_csv(rest, path, columns, sep=declared[1])
    header = QUOTED.sub("", text.split("\n", 1)[0])
    return parse_csv(text, path, columns, sep=separator or max((",", ";", "\t"), key=header.count))


def read_decoded(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or, with a warning, Windows-1252. Raises CorpusError for others."""
    try:
        fault = file_fault(path.stat().st_size, TEXT_FILE)
        if fault:
            raise CorpusError(f"{path}: {fault}")
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    if content[:1] == b"\0" or content[1:2] == b"\0" or content[:4] == b"\xff\xfe\0\0":
        raise CorpusError(
            f"{path}: its first characters contain zero bytes, as in UTF-32 or in UTF-16 without a byte order mark; "
            "save it as UTF-8"
        )
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    if encodings[0] == "utf-8-sig":
        _require_one_encoding(content, path)
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            decode_error = error
            continue
        if encoding == "cp1252":
            warnings.warn(f"{path} is not UTF-8 and was read as Windows-1252; save it as UTF-8", stacklevel=5)
        return text
    raise CorpusError(f"{path}: expected text in UTF-8, UTF-16 or Windows-1252: {decode_error}") from decode_error


def _require_one_encoding(content: bytes, path: Path) -> None:
    """Raise CorpusError if most non-ASCII lines are UTF-8 and others are not: no encoding reads all lines correctly."""
    wrong_lines, right = [], 0
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.isascii():
            continue
        try:
            line.decode("utf-8")
            right += 1
        except UnicodeDecodeError:
            wrong_lines.append(number)
    if 0 < len(wrong_lines) < right:
        raise CorpusError(
            f"{path}, line {wrong_lines[0]}: not UTF-8, although most lines of the file are; correct the line, or save "
            "the whole file as UTF-8"
        )


def _read_excel(path: Path) -> pd.DataFrame:
    """Read the first sheet. A text such as "None" or "NA" is a text."""
    _require_cells(path)
    table: pd.DataFrame = pd.read_excel(path, dtype=object, keep_default_na=False, na_values=[""])
    return table


def _require_cells(path: Path) -> None:
    """Raise CorpusError if the first sheet has too many cells. pandas fills every row up to the widest one."""
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # a file may declare a wrong size
        width = 0
        for count, row in enumerate(sheet.iter_rows(), start=1):
            width = max(width, len(row))
            if not cells_allowed(count * width, path.stat().st_size):
                raise CorpusError(
                    f"{path}: its first sheet has at least {count:,} rows and {width:,} columns, more than "
                    f"{TABLE_CELLS:,} cells; delete the cells that are far from the table, or save it as .csv"
                )
    finally:
        book.close()


def _read_parquet(path: Path) -> pd.DataFrame:
    require_rows(path)
    return pd.read_parquet(path)


def _read_with_pandas(path: Path, reader: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Read a Parquet or Excel file. For damaged files, the libraries raise many types of errors (`DAMAGED`)."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".xlsx":
            with zipfile.ZipFile(path) as archive:
                unpacked_size = sum(member.file_size for member in archive.infolist())
            if not archive_allows(unpacked_size, path.stat().st_size):
                raise CorpusError(
                    f"{path} unpacks to {unpacked_size:,} bytes, more than {ARCHIVE_GROWTH} times its size; "
                    "export it again"
                )
        return reader(path).astype(object)  # inside the try: Arrow decodes strings only here
    except ImportError as error:
        raise CorpusError(f"{path}: {NEEDS[suffix]}, or give .csv") from error
    except CorpusError:
        raise
    except DAMAGED + _arrow_errors() as error:
        raise CorpusFileError(f"{path} cannot be read as {suffix}: {error}") from error


def _arrow_errors() -> tuple[type[Exception], ...]:
    """Return the base class of pyarrow's errors, or () if pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        return ()
    from pyarrow.lib import ArrowException

    return (ArrowException,)


def table_bytes(table: pd.DataFrame, path: Path) -> bytes:
    """Encode a table in the format of the path's suffix.

    Raises:
        CorpusError: the format is unknown, needs a package that is not installed, or cannot hold the table.
    """
    try:
        return _encode_table(table, path)
    except UnicodeEncodeError as error:
        cell = str(error.object)[max(error.start - 20, 0) : error.end + 20]
        raise CorpusError(
            f"{path} cannot be written: the text {cell!r} contains a lone surrogate (half a character); "
            "decode the text as UTF-8"
        ) from error


def _encode_table(table: pd.DataFrame, path: Path) -> bytes:
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        # Python 3.11 does not quote a carriage return in a cell, so then all strings are quoted
        returns = any(isinstance(cell, str) and "\r" in cell for name in table for cell in table[name])
        quoting: Any = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
        separator = "\t" if suffix == ".tsv" else ","
        return table.to_csv(index=False, sep=separator, lineterminator="\n", quoting=quoting).encode()
    if suffix == ".jsonl":
        return _encode_json_lines(table)
    if suffix not in SUFFIXES:
        raise _unknown_format(path)
    out = BytesIO()
    try:
        if suffix == ".parquet":
            table.apply(_to_one_type).to_parquet(out, index=False)
        else:
            _write_excel(table.map(_to_excel_cell), out)
    except ImportError as error:
        raise CorpusError(f"{path}: {NEEDS[suffix]}, or write .csv") from error
    except UnicodeEncodeError:
        raise
    except ValueError as error:  # an Excel sheet limits the number of rows and columns
        raise CorpusError(f"{path} cannot be written: {error}") from error
    return out.getvalue()


def _encode_json_lines(table: pd.DataFrame) -> bytes:
    """Encode a table as JSON lines, with null for missing values. Numbers keep all digits; pandas would keep ten."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    rows = finite.astype(object).where(finite.notna(), None).to_dict("records")
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()


def _to_one_type(column: pd.Series) -> pd.Series:
    """Convert a column for Parquet: to strings if it mixes types or has integers too large for Parquet."""
    cells = [cell for cell in column if not is_missing(cell)]
    large = any(isinstance(cell, int) and abs(cell) >= 2**63 for cell in cells)
    if len({type(cell) for cell in cells}) < 2 and not large:
        return column
    return column.map(lambda cell: None if is_missing(cell) else str(cell)).astype(object)


def _write_excel(table: pd.DataFrame, out: BytesIO) -> None:
    """Write an Excel sheet. A text that begins with `=` stays a text; openpyxl would make it a formula."""
    with pd.ExcelWriter(out, engine="openpyxl") as writer:
        table.to_excel(writer, index=False)
        for row in writer.book.active.iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    cell.data_type = "s"


def _to_excel_cell(cell: object) -> object:
    """Convert a cell for Excel: replace control characters, and cut a text at `EXCEL_CELL` characters."""
    if not isinstance(cell, str):
        return cell
    cell = CONTROL.sub("\N{REPLACEMENT CHARACTER}", cell)
    return cell if len(cell) <= EXCEL_CELL else cell[: EXCEL_CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _unknown_format(path: Path) -> CorpusError:
    return CorpusError(f"{path}: expected a manifest with suffix {', '.join(SUFFIXES)}; found {path.suffix!r}")


def to_string(value: object) -> str | None:
    """A cell as a string; None if it is missing. A whole number stays whole: Parquet stores 1 as 1.0 beside gaps."""
    if is_missing(value):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_missing(value: object) -> bool:
    """Whether a cell is empty. A list is not."""
    if isinstance(value, list | tuple | dict | np.ndarray):
        return False
    return value is None or value is pd.NA or value == "" or value != value  # only NaN differs from itself
