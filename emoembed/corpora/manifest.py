"""The user's own data: a table of utterances (CSV, TSV, JSONL, Parquet or Excel `.xlsx`), or a folder of media.

A table needs at least one of the columns `text`, `audio`, `video`. If it has no column `id`, rows are numbered from 1.
Optional columns are `labels` (joined by `|`; lists in JSONL and Parquet), `split` (train, valid, test; without this
column all rows are train), `start`, `end`, `speaker`, `dialogue` and `turn`. Other columns are kept unchanged. Paths
may be relative to the manifest.
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
    """Read a manifest as a corpus with the name of the file. An empty cell is a missing value.

    Labels keep their spelling. The corpus's `labels` are those that occur, sorted. The corpus is multi-label if a row
    has several labels.
    """
    path = existing(Path(path))
    table = read_table(path, ())
    if "id" not in table:
        table = table.assign(id=[str(row) for row in range(1, len(table) + 1)])
    if not set(MODALITIES) & set(table.columns):
        raise CorpusError(
            f"{path}: no column 'text', 'audio' or 'video'; at least one is needed; "
            f"the columns found are {', '.join(repr(name) for name in table.columns if name != 'id')}"
        )
    columns: dict[str, Sequence[object]] = {
        column: [_to_string(value) for value in table[column]]
        for column in ("id", "text", "audio", "video", "speaker", "dialogue")
        if column in table
    }
    ids = _check_ids(columns.pop("id"), path)
    for column in ("audio", "video"):
        if column in table:
            columns[column] = [_make_absolute(place, path) for place in columns[column]]
    for column in ("start", "end", "turn"):
        if column in table:
            columns[column] = list(numbers(table, column, path, whole=column == "turn"))
    columns["labels"] = [labels_of(value) for value in table["labels"]] if "labels" in table else [()] * len(table)
    if "split" in table:
        table = table.assign(split=[_to_string(value) or "" for value in table["split"]])
    identity = {split: split for split in SPLITS}
    columns["split"] = to_splits(table, "split", identity, path) if "split" in table else ["train"] * len(table)
    samples = make_samples(ids, **columns)
    other_columns = table[[column for column in table if column not in COLUMNS]]
    labels = tuple(sorted({label for row in samples["labels"] for label in row}))
    joined_labels = [label for label in labels if ";" in label or "," in label]
    if joined_labels:
        raise CorpusError(
            f"{path}: label {joined_labels[0]!r} holds several names; join labels with {SEPARATOR!r}: joy|hope"
        )
    multi_label = any(len(row) > 1 for row in samples["labels"])
    return Corpus(path.stem, pd.concat([samples, other_columns], axis=1), labels, multi_label)


def write(corpus: Corpus, path: str | Path) -> None:
    """Write a corpus as a manifest that `read` can read; the suffix sets the format.

    The file is written completely or not at all. Paths are written as absolute paths. A manifest does not store the
    corpus's name, nor the labels that no row has.
    """
    path = Path(path)
    table = corpus.samples.copy()
    for column in ("audio", "video"):
        table[column] = table[column].map(lambda path: None if is_missing(path) else os.path.abspath(path))
    unwritable = [label for label in corpus.labels if SEPARATOR in label]
    if unwritable:
        raise CorpusError(
            f"label {unwritable[0]!r} holds {SEPARATOR!r}, which separates labels in a manifest; rename the label"
        )
    table["labels"] = table["labels"].map(SEPARATOR.join)
    write_file(path, table_bytes(table, path))


def _encode_json_lines(table: pd.DataFrame) -> bytes:
    """Encode a table as JSON lines, with null for missing values. Numbers keep all digits; pandas would keep ten."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    rows = finite.astype(object).where(finite.notna(), None).to_dict("records")
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()


