"""Files at an address, such as `s3://bucket/clip.wav`. pyarrow reads them, with the credentials of the environment."""

from __future__ import annotations

import io
import posixpath
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features.limits import FILE_BYTES

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

ADDRESS = re.compile(r"(s3|gs|gcs|hdfs|viewfs|abfss?|file)://([^/?]*)/?([^?]*)(\?.*)?", re.DOTALL)
"""Scheme, bucket or host, path, and options such as `?endpoint_override=localhost:9000`."""


def is_address(place: object) -> bool:
    """Whether a place is an address, and not a path of this machine."""
    return isinstance(place, str) and ADDRESS.fullmatch(place) is not None


def join(folder: str, name: str) -> str:
    """The address or path of a file in a folder. A name that is an address or an absolute path stays as it is."""
    match = ADDRESS.fullmatch(folder)
    if is_address(name) or match is None:
        return name if is_address(name) else str(Path(folder, name).absolute())
    scheme, bucket, path, options = match.groups("")
    return f"{scheme}://{bucket}/{posixpath.normpath(posixpath.join(path, name)).lstrip('/')}{options}"


def parent(place: str) -> str:
    """The folder that contains a file."""
    match = ADDRESS.fullmatch(place)
    if match is None:
        return str(Path(place).parent)
    scheme, bucket, path, options = match.groups("")
    return f"{scheme}://{bucket}/{posixpath.dirname(path.rstrip('/'))}{options}"


def located(place: str | Path) -> tuple[FileSystem, str]:
    """The file system of a path or an address, and the path in it.

    Raises:
        InputError: pyarrow is not installed, or cannot reach the address.
    """
    if find_spec("pyarrow") is None:
        raise InputError(f"{place}: addresses and folders of tables need pyarrow; install emoembed[parquet]")
    from pyarrow.fs import LocalFileSystem

    match = ADDRESS.fullmatch(place) if isinstance(place, str) else None
    if match is None:
        return LocalFileSystem(), str(Path(place).absolute())
    scheme, bucket, path, options = match.groups("")
    system, root = _file_system(f"{scheme}://{bucket}/{options}")
    return system, posixpath.join(root or "/", path)


@lru_cache(maxsize=16)
def _file_system(address: str) -> tuple[FileSystem, str]:
    from pyarrow.fs import FileSystem
    from pyarrow.lib import ArrowException

    try:
        system, root = FileSystem.from_uri(address)
    except (ArrowException, OSError, ValueError) as error:
        raise InputError(f"{address} cannot be reached: {error}") from error
    return system, root


def files_in(folder: str | Path) -> list[FileInfo]:
    """The files of a folder and its subfolders, sorted by path. Names that begin with `.` or `_` are left out.

    Raises:
        MissingFileError: there is no such folder.
        InputError: the folder cannot be listed.
    """
    system, path = located(folder)
    from pyarrow.fs import FileSelector, FileType

    try:
        listed = system.get_file_info(FileSelector(path, recursive=True))
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no {folder}") from error
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {error}") from error
    files = [info for info in listed if info.type == FileType.File and not info.base_name.startswith((".", "_"))]
    return sorted(files, key=lambda info: info.path)


def read_address(address: str, kind: str) -> bytes:
    """The bytes of a file.

    Raises:
        MissingFileError: there is no such file. `kind` names the expected kind of file in the message.
        MediaError: the file cannot be read, or is too large.
    """
    system, path = located(address)
    try:
        with system.open_input_file(path) as file:
            size = file.size()
            if size > FILE_BYTES:
                raise MediaError(f"{address} has {size:,} bytes; the limit is {FILE_BYTES:,}; copy it to a disk first")
            return bytes(file.read())
    except FileNotFoundError as error:
        raise MissingFileError(f"no {kind} file at {address}") from error
    except OSError as error:
        raise MediaError(f"{address} cannot be read: {error}") from error


class Fetched(io.BytesIO):
    """The content of a file at an address, which error messages name."""

    def __init__(self, address: str, kind: str) -> None:
        super().__init__(read_address(address, kind))
        self.name = address


def fetched(place: str, kind: str) -> str | Fetched:
    """The content of a file at an address; a path stays as it is. Raises as `read_address`."""
    return Fetched(place, kind) if is_address(place) else place


def state_of(place: str | Path) -> str:
    """The size and time of a file, which tell whether it has changed; "" if there is no file."""
    system, path = located(place)
    info = system.get_file_info(path)
    return f"{info.size} {info.mtime_ns}" if info.size is not None else ""
