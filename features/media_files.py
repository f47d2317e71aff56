"""What media are read from: a path, an open file, or the bytes of one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from emoembed.errors import InputError, MissingFileError

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
        InputError: it is neither.
    """
    if isinstance(source, bytes | bytearray):
        return io.BytesIO(source)
    if not isinstance(source, str | Path):
        if not (hasattr(source, "read") and hasattr(source, "seek")):
            raise InputError(f"a {kind} file is a path, bytes or an open file; given {type(source).__name__}")
        source.seek(0)
        return source
    try:
        there = Path(source).is_file()
    except (OSError, ValueError) as error:  # longer than names may be, or with a zero byte
        raise MissingFileError(f"no file can be called {str(source)!r:.60}: {error}") from error
    if not there:
        raise MissingFileError(f"no {kind} file at {source}")
    return str(source)
