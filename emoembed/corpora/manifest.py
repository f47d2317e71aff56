"""The user's own data: a table of utterances as CSV, JSONL or Parquet.

Columns: `id`, and at least one of `text`, `audio`, `video`. The others of a corpus may be there: `labels` (joined by
`|`; JSONL and Parquet may hold lists), `split` (train, valid, test; without the column all rows are train), `start`,
`end`, `speaker`, `dialogue`, `turn`. Further columns are kept as they are. Paths may be relative to the manifest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora.corpus import COLUMNS, SPLITS, Corpus, make_samples, to_splits
from emoembed.corpora.files import existing, numbers, read_csv, read_jsonl, require_columns
from emoembed.errors import CorpusError
from emoembed.features.atomic import write_file

MODALITIES = ("text", "audio", "video")
SUFFIXES = (".csv", ".jsonl", ".parquet")
SEPARATOR = "|"


def read(path: str | Path) -> Corpus:
    """The manifest as a corpus, named like the file; an empty cell is a missing value.

    Labels stay as they are written. The corpus's `labels` are those that occur, sorted; it is multi-label if a row
    bears several.
    """
    path = existing(Path(path))
    table = read_table(path, ("id",))
    if not set(MODALITIES) & set(table.columns):
        raise CorpusError(
            f"{path}: no column 'text', 'audio' or 'video', of which one is needed; "
            f"the columns found are {', '.join(map(str, table.columns))}"
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
        table[column] = table[column].map(lambda place: None if _missing(place) else os.path.abspath(place))
    unwritable = [label for label in corpus.labels if SEPARATOR in label]
    if unwritable:
        raise CorpusError(f"label {unwritable[0]!r} holds {SEPARATOR!r}, which separates labels in a manifest")
    table["labels"] = table["labels"].map(SEPARATOR.join)
    if path.suffix == ".csv":
        content = table.to_csv(index=False, lineterminator="\n").encode()
    elif path.suffix == ".jsonl":
        content = table.to_json(orient="records", lines=True, force_ascii=False).encode()
    elif path.suffix == ".parquet":
        content = table.to_parquet(index=False)
    else:
        raise _unknown_format(path)
    write_file(path, content)


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A table as it is written, with the columns it must have; CSV's cells are strings."""
    if path.suffix == ".csv":
        return read_csv(path, columns)
    if path.suffix == ".jsonl":
        return read_jsonl(path, columns)
    if path.suffix != ".parquet":
        raise _unknown_format(path)
    try:
        table = pd.read_parquet(path)
    except ImportError as error:
        raise CorpusError(f"{path}: Parquet needs pyarrow; install emoembed[parquet], or give .csv") from error
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise CorpusError(f"{path} cannot be read as Parquet: {error}") from error
    require_columns(list(table.columns), columns, path)
    return table


def _unknown_format(path: Path) -> CorpusError:
    return CorpusError(f"{path}: a manifest is one of {', '.join(SUFFIXES)}, not {path.suffix!r}")


def _cell(value: object) -> str | None:
    return None if _missing(value) else str(value)


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or value == "" or value != value  # NaN alone differs from itself


def labels_of(value: object) -> tuple[str, ...]:
    """The labels of a cell: a list of them, or a string that joins them by `|`."""
    if isinstance(value, list | tuple | np.ndarray):
        listed = [str(label) for label in value if not _missing(label)]
    else:
        listed = [] if _missing(value) else str(value).split(SEPARATOR)
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
