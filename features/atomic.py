"""Files and folders that are replaced whole: at every moment a reader finds the old one or the new one.

A file is written under another name beside its place and renamed. A folder is exchanged with the one that stands, in
one step where the system can (Linux, macOS); elsewhere in two, and between them the old one is found again. What a
killed process left under another name goes with the next write to the same place.

A symbolic link as the place is followed: what it points to is replaced, the link stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from emoembed.errors import MissingFileError, OutputError

fcntl = importlib.import_module("fcntl") if importlib.util.find_spec("fcntl") else None
"""How folders are locked; Windows has none of it."""

SAVING, REPLACED = ".saving", ".replaced"
"""Endings of names that are in use while something is written, and of the old folder between two renames."""
ABANDONED = 60.0
"""Seconds after which what nobody holds was left by a killed process."""
PATIENCE = 10.0
"""Seconds to wait for those who still read an old folder, before it is left for the next save to remove."""


def write_file(path: str | Path, content: bytes) -> None:
    """Write a whole file or nothing.

    Raises:
        OutputError: it cannot be written, for want of space or of permission; what stood there stands.
    """
    place = Path(os.path.realpath(path))
    temporary: Path | None = None
    try:
        _remove_abandoned(place)
        temporary = place.with_name(f".{place.name[:100]}.{secrets.token_hex(4)}{SAVING}")
        with temporary.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if place.exists():
            temporary.chmod(place.stat().st_mode & 0o777)
        os.replace(temporary, place)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()
        raise OutputError(f"{path} cannot be written: {error.strerror or error}; what stood there stands") from error


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Put a new folder, which `fill` writes the files of, in the place of whatever stands there.

    Raises:
        OutputError: it cannot be written; the old folder stands as it was.
    """
    folder = Path(os.path.realpath(folder))
    temporary: Path | None = None
    held: int | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}.", suffix=SAVING, dir=folder.parent))
        held = _locked(temporary, exclusive=True)
        fill(temporary)
        for path in temporary.iterdir():
            path.chmod(0o644)
            _sync(path)
        temporary.chmod(folder.stat().st_mode & 0o777 if folder.is_dir() else 0o755)
        _exchange(temporary, folder)
        _sync(folder.parent)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}; what stood there stands") from error
    finally:
        if held is not None:
            os.close(held)
        if temporary is not None and temporary.exists():
            _remove_when_unread(temporary)


@contextlib.contextmanager
def reading(folder: str | Path) -> Iterator[Path]:
    """The folder as it stands now, kept until the block ends, even where another process replaces it meanwhile.

    Read its files by the path that comes, not by the folder's own.

    Raises:
        MissingFileError: there is no such folder.
    """
    place = standing(Path(folder))
    if fcntl is None or not os.path.isdir("/proc/self/fd"):
        yield place
        return
    while True:
        try:
            held = _locked(place, exclusive=False)
        except FileNotFoundError as error:
            raise MissingFileError(f"there is no folder {folder}") from error
        try:
            now, opened = os.stat(place), os.fstat(held)
        except FileNotFoundError:
            os.close(held)
            place = standing(Path(folder))
            continue
        if (now.st_ino, now.st_dev) == (opened.st_ino, opened.st_dev):
            break
        os.close(held)  # it was replaced between opening and locking it
    try:
        yield Path(f"/proc/self/fd/{held}")
    finally:
        os.close(held)


def standing(folder: Path) -> Path:
    """The folder; or, where a process was killed between two renames, the old one under its other name."""
    if not folder.exists():
        place = Path(os.path.realpath(folder))
        old = place.with_name(f".{place.name}{REPLACED}")
        if old.is_dir():
            return old
    return folder


def _locked(folder: Path, *, exclusive: bool) -> int:
    """An open folder with a lock that ends when it is closed; without one where the file system has none."""
    held = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(held, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    return held


def _exchange(new: Path, place: Path) -> None:
    """The new folder to its place; the old one, if any, comes to where the new one was."""
    try:
        os.rename(new, place)  # nothing there, or an empty folder
    except OSError:
        if not place.is_dir():
            raise
        if not _swap(new, place):
            old = place.with_name(f".{place.name}{REPLACED}")
            shutil.rmtree(old, ignore_errors=True)
            os.rename(place, old)
            os.rename(new, place)
            os.rename(old, new)


def _swap(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system cannot."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(one), os.fsencode(other)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, ctypes.c_uint(2)) == 0)
        here = ctypes.c_int(-100)  # AT_FDCWD; 2 is RENAME_EXCHANGE
        return bool(library.renameat2(here, names[0], here, names[1], ctypes.c_uint(2)) == 0)
    except (AttributeError, OSError, TypeError):
        return False


def _remove_when_unread(folder: Path) -> None:
    """Remove an old folder once nobody reads it; leave it to the next save where somebody still does."""
    if fcntl is not None:
        until = time.monotonic() + PATIENCE
        try:
            held = os.open(folder, os.O_RDONLY)
        except OSError:
            return
        try:
            while not _free(held):
                if time.monotonic() > until:
                    return
                time.sleep(0.01)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(held)
        return
    shutil.rmtree(folder, ignore_errors=True)


def _free(held: int) -> bool:
    """Whether nobody else holds an open folder; then this process does."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _remove_abandoned(place: Path) -> None:
    """What killed processes left beside a place: files and folders under other names, which nobody holds."""
    for left in place.parent.glob(f".{_literal(place.name[:100])}.*{SAVING}"):
        try:
            if time.time() - left.stat().st_mtime < ABANDONED:
                continue
            if left.is_dir():
                _remove_when_unread(left)
            else:
                left.unlink()
        except OSError:  # another process removed it first, or may alone
            continue
    old = place.with_name(f".{place.name}{REPLACED}")
    if old.is_dir() and place.is_dir():
        _remove_when_unread(old)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _sync(path: Path) -> None:
    """To the disk, where the system lets a folder be opened."""
    try:
        held = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(held)
    except OSError:
        return
    finally:
        os.close(held)
