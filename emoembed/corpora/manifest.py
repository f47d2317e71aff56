"""The user's own data: a table of utterances (CSV, TSV, JSONL, Parquet or Excel `.xlsx`), or a folder of media.

A table needs at least one of the columns `text`, `audio`, `video`. If it has no column `id`, rows are numbered from 1.
Optional columns are `labels` (joined by `|`; lists in JSONL and Parquet), `split` (train, valid or dev, test; without
this column all rows are train), `start`, `end`, `speaker`, `dialogue` and `turn`. Other columns are kept unchanged.
Paths may be relative to the manifest. If columns have other names, `read(path, columns=...)` takes them.
"""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora import places
from emoembed.corpora.corpus import COLUMNS, SPLITS, Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, numbers
from emoembed.corpora.table_files import is_missing, read_table, table_bytes, to_string
from emoembed.errors import CorpusError, InputError, MissingFileError
from emoembed.features import addresses
from emoembed.features.atomic import write_file
from emoembed.features.picture_files import SUFFIXES as PICTURES
from emoembed.labels.emotion import is_number

MODALITIES = ("text", "audio", "video")
SOUNDS = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".wma"})
FILMS = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv"})
SEPARATOR = "|"
CONTAINERS = (list, tuple, dict, np.ndarray)
SPLIT_NAMES = {**{name: name for name in SPLITS}, **dict.fromkeys(("dev", "val", "validation"), "valid")}
"""Names of splits, in any case, as manifests write them -> the names of this package."""


def read(
    path: str | Path,
    *,
    annotated: bool = True,
    known_labels: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
) -> Corpus:
    """Read a manifest as a corpus with the name of the file. An empty cell is a missing value.

    Labels keep their spelling. The corpus's `labels` are those that occur, sorted. The corpus is multi-label if a row
    has several labels.

    Args:
        path: of the manifest: a file, a folder of tables, or an address such as `s3://bucket/calls.parquet`.
        annotated: whether to read the columns `labels` and `split`. Without them, rows have no labels and are train.
        known_labels: labels that may contain a comma or a semicolon, which otherwise look like several labels.
        columns: the columns that have other names in the table, such as `{"text": "Q5"}`.
    """
    if places.is_place(path):
        table, folder = places.read_tables(path)
    else:
        table, folder = read_table(existing(Path(path)), ()), str(Path(path).parent)
    table = with_names(table, columns or {}, path)
    return of_table(table, Path(path), folder, annotated=annotated, known_labels=known_labels)


def of_table(
    table: pd.DataFrame,
    path: Path,
    folder: str,
    *,
    annotated: bool = True,
    known_labels: Collection[str] = (),
) -> Corpus:
    """As `read`, from a table that is already read. `path` is named in errors; media paths are relative to `folder`."""
    used = table if annotated else table.drop(columns=["labels", "split"], errors="ignore")
    if "id" not in table:
        table = table.assign(id=[str(row) for row in range(1, len(table) + 1)])
    if not set(MODALITIES) & set(table.columns):
        raise CorpusError(
            f"{path}: no column 'text', 'audio' or 'video'; at least one is needed; "
            f"the columns found are {', '.join(repr(name) for name in table.columns if name != 'id')}; "
            "to read one of them as text, give --column text=NAME (in Python, columns={'text': NAME})"
        )
    columns: dict[str, Sequence[object]] = {
        column: strings(table, column, path)
        for column in ("id", "text", "audio", "video", "speaker", "dialogue")
        if column in table
    }
    ids = _check_ids(columns.pop("id"), path)
    for column in ("audio", "video"):
        if column in table:
            columns[column] = [_make_absolute(place, folder) for place in columns[column]]
    for column in ("start", "end", "turn"):
        if column in table:
            columns[column] = list(numbers(table, column, path, whole=column == "turn"))
    columns["labels"] = label_lists(used, "labels", path) if "labels" in used else [()] * len(table)
    if "split" in used:
        splits = [(name or "").lower() for name in strings(used, "split", path)]
        used = used.assign(split=pd.Series(splits, used.index, dtype=object))  # Arrow cannot hold half a character
    columns["split"] = to_splits(used, "split", SPLIT_NAMES, path) if "split" in used else ["train"] * len(table)
    samples = make_samples(ids, **columns)
    other_columns = table[[column for column in table if column not in COLUMNS]]
    labels = tuple(sorted({label for row in samples["labels"] for label in row}))
    joined_labels = [label for label in labels if _looks_joined(label) and label not in known_labels]
    if joined_labels:
        raise CorpusError(
            f"{path}: label {joined_labels[0]!r} holds several names; join labels with {SEPARATOR!r}: joy|hope"
        )
    numbered = [label for label in labels if is_number(label) and label not in known_labels]
    if numbered:
        raise CorpusError(f"{path}: label {numbered[0]!r} is a number; give the emotion's name, such as joy")
    multi_label = any(len(row) > 1 for row in samples["labels"])
    blank = int((samples["labels"].map(len) == 0).sum())
    if multi_label and blank and not known_labels:
        warnings.warn(
            f"{path}: rows may have several labels, so its {blank} rows without a label count as having none of them; "
            "leave out the rows that nobody labelled",
            stacklevel=4,
        )
    return Corpus(path.stem, pd.concat([samples, other_columns], axis=1), labels, multi_label)


