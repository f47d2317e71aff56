"""Sources of media: a path, an open file, or the bytes of a file."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from emoembed.errors import EmoembedError, InputError, MediaError, MissingFileError
from emoembed.features import limits
from emoembed.features.addresses import fetched

File = str | Path | bytes | bytearray | IO[bytes]
"""A path, an open file, or the bytes of a file."""


def name_of(source: File) -> str:
    """The name of a file in error messages."""
    if isinstance(source, bytes | bytearray):
        return f"a file of {len(source)} bytes"
    return str(source) if isinstance(source, str | Path) else f"the open file {getattr(source, 'name', '')}".rstrip()


def openable(source: File, kind: str) -> str | IO[bytes]:
    """Return what a library can open: the path of an existing file, or an open file at its beginning.

    A file at an address such as `s3://bucket/clip.wav` is read into memory.

    Raises:
        MissingFileError: the path is not a file. `kind` names the expected kind of file in the message.
        MediaError: the file is empty or cannot be read.
        InputError: the source is not a path, bytes or an open file, or the file was opened as text.
    """
    if isinstance(source, str):
        source = fetched(source, kind)
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


def unmasked(array: np.ndarray, kind: str) -> np.ndarray:
    """Convert a masked array to a plain one. Raises InputError if values are masked: they are missing."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    count = int(np.ma.count_masked(array))
    if count:
        raise InputError(f"the {kind} array has {count} masked values; replace them, for example with filled(0)")
    return np.asarray(array)


def require_size(
    file_or_path: str | IO[bytes], name: str, limit: int = limits.FILE_BYTES, advice: str = "give its path"
) -> None:
    """Check the size of a file before it is read into memory. An open file is at its beginning afterwards.

    Raises:
        MediaError: the file has more than `limit` bytes.
    """
    try:
        if isinstance(file_or_path, str):
            size = os.stat(file_or_path).st_size
        else:
            file_or_path.seek(0, io.SEEK_END)
            size = file_or_path.tell()
            file_or_path.seek(0)
    except (OSError, ValueError, TypeError, AttributeError):  # no size is known before it is read
        return
    if size > limit:
        raise MediaError(f"{name} has {size:,} bytes; the limit is {limit:,}; {advice}")


def _opened(source: IO[bytes], kind: str) -> IO[bytes]:
    """Rewind an open file. A file on disk is returned as it is; any other file is read into memory."""
    if not (hasattr(source, "read") and hasattr(source, "seek")):
        raise InputError(f"a {kind} file is a path, bytes or an open file; given {type(source).__name__}")
    try:
        source.seek(0)
        if type(source) is io.BufferedReader:
            return source
        require_size(source, name_of(source))
        content = source.read()
    except (OSError, ValueError, RuntimeError, EOFError, AttributeError, TypeError) as error:  # closed, or a pipe
        if isinstance(error, EmoembedError):
            raise
        if isinstance(error, UnicodeDecodeError):
            raise InputError(f"{name_of(source)} was opened as text; open it with mode 'rb'") from error
        raise MediaError(f"{name_of(source)} cannot be read: {error}") from error
    if not isinstance(content, bytes | bytearray):
        raise InputError(f"{name_of(source)} was opened as text; open it with mode 'rb'")
    return io.BytesIO(content)


@contextlib.contextmanager
def open_media(source: File, kind: str) -> Iterator[Any]:
    """Open a media file with PyAV. No file can make it read other files or the network, as playlists would.

    A path is opened here, so that FFmpeg needs no protocol that reads files.

    Raises:
        MissingFileError, MediaError, InputError: as `openable`.
        av.FFmpegError, ValueError, OSError: the file cannot be read.
    """
    import av

    opened = openable(source, kind)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(opened, "rb")) if isinstance(opened, str) else opened
        if not file.read(1):
            raise ValueError("the file is empty")
        file.seek(0)
        options = {"protocol_whitelist": "data"}
        yield stack.enter_context(av.open(file, mode="r", metadata_errors="ignore", options=options))


def reason_of(error: Exception) -> str:
    """A library's error message for a file that it cannot read, without the error number and the file's name."""
    return getattr(error, "strerror", None) or getattr(error, "error_string", None) or str(error)


def frames_of_track(container: Any, track: Any, faults: list[Exception]) -> Iterator[Any]:
    """Yield the decoded frames of a track. Damaged packets are left out, and their errors are added to `faults`.

    Raises:
        av.FFmpegError: there is no packet that can be decoded.
    """
    import av

    is_empty = True
    for packet in container.demux(track):
        try:
            frames = packet.decode()
        except av.FFmpegError as fault:
            faults.append(fault)
            continue
        for frame in frames:
            is_empty = False
            yield frame
    if faults and is_empty:
        raise faults[-1]


@dataclass(frozen=True)
class Tracks:
    """The content of a media file.

    Attributes:
        sound, film: whether it has sound and moving pictures.
        seconds: its length, if it states it.
        film_later: how many seconds the film starts after the sound; negative if it starts before.
    """

    sound: bool
    film: bool
    seconds: float | None
    film_later: float = 0.0


def tracks_of(source: File) -> Tracks:
    """Look at the header of a media file.

    Raises:
        MissingFileError: the path is not a file.
        MediaError: the file is no media file, or has neither sound nor film.
    """
    import av

    name = name_of(source)
    try:
        with open_media(source, "media") as container:
            films = [
                stream
                for stream in container.streams.video
                if not stream.disposition & av.stream.Disposition.attached_pic and stream.frames != 1
            ]
            seconds = container.duration / av.time_base if container.duration else None
            starts = [
                float((stream.start_time or 0) * stream.time_base)
                for stream in (*films[:1], *container.streams.audio[:1])
            ]
            later = starts[0] - starts[1] if films and container.streams.audio else 0.0
            tracks = Tracks(bool(container.streams.audio), bool(films), seconds, later)
    except (av.FFmpegError, ValueError, OSError) as error:
        if isinstance(error, EmoembedError):
            raise
        raise MediaError(f"{name} cannot be read as sound or film: {reason_of(error)}") from error
    if not (tracks.sound or tracks.film):
        raise MediaError(f"{name} has neither sound nor film; give a recording or a video")
    return tracks
