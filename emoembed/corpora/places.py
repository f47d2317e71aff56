"""Tables that are not a single local file: a folder of tables, or an address such as `s3://bucket/calls`."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from emoembed.corpora.table_files import SUFFIXES, read_table
from emoembed.errors import CorpusError, InputError, MissingFileError
from emoembed.features import addresses

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem


@dataclass(frozen=True)
class Tables:
    """The files of a table, in the order of their paths.

    Attributes:
        system: the file system.
        files: at least one; all have the same suffix.
        folder: the folder or address to which media paths in the table are relative.
    """

    system: FileSystem
    files: tuple[FileInfo, ...]
    folder: str

    @property
    def suffix(self) -> str:
        """The suffix of the files, such as `.parquet`."""
        return Path(self.files[0].base_name).suffix.lower()


def is_place(path: object) -> bool:
    """Whether a path is a folder or an address."""
    return addresses.is_address(path) or (isinstance(path, str | Path) and os.path.isdir(path))


def tables_at(place: str | Path) -> Tables:
    """The files of a table at a path or an address: a single file, or those of a folder.

    Raises:
        MissingFileError: there is no such file, and no folder with tables.
        CorpusError: the files have different suffixes.
        InputError: the address cannot be read.
    """
    from pyarrow.fs import FileType

    system, path = addresses.located(place)
    try:
        info = system.get_file_info(path)
    except OSError as error:
        raise InputError(f"{place} cannot be read: {error}") from error
    if info.type == FileType.File:
        return Tables(system, (info,), addresses.parent(str(place)))
    files = addresses.files_in(place) if info.type == FileType.Directory else []
    tables = tuple(file for file in files if Path(file.base_name).suffix.lower() in SUFFIXES)
    if not tables:
        raise MissingFileError(f"there is no table at {place}; a table is {', '.join(SUFFIXES)}, or a folder of them")
    suffixes = {Path(file.base_name).suffix.lower() for file in tables}
    if len(suffixes) > 1:
        raise CorpusError(
            f"{place} has tables of several kinds ({', '.join(sorted(suffixes))}); keep those of one kind"
        )
    return Tables(system, tables, str(place))


def read_tables(place: str | Path) -> tuple[pd.DataFrame, str]:
    """The rows of all files of a table, and the folder to which its media paths are relative."""
    tables = tables_at(place)
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for number, info in enumerate(tables.files):
            path = Path(info.path)
            if addresses.is_address(str(place)):
                path = Path(folder, f"{number}-{info.base_name}")
                with tables.system.open_input_file(info.path) as file:
                    path.write_bytes(file.read())
            parts.append(read_table(path, ()))
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0], tables.folder