def with_names(table: pd.DataFrame, columns: Mapping[str, str], path: str | Path) -> pd.DataFrame:
    """Rename columns of a table to those of a manifest. A column that already had this name becomes `input_NAME`.

    Args:
        table: of any columns.
        columns: a name such as text -> the column of the table. Capitals do not matter.
        path: of the table, for messages.

    Raises:
        InputError: a name is not that of a column of a manifest.
        CorpusError: the table has no such column.
    """
    for name, wanted in columns.items():
        if name not in (*COLUMNS, "label"):
            raise InputError(f"{name!r} is not a column of a manifest; its columns are {', '.join(COLUMNS)}")
        names = list(map(str, table))
        same = [column for column in names if column == wanted]
        same = same or [column for column in names if column.lower() == wanted.strip().lower()]
        if len(same) != 1:
            raise CorpusError(f"{path}: no column {wanted!r} to read as {name}; its columns are {', '.join(names)}")
        if same != [name]:
            table = table.rename(columns={name: f"input_{name}"}).rename(columns={same[0]: name})
    return table


def write(corpus: Corpus, path: str | Path) -> None:
    """Write a corpus as a manifest that `read` can read; the suffix sets the format.

    The file is written completely or not at all. Paths are written as absolute paths. A manifest does not store the
    corpus's name, nor the labels that no row has.

    Raises:
        CorpusError: a label would be read as several labels, or the format cannot hold the table.
    """
    joined_labels = [label for label in corpus.labels if _looks_joined(label)]
    if joined_labels:
        raise CorpusError(f"label {joined_labels[0]!r} would be read as several labels; rename it")
    write_samples(corpus, path)


def write_samples(corpus: Corpus, path: str | Path) -> None:
    """Write the samples as `write` does, also if a label contains a comma. Read them with `known_labels`."""
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


def of_files(modality: str, sources: Sequence[str | Path]) -> Corpus:
    """Make a corpus from media files, one row per file. The ids are the paths as given.

    Args:
        modality: audio or video.
        sources: files, folders (searched with their subfolders) or patterns such as `interviews/*.wav`; or addresses of
            files and folders, such as `s3://bucket/interviews`.

    Raises:
        MissingFileError: a path does not exist, or a folder or pattern has no file of this modality.
    """
    paths = files_of(sources, FILMS | (SOUNDS if modality == "audio" else PICTURES), modality)
    samples = make_samples(
        paths,
        split=["train"] * len(paths),
        labels=[()] * len(paths),
        **{modality: [_make_absolute(path, "") for path in paths]},
    )
    return Corpus(modality, samples, (), False)


