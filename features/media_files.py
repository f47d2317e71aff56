"""Sources of media: a path, an open file, or the bytes of a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from emoembed.errors import InputError, MediaError, MissingFileError

File = str | Path | bytes | bytearray | IO[bytes]
"""A path, an open file, or the bytes of a file."""


def name_of(source: File) -> str:
    """The name of a file in error messages."""
    if isinstance(source, bytes | bytearray):
        return f"a file of {len(source)} bytes"
    return str(source) if isinstance(source, str | Path) else f"the open file {getattr(source, 'name', '')}".rstrip()


def openable(source: File, kind: str) -> str | IO[bytes]:
    """Return what a library can open: the path of an existing file, or an open file at its beginning.

    Raises:
        MissingFileError: the path is not a file. `kind` names the expected kind of file in the message.
        MediaError: the file is empty or cannot be read.
        InputError: the source is not a path, bytes or an open file, or the file was opened as text.
    """
    if isinstance(source, str | Path):
        require_file(source, kind)
        return str(source)
    opened = io.BytesIO(source) if isinstance(source, bytes | bytearray) else _opened(source, kind)
    if not opened.read(1):
        raise MediaError(f"{name_of(source)} is empty; give the complete content of a {kind} file")
    opened.seek(0)
    return opened


def require_file(path: str | Path, kind: str) -> None:
    """Raise MissingFileError if a path is not a file. `kind` names the expected kind of file in the message."""
    try:
        is_file = Path(path).is_file()
    except (OSError, ValueError) as error:  # the name is too long, or contains a null byte
        raise MissingFileError(f"no file can be called {str(path)!r:.60}: {error}") from error
    if not is_file:
        raise MissingFileError(f"no {kind} file at {path}")


def _opened(source: IO[bytes], kind: str) -> IO[bytes]:
    """Rewind an open file. A file on disk is returned as it is; any other file is read into memory."""
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
