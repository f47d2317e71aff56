"""The user's own data: a table of utterances as CSV, TSV, JSONL, Parquet or Excel's `.xlsx`; or a folder of media.

Columns: at least one of `text`, `audio`, `video`; rows without `id` are numbered from 1. The others of a corpus may be
there: `labels` (joined by `|`; JSONL and Parquet may hold lists), `split` (train, valid, test; without the column all
rows are train), `start`, `end`, `speaker`, `dialogue`, `turn`. Further columns are kept as they are. Paths may be
relative to the manifest.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora.corpus import COLUMNS, SPLITS, Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, numbers, parse_csv, read_jsonl, require_columns
from emoembed.errors import CorpusError, CorpusFileError, MissingFileError
from emoembed.features.atomic import write_file
from emoembed.features.limits import ARCHIVE_GROWTH, archive_allows
from emoembed.features.packed import require_rows
from emoembed.features.picture_files import SUFFIXES as PICTURES

MODALITIES = ("text", "audio", "video")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma"})
FILMS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})
SEPARATOR = "|"


def read(path: str | Path) -> Corpus:
    """The manifest as a corpus, named like the file; an empty cell is a missing value.

    Labels stay as they are written. The corpus's `labels` are those that occur, sorted; it is multi-label if a row
    bears several.
    """
    path = existing(Path(path))
    table = read_table(path, ())
    if "id" not in table:
        table = table.assign(id=[str(row) for row in range(1, len(table) + 1)])
    if not set(MODALITIES) & set(table.columns):
        raise CorpusError(
            f"{path}: no column 'text', 'audio' or 'video', of which one is needed; "
            f"the columns found are {', '.join(repr(name) for name in table.columns if name != 'id')}"
        )
    columns: dict[str, Sequence[object]] = {
        column: [_cell(value) for value in table[column]]
        for column in ("id", "text", "audio", "video", "speaker", "dialogue")
        if column in table
    }
    ids = _checked_ids(columns.pop("id"), path)
    for column in ("audio", "video"):
        if column in table:
            columns[column] = [_resolve(place, path) for place in columns[column]]
    for column in ("start", "end", "turn"):
        if column in table:
            columns[column] = list(numbers(table, column, path, whole=column == "turn"))
    columns["labels"] = [labels_of(value) for value in table["labels"]] if "labels" in table else [()] * len(table)
    if "split" in table:
        table = table.assign(split=[_cell(value) or "" for value in table["split"]])
    identity = {split: split for split in SPLITS}
    columns["split"] = to_splits(table, "split", identity, path) if "split" in table else ["train"] * len(table)
    samples = make_samples(ids, **columns)
    further = table[[column for column in table if column not in COLUMNS]]
    labels = tuple(sorted({label for row in samples["labels"] for label in row}))
    joined = [label for label in labels if ";" in label or "," in label]
    if joined:
        raise CorpusError(f"{path}: label {joined[0]!r} names several; labels are joined by {SEPARATOR!r}: joy|hope")
    multi_label = any(len(row) > 1 for row in samples["labels"])
    return Corpus(path.stem, pd.concat([samples, further], axis=1), labels, multi_label)


def write(corpus: Corpus, path: str | Path) -> None:
    """Write a corpus as a manifest that `read` gives back, whole or not at all; the suffix says the format.

    Paths are written absolute. What a table of rows cannot hold, the corpus's name and labels without rows, is lost.
    """
    path = Path(path)
    table = corpus.samples.copy()
    for column in ("audio", "video"):
        table[column] = table[column].map(lambda place: None if is_missing(place) else os.path.abspath(place))
    unwritable = [label for label in corpus.labels if SEPARATOR in label]
    if unwritable:
        raise CorpusError(f"label {unwritable[0]!r} holds {SEPARATOR!r}, which separates labels in a manifest")
    table["labels"] = table["labels"].map(SEPARATOR.join)
    write_file(path, table_bytes(table, path))


def _json_lines(table: pd.DataFrame) -> bytes:
    """A table as JSON lines, with null for what is missing. Numbers keep all their digits; pandas keeps ten."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    rows = finite.astype(object).where(finite.notna(), None).to_dict("records")
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()


