"""What a caller's files hold and get: examples to adapt to, descriptions of labels, tables of scores."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from emoembed.corpora import manifest
from emoembed.corpora.corpus import Corpus
from emoembed.errors import EmoembedError, InputError, LabelError, MissingFileError, OutputError
from emoembed.features.atomic import write_file
from emoembed.labels.emotion import Description


def read_support(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a table with the column `label`, or `labels`, and any of `text`, `audio`, `video`.

    As in a manifest, several labels of a row are joined by `|`, and paths are relative to the file.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no support at {path}")
    table = manifest.read_table(path, ())
    table = table if "label" in table else table.rename(columns={"labels": "label"})
    if "label" not in table:
        there = ", ".join(map(str, table))
        raise InputError(f"{path} has no column label, which says what each row teaches; it has {there}")
    table = table.astype(object).where(table.notna(), None)
    return [_taught(row, path.parent) for row in table.to_dict("records")]


def _taught(row: Mapping[Hashable, Any], folder: Path) -> dict[str, Any]:
    """A row of support: an empty cell is nothing, a path lies in the folder."""
    cells: dict[str, Any] = {
        str(key): None if isinstance(cell, str) and not cell else cell for key, cell in row.items()
    }
    paths = {key: str(folder / cells[key]) for key in ("audio", "video") if cells.get(key) is not None}
    return {**cells, **paths, "label": list(manifest.labels_of(cells["label"]))}


def read_labels(path: str | Path) -> dict[str, Description]:
    """Labels from a JSON file: an object of name to description, as `predict` takes them."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no labels at {path}")
    try:
        labels = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise LabelError(f"{path} is not JSON: {error}") from error
    if not isinstance(labels, dict) or not all(isinstance(said, str | dict) for said in labels.values()):
        raise LabelError(f'{path} holds no object of name to description, such as {{"awe": "wonder before a thing"}}')
    return labels


def write_table(frame: pd.DataFrame, path: str | Path) -> None:
    """A table in the form its suffix names, whole or not at all."""
    path = Path(path)
    require_output(path)
    write_file(path, manifest.table_bytes(frame, path))


def require_output(path: str | Path, source: Corpus | str | Path | None = None) -> None:
    """Make sure, before the work, that a table can be written: its suffix, its folder, and not over its own source.

    Raises:
        InputError: the suffix is not that of a table, the path is a folder or that of the source.
        OutputError: the folder cannot be made or written to.
    """
    path = Path(path)
    try:
        _check_output(path, source)
    except (
        OSError,
        ValueError,
        RuntimeError,
    ) as error:  # a zero byte, links in a circle, a file where a folder is meant
        if isinstance(error, EmoembedError):
            raise
        raise OutputError(f"{str(path)!r:.100} cannot be written: {error}") from error


def _check_output(path: Path, source: Corpus | str | Path | None) -> None:
    _check_suffix(path)
    _check_suffix(Path(os.path.realpath(path)))  # a link is written through
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is no regular file; name another one")
    if isinstance(source, (str, Path)) and path.resolve() == Path(source).resolve():
        raise InputError(f"{path} is the manifest itself; its scores go to another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent} is not writable")


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in manifest.SUFFIXES:
        raise InputError(f"{path}: a table is one of {', '.join(manifest.SUFFIXES)}, not {path.suffix!r}")
    needed = {".parquet": "pyarrow", ".xlsx": "openpyxl"}.get(path.suffix.lower())
    if needed and find_spec(needed) is None:
        raise InputError(f"{path}: {manifest.NEEDS[path.suffix.lower()]}, or write .csv")
