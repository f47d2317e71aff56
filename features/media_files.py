"""What media are read from: a path, an open file, or the bytes of one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from emoembed.errors import InputError, MediaError, MissingFileError

File = str | Path | bytes | bytearray | IO[bytes]
"""A path, an open file, or the bytes of one."""


def name_of(source: File) -> str:
    """How errors call a file."""
    if isinstance(source, bytes | bytearray):
        return f"a file of {len(source)} bytes"
    return str(source) if isinstance(source, str | Path) else f"the open file {getattr(source, 'name', '')}".rstrip()


def openable(source: File, kind: str) -> str | IO[bytes]:
    """What a library opens: the path of a file that is there, or an open file at its beginning.

    Raises:
        MissingFileError: the path is not a file; `kind` says what was looked for.
        MediaError: the bytes are empty, or the open file cannot be read.
        InputError: it is neither, or a file that was opened as text.
    """
    if isinstance(source, str | Path):
        require_file(source, kind)
        return str(source)
    place = io.BytesIO(source) if isinstance(source, bytes | bytearray) else _opened(source, kind)
    if not place.read(1):
        raise MediaError(f"{name_of(source)} is empty; give the whole content of a {kind} file")
    place.seek(0)
    return place


def require_file(path: str | Path, kind: str) -> None:
    """Raise MissingFileError where a path is not a file; `kind` says what was looked for."""
    try:
        there = Path(path).is_file()
    except (OSError, ValueError) as error:  # longer than names may be, or with a zero byte
        raise MissingFileError(f"no file can be called {str(path)!r:.60}: {error}") from error
    if not there:
        raise MissingFileError(f"no {kind} file at {path}")


def _opened(source: IO[bytes], kind: str) -> IO[bytes]:
    """An open file at its beginning: a file of the disk itself, of anything else the content."""
    if not (hasattr(source, "read") and hasattr(source, "seek")):
        raise InputError(f"a {kind} file is a path, bytes or an open file; given {type(source).__name__}")
    try:
        source.seek(0)
        if type(source) is io.BufferedReader:
            return source
        content = source.read()
    except (OSError, ValueError, RuntimeError, EOFError, AttributeError, TypeError) as error:  # closed, or a pipe
        if isinstance(error, UnicodeDecodeError):
            raise InputError(f"{name_of(source)} was opened as text; open it with mode 'rb'") from error
        raise MediaError(f"{name_of(source)} cannot be read: {error}") from error
    if not isinstance(content, bytes | bytearray):
        raise InputError(f"{name_of(source)} was opened as text; open it with mode 'rb'")
    return io.BytesIO(content)
