"""The files of a checkpoint folder: their names, their checksums, and where a checkpoint is found.

`checksums.json` lists the SHA-256 of every file that is read. The check and the model use the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from importlib import resources
from pathlib import Path

from emoembed.errors import CheckpointError, InputError, MissingFileError
from emoembed.features import atomic
from emoembed.features.limits import CHECKPOINT_FILE, file_fault

CONFIG, WEIGHTS, TOKENIZER, WORDS = "config.json", "model.safetensors", "tokenizer.json", "words.bin"
CHECKSUMS, CARD, LICENSE = "checksums.json", "README.md", "LICENSE"
CHECKED = (CONFIG, WEIGHTS, TOKENIZER, WORDS)


def offline() -> bool:
    """Whether `EMOEMBED_OFFLINE=1` forbids network access."""
    return os.environ.get("EMOEMBED_OFFLINE", "0") not in ("", "0")


def find_folder(name: str | Path) -> Path:
    """The folder of a checkpoint: a shipped checkpoint, a local folder, or a hub repository (downloaded once).

    Raises:
        MissingFileError: the name is none of these.
        InputError: the name is neither a string nor a path.
    """
    if not isinstance(name, str | Path):
        raise InputError(f"a checkpoint must be a name, a folder or a hub id; given {name!r}")
    place = Path(str(resources.files("emoembed.checkpoints"))) / str(name)
    for folder in (place, Path(name)):
        try:
            if (atomic.standing(folder) / CONFIG).is_file():
                return folder
        except (OSError, ValueError) as error:  # the name is too long or contains a zero byte
            raise MissingFileError(f"no checkpoint {str(name)!r:.80}: {error}") from error
    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", str(name)) or Path(name).exists():
        raise MissingFileError(
            f"no checkpoint {str(name)!r}: give {_list_shipped()}, a folder with {CONFIG}, or a hub id user/name"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        allowed = [*CHECKED, CHECKSUMS, CARD, LICENSE]
        return Path(snapshot_download(str(name), allow_patterns=allowed, local_files_only=offline()))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = "EMOEMBED_OFFLINE is set, and the checkpoint is not in the cache" if offline() else str(error)
        raise MissingFileError(f"checkpoint {str(name)!r} cannot be downloaded from the hub: {reason}") from error


def write_checksums(folder: Path) -> None:
    """Write the SHA-256 of a checkpoint's current files to `checksums.json`."""
    present = [name for name in (*CHECKED, CARD, LICENSE) if (folder / name).is_file()]
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in present}
    (folder / CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")


def require_own_folder(folder: str | Path) -> Path:
    """Check that a checkpoint may be saved to a folder. Returns its resolved path and creates its parent folder.

    Raises:
        CheckpointError: the folder contains anything else, or cannot be written.
    """
    try:
        folder = Path(folder).resolve()
        if folder.is_file():
            raise CheckpointError(f"{folder} is a file; a checkpoint must be a folder, so give another path")
        names = sorted(path.name for path in folder.glob("*"))
        folder.parent.mkdir(parents=True, exist_ok=True)
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # name too long or with a zero byte, or circular links
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{str(folder)!r:.100} cannot be created: {error}") from error
    other_names = [name for name in names if name not in (*CHECKED, CHECKSUMS, CARD, LICENSE)]
    if other_names or (names and not {CHECKSUMS, CONFIG, WEIGHTS} <= set(names)):
        sample = ", ".join((other_names or names)[:3])
        raise CheckpointError(
            f"{folder} contains files that do not belong to a checkpoint ({sample}); save to a new or empty folder"
        )
    if not os.access(folder.parent, os.W_OK):
        raise CheckpointError(f"{folder} cannot be written: {folder.parent} is not writable")
    return folder


def read_files(folder: str | Path, names: tuple[str, ...] = CHECKED) -> dict[str, bytes]:
    """The files of a checkpoint, all from the same save, each checked against its SHA-256.

    The card and the licence are checked too; if one of them was edited, a warning says so.

    Raises:
        MissingFileError: the folder, its checksums or a listed file is missing.
        CheckpointError: a file was changed or truncated, or is present but not listed.
    """
    folder = Path(folder)
    with atomic.reading(folder) as snapshot:
        checksums = _read_checksums(snapshot, folder)
        files = {}
        for name in names:
            path = snapshot / name
            if name not in checksums:
                if path.is_file():
                    raise CheckpointError(f"{folder / CHECKSUMS} does not list {name}; fetch the checkpoint again")
                continue
            files[name] = _read(path, folder / name)
            if hashlib.sha256(files[name]).hexdigest() != checksums[name]:
                raise CheckpointError(
                    f"{folder / name} is not the file that was saved (its SHA-256 differs); fetch the checkpoint again"
                )
        for name in (CARD, LICENSE) if names == CHECKED else ():
            path = snapshot / name
            edited = path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != checksums.get(name)
            if edited:
                warnings.warn(f"{folder / name} was edited after the checkpoint was saved", stacklevel=3)
    return files


def digest(folder: Path) -> str:
    """A hash of the current content of a checkpoint folder; empty if it has no checksums."""
    with atomic.reading(folder) as snapshot:
        sums = snapshot / CHECKSUMS
        return hashlib.sha256(sums.read_bytes()).hexdigest() if sums.is_file() else ""


def _read(path: Path, original: Path) -> bytes:
    """Read a file of a snapshot; errors name its original path."""
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"{original} is not a regular file; fetch the checkpoint again")
        fault = file_fault(path.stat().st_size, CHECKPOINT_FILE)
        if fault:
            raise CheckpointError(f"{original}: {fault}")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{original.parent} lacks {original.name}, which its {CHECKSUMS} lists; fetch the checkpoint again"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{original} cannot be read: {error.strerror}") from error


def _read_checksums(snapshot: Path, folder: Path) -> dict[str, str]:
    """File name -> SHA-256, from `checksums.json`."""
    sums = snapshot / CHECKSUMS
    if not sums.is_file():
        raise MissingFileError(f"{folder} is not a checkpoint: it has no {CHECKSUMS}")
    try:
        checksums = json.loads(sums.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / CHECKSUMS} is damaged ({error}); fetch the checkpoint again") from error
    if not isinstance(checksums, dict) or not {CONFIG, WEIGHTS} <= set(checksums):
        raise CheckpointError(f"{folder / CHECKSUMS} does not list {CONFIG} and {WEIGHTS}; fetch the checkpoint again")
    return checksums


def shipped() -> list[Path]:
    """The folders of the checkpoints that ship, by name."""
    return sorted(path.parent for path in Path(str(resources.files("emoembed.checkpoints"))).glob(f"*/{CONFIG}"))


def _list_shipped() -> str:
    names = [folder.name for folder in shipped()]
    return f"a shipped checkpoint ({', '.join(names)})" if names else "a shipped checkpoint (none found)"