def table_bytes(table: pd.DataFrame, path: Path) -> bytes:
    """A table in the form that a path's suffix names. Raises CorpusError for any other, or one that needs a package."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return table.to_csv(index=False, sep="\t" if suffix == ".tsv" else ",", lineterminator="\n").encode()
    if suffix == ".jsonl":
        return _json_lines(table)
    if suffix not in SUFFIXES:
        raise _unknown_format(path)
    out = BytesIO()
    try:
        if suffix == ".parquet":
            table.apply(_of_one_type).to_parquet(out, index=False)
        else:
            table.map(_excel_cell).to_excel(out, index=False)
    except ImportError as error:
        raise CorpusError(f"{path}: {NEEDS[suffix]}, or write .csv") from error
    except ValueError as error:  # a sheet has so many rows and columns
        raise CorpusError(f"{path} cannot be written: {error}") from error
    return out.getvalue()


def _of_one_type(column: pd.Series) -> pd.Series:
    """A column as Parquet holds it: as texts where its cells are of several types, or larger than its integers."""
    cells = [cell for cell in column if not is_missing(cell)]
    large = any(isinstance(cell, int) and abs(cell) >= 2**63 for cell in cells)
    if len({type(cell) for cell in cells}) < 2 and not large:
        return column
    return column.map(lambda cell: None if is_missing(cell) else str(cell)).astype(object)


def _excel_cell(cell: object) -> object:
    """A cell as a sheet holds it: without control characters, and no longer than it may be."""
    if not isinstance(cell, str):
        return cell
    cell = CONTROL.sub("\N{REPLACEMENT CHARACTER}", cell)
    return cell if len(cell) <= EXCEL_CELL else cell[: EXCEL_CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def of_files(modality: str, places: Sequence[str | Path]) -> Corpus:
    """Media files as a manifest, one row each; folders stand for the media files in them and below.

    A place may be a pattern, such as `interviews/*.wav`. The ids are the paths as given.

    Raises:
        MissingFileError: a place is not there, or a folder or pattern holds no file of this modality.
    """
    suffixes = FILMS | (SOUNDS if modality == "audio" else PICTURES)
    found: list[str] = []
    for place in map(str, places):
        inside = sorted(Path(place).rglob("*")) if os.path.isdir(place) else sorted(map(Path, glob.glob(place)))
        files = [str(path) for path in inside if path.is_file() and (path.suffix.lower() in suffixes)]
        if not os.path.isdir(place) and (os.path.isfile(place) or not glob.has_magic(place)):
            files = [str(existing(Path(place)))]
        if not files:
            raise MissingFileError(f"{place} holds no {modality} file ({', '.join(sorted(suffixes))})")
        found += [name for name in files if name not in found]
    samples = make_samples(
        found, split=["train"] * len(found), labels=[()] * len(found), **{modality: list(map(os.path.abspath, found))}
    )
    return Corpus(modality, samples, (), False)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table as it is written, with the columns it must have; cells of CSV and TSV are strings.

    Blanks around the names of columns are left out, and `Text` is read as `text`. CSV may be separated by `,`, `;` or
    tab, in UTF-8, UTF-16 or, with a warning, Windows-1252.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        table = _read_delimited(path, columns, "\t" if suffix == ".tsv" else None)
    elif suffix == ".jsonl":
        table = read_jsonl(path, ())
    elif suffix == ".parquet":
        table = _read_with_pandas(path, _read_parquet)
    elif suffix == ".xlsx":
        table = _read_with_pandas(path, lambda place: pd.read_excel(place, dtype=object))
    else:
        raise _unknown_format(path)
    table.columns = _plain_names(list(table.columns))
    require_columns(list(table.columns), columns, path)
    return table


def _plain_names(columns: Sequence[object]) -> list[str]:
    """Names of columns without blanks around them; `Text` is `text`, where no other column is called so."""
    names = [str(name).strip() for name in columns]
    wanted = {*COLUMNS, "label"} - set(names)
    lowered = [name.lower() for name in names]
    return [
        low if low in wanted and lowered.count(low) == 1 else name for name, low in zip(names, lowered, strict=True)
    ]


def _read_parquet(path: Path) -> pd.DataFrame:
    require_rows(path)
    return pd.read_parquet(path)


def _read_delimited(path: Path, columns: Sequence[str], separator: str | None) -> pd.DataFrame:
    """The table of the separator that gives its first row most cells."""
    text = _decoded(path)
    first = text.split("\n", 1)[0]
    separators = (separator,) if separator else (",", ";", "\t")
    best = max(separators, key=first.count if '"' not in first else lambda mark: _cells_of(first, mark))
    return parse_csv(text, path, columns, sep=best)


def _cells_of(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 0


def _decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            last = error
            continue
        if encoding == "cp1252":
            warnings.warn(f"{path} is not UTF-8 and was read as Windows-1252; save it as UTF-8", stacklevel=5)
        return text
    raise CorpusError(f"{path}: expected text in UTF-8, UTF-16 or Windows-1252: {last}") from last


def _read_with_pandas(path: Path, reader: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """A Parquet or Excel file. What their libraries raise of damaged ones is of many kinds."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".xlsx":
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            if not archive_allows(unpacked, path.stat().st_size):
                raise CorpusError(
                    f"{path} unpacks to {unpacked:,} bytes, more than {ARCHIVE_GROWTH} times its own size"
                )
        return reader(path).astype(object)  # here, for what Arrow holds of texts it decodes only now
    except ImportError as error:
        raise CorpusError(f"{path}: {NEEDS[suffix]}, or give .csv") from error
    except CorpusError:
        raise
    except DAMAGED + _arrow_errors() as error:
        raise CorpusFileError(f"{path} cannot be read as {suffix}: {error}") from error


CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
EXCEL_CELL = 32_767
DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError, ArithmeticError),
    *(zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, MemoryError, RuntimeError),
)
"""What openpyxl raises of a damaged file (XML's ParseError is a SyntaxError), and pandas of what is in one."""


def _arrow_errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises, where it is installed."""
    if find_spec("pyarrow") is None:
        return ()
    from pyarrow.lib import ArrowException

    return (ArrowException,)


NEEDS = {
    ".parquet": "Parquet needs pyarrow; install emoembed[parquet]",
    ".xlsx": "Excel files need openpyxl; install emoembed[excel]",
}


def _unknown_format(path: Path) -> CorpusError:
    return CorpusError(f"{path}: a manifest is one of {', '.join(SUFFIXES)}, not {path.suffix!r}")


def _cell(value: object) -> str | None:
    return None if is_missing(value) else str(value)


def is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value == "" or value != value  # NaN alone differs from itself


def labels_of(value: object) -> tuple[str, ...]:
    """The labels of a cell: a list of them, or a string that joins them by `|`."""
    if isinstance(value, list | tuple | np.ndarray):
        listed = [str(label) for label in value if not is_missing(label)]
    else:
        listed = [] if is_missing(value) else str(value).split(SEPARATOR)
    return tuple(dict.fromkeys(filter(None, map(str.strip, listed))))


def _resolve(place: object, path: Path) -> str | None:
    return None if place is None else os.path.abspath(path.parent / str(place))


def _checked_ids(ids: Sequence[object], path: Path) -> list[str]:
    seen: dict[str, int] = {}
    for row, item in enumerate(ids, start=1):
        if item is None:
            raise CorpusError(f"{path}, row {row}, column id: empty; every row needs an id")
        if (name := str(item)) in seen:
            raise CorpusError(f"{path}, row {row}, column id: {name!r} stands in row {seen[name]} too; ids are unique")
        seen[name] = row
    return list(seen)