def of_texts(texts: Sequence[str]) -> Corpus:
    """Make a corpus from texts, one row per text. The ids are their numbers, from 1."""
    ids = [str(row) for row in range(1, len(texts) + 1)]
    samples = make_samples(ids, split=["train"] * len(ids), labels=[()] * len(ids), text=list(texts))
    return Corpus("text", samples, (), False)


def files_of(sources: Sequence[str | Path], suffixes: Collection[str], kind: str) -> list[str]:
    """The paths of files, each once. A folder or a pattern gives its files with these suffixes.

    Raises:
        MissingFileError: a path does not exist, or a folder or pattern has no such file. The message names the `kind`.
    """
    paths: list[str] = []
    for source in map(str, sources):
        if addresses.is_address(source):
            paths = list(dict.fromkeys([*paths, *_files_at(source, suffixes, kind)]))
            continue
        candidates = sorted(Path(source).rglob("*")) if os.path.isdir(source) else sorted(map(Path, glob.glob(source)))
        files = [str(path) for path in candidates if path.is_file() and path.suffix.lower() in suffixes]
        if not os.path.isdir(source) and (os.path.isfile(source) or not glob.has_magic(source)):
            files = [str(existing(Path(source)))]
        if not files:
            raise MissingFileError(f"{source} holds no {kind} file ({', '.join(sorted(suffixes))})")
        paths += [name for name in files if name not in paths]
    return paths


def _files_at(address: str, suffixes: Collection[str], kind: str) -> list[str]:
    """The addresses of a file, or of the files of a folder that have these suffixes."""
    if Path(address).suffix.lower() in suffixes:
        return [address]
    root = addresses.located(address)[1].rstrip("/") + "/"
    names = [info.path.removeprefix(root) for info in addresses.files_in(address)]
    files = [addresses.join(address, name) for name in names if Path(name).suffix.lower() in suffixes]
    if not files:
        raise MissingFileError(f"{address} holds no {kind} file ({', '.join(sorted(suffixes))})")
    return files


def strings(table: pd.DataFrame, column: str, path: Path) -> list[str | None]:
    """A column as strings. Raises CorpusError if a cell is a list or another container."""
    for row, cell in enumerate(table[column], start=1):
        if isinstance(cell, CONTAINERS):
            raise CorpusError(f"{path}, row {row}, column {column}: expected text, found a {type(cell).__name__}")
    return [to_string(value) for value in table[column]]


def _looks_joined(label: str) -> bool:
    return ";" in label or "," in label


def label_lists(table: pd.DataFrame, column: str, path: Path) -> list[tuple[str, ...]]:
    """Split each cell of a column into labels. A cell is a list of labels, or a string of labels joined by `|`.

    Raises:
        CorpusError: a cell is another container, or a list in it contains one.
    """
    rows = []
    for row, cell in enumerate(table[column], start=1):
        is_list = isinstance(cell, list | tuple | np.ndarray)
        wrong = [value for value in (cell if is_list else [cell]) if isinstance(value, CONTAINERS)]
        if wrong:
            raise CorpusError(
                f"{path}, row {row}, column {column}: expected labels as text, found a {type(wrong[0]).__name__}"
            )
        names = [to_string(label) or "" for label in cell] if is_list else (to_string(cell) or "").split(SEPARATOR)
        rows.append(tuple(dict.fromkeys(filter(None, map(str.strip, names)))))
    return rows


def _make_absolute(name: object, folder: str) -> str | None:
    if name is None:
        return None
    place = addresses.join(folder, str(name))
    return place if addresses.is_address(place) else os.path.abspath(place)


def _check_ids(ids: Sequence[object], path: Path) -> list[str]:
    rows: dict[str, int] = {}
    for row, item in enumerate(ids, start=1):
        if item is None:
            raise CorpusError(f"{path}, row {row}, column id: empty; every row needs an id")
        if (name := str(item)) in rows:
            raise CorpusError(f"{path}, row {row}, column id: {name!r} is also in row {rows[name]}; ids must be unique")
        rows[name] = row
    return list(rows)
