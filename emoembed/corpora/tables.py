"""Read and write the user's tables: examples for few-shot labels, descriptions of labels, scores."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from emoembed.corpora import manifest, table_files
from emoembed.corpora.corpus import Corpus
from emoembed.corpora.files import read_text
from emoembed.errors import EmoembedError, InputError, LabelError, OutputError
from emoembed.features.atomic import write_file
from emoembed.features.media_files import require_file
from emoembed.labels.emotion import Description


def read_support(path: str | Path, columns: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Read few-shot examples: a table with a column `label` or `labels`, and any of `text`, `audio`, `video`.

    As in a manifest, `|` joins several labels of a row, and paths are relative to the file. `columns` names the columns
    that have other names in the table, such as `{"label": "emotion"}`.
    """
    path = Path(path)
    require_file(path, "support")
    table = manifest.with_names(table_files.read_table(path, ()), columns or {}, path)
    table = table if "label" in table else table.rename(columns={"labels": "label"})
    if "label" not in table:
        listed = ", ".join(map(str, table))
        raise InputError(
            f"{path} has no column 'label' with the label of each row; its columns are {listed}; name the column with "
            "--column label=NAME"
        )
    table = table.astype(object).where(table.notna(), None)
    for column in {"text", "audio", "video"} & set(table):
        table[column] = pd.Series(manifest.strings(table, column, path), index=table.index, dtype=object)
    labels = manifest.label_lists(table, "label", path)
    return [
        {**_clean_row(row, path.parent), "label": list(names)}
        for row, names in zip(table.to_dict("records"), labels, strict=True)
    ]


def _clean_row(row: Mapping[Hashable, Any], folder: Path) -> dict[str, Any]:
    """Replace empty cells by None, and resolve media paths relative to the folder."""
    cells: dict[str, Any] = {
        str(key): None if isinstance(cell, str) and not cell else cell for key, cell in row.items()
    }
    paths = {key: str(folder / str(cells[key])) for key in ("audio", "video") if cells.get(key) is not None}
    return {**cells, **paths}


def read_label_names(path: str | Path) -> list[str]:
    """Read emotion names from a text file with one name per line. Empty lines and lines that begin with # are skipped.

    Raises:
        MissingFileError: there is no such file.
        InputError: the file has no name.
    """
    path = Path(path)
    require_file(path, "emotion name")
    lines = [line.strip() for line in table_files.read_decoded(path).splitlines()]
    names = [line for line in lines if line and not line.startswith("#")]
    if not names:
        raise InputError(f"{path} has no emotion names; write one name per line")
    return names


def read_labels(path: str | Path) -> dict[str, Description]:
    """Read labels from a JSON file: an object {name: description}, in the form that `predict` accepts."""
    path = Path(path)
    require_file(path, "label")
    try:
        labels = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, EmoembedError):
            raise
        raise LabelError(f"{path} is not JSON: {error}") from error
    if not isinstance(labels, dict) or not all(isinstance(text, str | dict) for text in labels.values()):
        raise LabelError(f'{path} must hold a JSON object of descriptions, such as {{"awe": "wonder before a thing"}}')
    return labels


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table in the format of the suffix. The file is written completely or not at all."""
    path = Path(path)
    require_output(path)
    write_file(path, table_files.table_bytes(frame, path))


def require_output(path: str | Path, source: Corpus | str | Path | None = None, *, also: Sequence[str] = ()) -> None:
    """Check that a table can be written to `path`, before any work is done. The folder is created if needed.

    Args:
        path: of the new file.
        source: what is scored. It may not be overwritten.
        also: further suffixes that the caller writes itself.

    Raises:
        InputError: the suffix is not a table format, or the path is a folder, not a regular file, or the source itself.
        OutputError: the folder cannot be created or is not writable.
    """
    path = Path(path)
    try:
        _check_output(path, source, also)
    # a file in place of the folder (OSError), a zero byte (ValueError), circular links (RuntimeError)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, EmoembedError):
            raise
        raise OutputError(f"{str(path)!r:.100} cannot be written: {error}") from error


def _check_output(path: Path, source: Corpus | str | Path | None, also: Sequence[str]) -> None:
    _check_suffix(path, also)
    _check_suffix(Path(os.path.realpath(path)), also)  # writing to a link writes its target
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file; name another file")
    if isinstance(source, (str, Path)) and path.resolve() == Path(source).resolve():
        raise InputError(f"{path} is the input itself; write the scores to another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent} is not writable; choose another folder")


def _check_suffix(path: Path, also: Sequence[str]) -> None:
    if path.suffix.lower() in also:
        return
    if path.suffix.lower() not in table_files.SUFFIXES:
        others = f", other files are {', '.join(also)}" if also else ""
        raise InputError(f"{path}: a table is one of {', '.join(table_files.SUFFIXES)}{others}, not {path.suffix!r}")
    needed = {".parquet": "pyarrow", ".xlsx": "openpyxl"}.get(path.suffix.lower())
    if needed and find_spec(needed) is None:
        raise InputError(f"{path}: {table_files.NEEDS[path.suffix.lower()]}, or write .csv")