def table_bytes(table: pd.DataFrame, path: Path) -> bytes:
    """Encode a table in the format of the path's suffix.

    Raises:
        CorpusError: the format is unknown, needs a package that is not installed, or cannot hold the table.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return table.to_csv(index=False, sep="\t" if suffix == ".tsv" else ",", lineterminator="\n").encode()
    if suffix == ".jsonl":
        return _encode_json_lines(table)
    if suffix not in SUFFIXES:
        raise _unknown_format(path)
    out = BytesIO()
    try:
        if suffix == ".parquet":
            table.apply(_to_one_type).to_parquet(out, index=False)
        else:
            table.map(_to_excel_cell).to_excel(out, index=False)
    except ImportError as error:
        raise CorpusError(f"{path}: {NEEDS[suffix]}, or write .csv") from error
    except ValueError as error:  # an Excel sheet limits the number of rows and columns
        raise CorpusError(f"{path} cannot be written: {error}") from error
    return out.getvalue()


def _to_one_type(column: pd.Series) -> pd.Series:
    """Convert a column for Parquet: to strings if it mixes types or has integers too large for Parquet."""
    cells = [cell for cell in column if not is_missing(cell)]
    large = any(isinstance(cell, int) and abs(cell) >= 2**63 for cell in cells)
    if len({type(cell) for cell in cells}) < 2 and not large:
        return column
    return column.map(lambda cell: None if is_missing(cell) else str(cell)).astype(object)


def _to_excel_cell(cell: object) -> object:
    """Convert a cell for Excel: replace control characters, and cut a text at `EXCEL_CELL` characters."""
    if not isinstance(cell, str):
        return cell
    cell = CONTROL.sub("\N{REPLACEMENT CHARACTER}", cell)
    return cell if len(cell) <= EXCEL_CELL else cell[: EXCEL_CELL - 1] + "\N{HORIZONTAL ELLIPSIS}"


def of_files(modality: str, sources: Sequence[str | Path]) -> Corpus:
    """Make a corpus from media files, one row per file. The ids are the paths as given.

    Args:
        modality: audio or video.
        sources: files, folders (searched with their subfolders) or patterns such as `interviews/*.wav`.

    Raises:
        MissingFileError: a path does not exist, or a folder or pattern has no file of this modality.
    """
    suffixes = FILMS | (SOUNDS if modality == "audio" else PICTURES)
    paths: list[str] = []
    for source in map(str, sources):
        candidates = sorted(Path(source).rglob("*")) if os.path.isdir(source) else sorted(map(Path, glob.glob(source)))
        files = [str(path) for path in candidates if path.is_file() and (path.suffix.lower() in suffixes)]
        if not os.path.isdir(source) and (os.path.isfile(source) or not glob.has_magic(source)):
            files = [str(existing(Path(source)))]
        if not files:
            raise MissingFileError(f"{source} holds no {modality} file ({', '.join(sorted(suffixes))})")
        paths += [name for name in files if name not in paths]
    samples = make_samples(
        paths, split=["train"] * len(paths), labels=[()] * len(paths), **{modality: list(map(os.path.abspath, paths))}
    )
    return Corpus(modality, samples, (), False)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a table and check that it has `columns`. Cells of CSV and TSV are strings.

    Spaces around column names are removed, and `Text` is read as `text`. The separator of CSV may be `,`, `;` or tab.
    The encoding may be UTF-8, UTF-16 or, with a warning, Windows-1252.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        table = _read_delimited(path, columns, "\t" if suffix == ".tsv" else None)
    elif suffix == ".jsonl":
        table = read_jsonl(path, ())
    elif suffix == ".parquet":
        table = _read_with_pandas(path, _read_parquet)
    elif suffix == ".xlsx":
        table = _read_with_pandas(path, lambda file: pd.read_excel(file, dtype=object))
    else:
        raise _unknown_format(path)
    table.columns = _normalise_names(list(table.columns))
    require_columns(list(table.columns), columns, path)
    return table


def _normalise_names(columns: Sequence[object]) -> list[str]:
    """Strip the column names, and turn `Text` into `text` unless another column already has that name."""
    names = [str(name).strip() for name in columns]
    absent_names = {*COLUMNS, "label"} - set(names)
    lower_names = [name.lower() for name in names]
    return [
        low if low in absent_names and lower_names.count(low) == 1 else name
        for name, low in zip(names, lower_names, strict=True)
    ]


def _read_parquet(path: Path) -> pd.DataFrame:
    require_rows(path)
    return pd.read_parquet(path)


def _read_delimited(path: Path, columns: Sequence[str], separator: str | None) -> pd.DataFrame:
    """Read a delimited table; the separator is the one that splits the first row into the most cells."""
    text = read_decoded(path)
    header = text.split("\n", 1)[0]
    separators = (separator,) if separator else (",", ";", "\t")
    best_separator = max(separators, key=header.count if '"' not in header else lambda mark: _count_cells(header, mark))
    return parse_csv(text, path, columns, sep=best_separator)


def _count_cells(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 0


def read_decoded(path: Path) -> str:
    """The text of a file in UTF-8, UTF-16 or, with a warning, Windows-1252. Raises CorpusError for others."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read: {error.strerror or error}") from error
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
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


CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
EXCEL_CELL = 32_767
DAMAGED: tuple[type[Exception], ...] = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError, ArithmeticError),
    *(zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, MemoryError, RuntimeError),
)
"""Errors that openpyxl and pandas raise for damaged files. XML's ParseError is a SyntaxError."""


def _arrow_errors() -> tuple[type[Exception], ...]:
    """Return the base class of pyarrow's errors, or () if pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        return ()
    from pyarrow.lib import ArrowException

    return (ArrowException,)


NEEDS = {
    ".parquet": "Parquet needs pyarrow; install emoembed[parquet]",
    ".xlsx": "Excel files need openpyxl; install emoembed[excel]",
}


def _unknown_format(path: Path) -> CorpusError:
    return CorpusError(f"{path}: expected a manifest with suffix {', '.join(SUFFIXES)}; found {path.suffix!r}")


def _to_string(value: object) -> str | None:
    return None if is_missing(value) else str(value)


def is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value == "" or value != value  # only NaN differs from itself


def labels_of(value: object) -> tuple[str, ...]:
    """Split a cell into labels. A cell is a list of labels, or a string of labels joined by `|`."""
    if isinstance(value, list | tuple | np.ndarray):
        names = [str(label) for label in value if not is_missing(label)]
    else:
        names = [] if is_missing(value) else str(value).split(SEPARATOR)
    return tuple(dict.fromkeys(filter(None, map(str.strip, names))))


def _make_absolute(name: object, path: Path) -> str | None:
    return None if name is None else os.path.abspath(path.parent / str(name))


def _check_ids(ids: Sequence[object], path: Path) -> list[str]:
    rows: dict[str, int] = {}
    for row, item in enumerate(ids, start=1):
        if item is None:
            raise CorpusError(f"{path}, row {row}, column id: empty; every row needs an id")
        if (name := str(item)) in rows:
            raise CorpusError(f"{path}, row {row}, column id: {name!r} is also in row {rows[name]}; ids must be unique")
        rows[name] = row
    return list(rows)
