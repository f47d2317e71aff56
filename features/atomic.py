"""Atomic replacement of files and folders: a reader always sees the complete old version or the complete new one.

A file is written under a temporary name in the same folder and then renamed. A folder is swapped with the old folder in
one step where the system can (Linux, macOS). Elsewhere it takes two renames; between them, readers find the old folder
under its other name. The next write to the same path removes the temporary files that a killed process left.

Symbolic links are followed: their target is replaced and the link remains.
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
"""The module that locks folders; None on Windows, where folders are not locked."""

SAVING, REPLACED = ".saving", ".replaced"
"""Suffixes of temporary names: of a file or folder while it is written, and of the old folder between two renames."""
ABANDONED = 60.0
"""Seconds after which an unlocked temporary file or folder counts as left by a killed process."""
PATIENCE = 10.0
"""Seconds to wait for processes that still read an old folder. After that, the next write removes it."""


def write_file(path: str | Path, content: bytes) -> None:
    """Write a complete file or nothing.

    Raises:
        OutputError: the file cannot be written, for example because the disk is full or a permission is missing. An
            old file stays unchanged.
    """
    target = _real_path(path)
    temporary_file: Path | None = None
    try:
        _remove_abandoned(target)
        temporary_file = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}{SAVING}")
        with temporary_file.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if target.exists():
            temporary_file.chmod(target.stat().st_mode & 0o777)
        os.replace(temporary_file, target)
    except OSError as error:
        if temporary_file is not None:
            with contextlib.suppress(OSError):
                temporary_file.unlink()
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}; its old content is unchanged"
        ) from error


def write_folder(folder: Path, fill: Callable[[Path], None]) -> None:
    """Create a folder, or replace the old one. `fill` writes the files into the folder that it is given.

    Raises:
        OutputError: the folder cannot be written. An old folder stays unchanged.
    """
    folder = _real_path(folder)
    temporary_folder: Path | None = None
    descriptor: int | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        temporary_folder = Path(tempfile.mkdtemp(prefix=f".{folder.name[:100]}.", suffix=SAVING, dir=folder.parent))
        descriptor = _open_and_lock(temporary_folder, exclusive=True)
        fill(temporary_folder)
        for path in temporary_folder.iterdir():
            path.chmod(0o644)
            _sync(path)
        temporary_folder.chmod(folder.stat().st_mode & 0o777 if folder.is_dir() else 0o755)
        _exchange(temporary_folder, folder)
        _sync(folder.parent)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror or error}; its old content is unchanged"
        ) from error
    finally:
        if descriptor is not None:
            os.close(descriptor)
        if temporary_folder is not None and temporary_folder.exists():
            _remove_when_unread(temporary_folder)


@contextlib.contextmanager
def reading(folder: str | Path) -> Iterator[Path]:
    """Keep the current version of a folder readable until the block ends, even if another process replaces it.

    Read the files through the path that this context manager yields, not through `folder`.

    Raises:
        MissingFileError: the folder does not exist.
    """
    target = standing(Path(folder))
    if fcntl is None or not os.path.isdir("/proc/self/fd"):
        yield target
        return
    while True:
        try:
            descriptor = _open_and_lock(target, exclusive=False)
        except FileNotFoundError as error:
            raise MissingFileError(f"there is no folder {folder}; check the path") from error
        try:
            current_stat, opened_stat = os.stat(target), os.fstat(descriptor)
        except FileNotFoundError:
            os.close(descriptor)
            target = standing(Path(folder))
            continue
        if (current_stat.st_ino, current_stat.st_dev) == (opened_stat.st_ino, opened_stat.st_dev):
            break
        os.close(descriptor)  # the folder was replaced after it was opened and before it was locked
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def is_temporary(path: Path) -> bool:
    """Whether a file or folder has the name of one that is being written, or that a killed process left."""
    return path.name.startswith(".") and path.name.endswith(SAVING)


def standing(folder: Path) -> Path:
    """Return the folder, or the old folder under its other name if a process was killed between two renames."""
    if not folder.exists():
        target = Path(os.path.realpath(folder))
        old_folder = target.with_name(f".{target.name}{REPLACED}")
        if old_folder.is_dir():
            return old_folder
    return folder


def _real_path(path: str | Path) -> Path:
    """The path that links lead to. Raises OutputError if no file can have such a name."""
    try:
        if b"\0" in os.fsencode(path):
            raise ValueError("it contains a null byte")
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise OutputError(f"no file can be called {str(path)!r:.60}: {error}; give another name") from error


def _open_and_lock(folder: Path, *, exclusive: bool) -> int:
    """Open a folder and lock it until the descriptor is closed. File systems without locks leave it unlocked."""
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    return descriptor


def _exchange(new_folder: Path, target: Path) -> None:
    """Move the new folder to `target`. An old folder there moves to the path of the new folder."""
    try:
        os.rename(new_folder, target)  # works if `target` does not exist or is an empty folder
    except OSError:
        if not target.is_dir():
            raise
        if not _swap(new_folder, target):
            old_folder = target.with_name(f".{target.name}{REPLACED}")
            shutil.rmtree(old_folder, ignore_errors=True)
            os.rename(target, old_folder)
            os.rename(new_folder, target)
            os.rename(old_folder, new_folder)


def _swap(first_path: Path, second_path: Path) -> bool:
    """Exchange two names in one step. Return False where the system cannot."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(first_path), os.fsencode(second_path)
        if sys.platform == "darwin":
            return bool(library.renamex_np(*names, ctypes.c_uint(2)) == 0)
        current_folder = ctypes.c_int(-100)  # AT_FDCWD; 2 is RENAME_EXCHANGE
        return bool(library.renameat2(current_folder, names[0], current_folder, names[1], ctypes.c_uint(2)) == 0)
    except (AttributeError, OSError, TypeError):
        return False


def _remove_when_unread(folder: Path) -> None:
    """Remove an old folder once no process reads it. After `PATIENCE` seconds, leave it to the next write."""
    if fcntl is not None:
        deadline = time.monotonic() + PATIENCE
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except OSError:
            return
        try:
            while not _lock_if_free(descriptor):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.01)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
        return
    shutil.rmtree(folder, ignore_errors=True)


def _lock_if_free(descriptor: int) -> bool:
    """Lock an open folder if no other process has locked it. Return whether the folder was free."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _remove_abandoned(target: Path) -> None:
    """Remove unlocked temporary files and folders that killed processes left beside `target`."""
    for leftover in target.parent.glob(f".{_escape_pattern(target.name[:100])}.*{SAVING}"):
        try:
            if time.time() - leftover.stat().st_mtime < ABANDONED:
                continue
            if leftover.is_dir():
                _remove_when_unread(leftover)
            else:
                leftover.unlink()
        except OSError:  # another process removed it first, or this process lacks the permission
            continue
    old_folder = target.with_name(f".{target.name}{REPLACED}")
    if old_folder.is_dir() and target.is_dir():
        _remove_when_unread(old_folder)


def _escape_pattern(name: str) -> str:
    """Escape the wildcards of `glob` in a name."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, where the system can open it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
