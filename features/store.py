"""The features of a corpus on disk: ragged, memory-mapped and written in shards, so that a killed run can resume.

A store is a folder with these files:

- `store.json`: the feature set;
- `shard-00000.npy`: the frames of many items, concatenated;
- `shard-00000.json`: the ids and lengths of these items, and the states of their sources;
- `failures.jsonl`: the items that could not be read, each with the reason.

A shard is valid only if both its files exist. Each file is written to a temporary file and then renamed, the `.json`
last. No pickle is read or written.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import TypeVar

import numpy as np
from filelock import FileLock

from emoembed.errors import EmoembedError, InputError, MissingFileError, OutputError
from emoembed.features.atomic import write_file
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.workers import STOPPED, Workers, in_order, require_workers

Item = TypeVar("Item", bound=Hashable)
VERSION = 1
SHARD_SIZE, SHARD_BYTES = 256, 64_000_000  # a shard is written at this number of items or bytes


@dataclass(frozen=True)
class Failure:
    """Why an item cannot be read, and whether the next extraction tries again: a disk may be absent for a time."""

    reason: str
    retried: bool = False


Extracted = tuple[str, Features | Failure, str]
"""Id of an item, its features or why it cannot be read, and the state of its source."""


class FeatureStore(Mapping[str, np.ndarray]):
    """A store opened for reading: a mapping from item id to a memory-mapped array `(time, feature_dim)`.

    Examples:
        >>> from tempfile import mkdtemp
        >>> import numpy as np
        >>> from emoembed.features.audio import log_mel
        >>> from emoembed.features.store import extract
        >>> sounds = {"a": np.ones(16_000), "b": np.ones(8_000)}  # samples at 16 kHz
        >>> store = extract(sounds.items(), log_mel, mkdtemp())
        >>> {item: store[item].shape for item in store}
        {'a': (101, 80), 'b': (51, 80)}
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        header = self.folder / "store.json"
        try:
            has_header = header.is_file()
        except (OSError, ValueError) as error:  # the name is too long, or contains a zero byte
            raise MissingFileError(f"no folder can be called {str(folder)!r:.60}: {error}") from error
        if not has_header:
            raise MissingFileError(
                f"{self.folder} is not a feature store: it has no store.json; extract features into it first"
            )
        description = _read_json(header)
        if description.get("version") != VERSION:
            raise InputError(
                f"{self.folder} has version {description.get('version')!r:.20}; this release reads {VERSION}; "
                "extract the features again"
            )
        name, columns, rate = (description.get(key) for key in ("name", "columns", "rate"))
        if (
            not isinstance(name, str)
            or not isinstance(columns, list)
            or not all(isinstance(column, str) for column in columns)
            or not isinstance(rate, int | float | None)
        ):
            raise InputError(f"{header} has no valid name, columns and rate; extract the features again")
        self.feature_set = FeatureSet(name, tuple(columns), rate)
        self._places: dict[str, tuple[int, int, int]] = {}
        self._shards: list[np.ndarray] = []
        self.states: dict[str, str] = {}
        """Item id -> state of its source at the extraction; an empty string if unknown."""
        for index in sorted(self.folder.glob("shard-*.json")):
            ids, lengths, states = _read_index(index)
            self.states.update(zip(ids, states, strict=True))
            frames = _read_shard(index.with_suffix(".npy"))
            ends = np.cumsum(lengths, dtype=np.int64)
            frame_count = int(ends[-1]) if len(ends) else 0
            if frames.ndim != 2 or len(frames) != frame_count or frames.shape[1] != self.feature_set.feature_dim:
                raise InputError(f"{index.with_suffix('.npy')} does not match {index.name}; extract the features again")
            for item, end, length in zip(ids, ends, lengths, strict=True):
                self._places[item] = (len(self._shards), int(end - length), int(end))
            self._shards.append(frames)
        for item in self.failures:
            self._places.pop(item, None)  # its source has changed, and cannot be read any more

    def __getitem__(self, item: str) -> np.ndarray:
        shard, begin, end = self._places[item]
        return self._shards[shard][begin:end]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def length(self, item: str) -> int:
        """The number of frames of an item. Its data is not read."""
        _, begin, end = self._places[item]
        return end - begin

    @property
    def failures(self) -> dict[str, str]:
        """Item id -> reason, for the items that could not be read."""
        return {item: failure.reason for item, failure in _read_failures(self.folder).items()}


def extract(
    items: Iterable[tuple[str, Item]],
    extractor: Callable[[Item], Features],
    folder: str | Path,
    *,
    dtype: str = "float32",
    progress: bool = False,
    state_of: Callable[[Item], str] | None = None,
    workers: Workers = 1,
) -> FeatureStore:
    """Extract the features of `(id, source)` pairs into a store. Items that are already in the store are skipped.

    If `extractor` raises an `EmoembedError`, the item is recorded in `failures.jsonl` and left out. The next run tries
    it again if its file was missing or the system refused to open it. Any other exception is a bug and ends the run;
    the finished shards remain. A killed run resumes after its last complete shard. A second extraction into the same
    folder waits for the first.

    Args:
        items: unique ids, each with a source that `extractor` accepts.
        extractor: returns the `Features` of a source; all must have the same feature set.
        folder: the folder of the store; it is created if it does not exist.
        dtype: `float32` or `float16`, the type on disk.
        state_of: returns the current state of a source, such as its size and modification time, or "" if unknown.
            Items whose source changed since their extraction are extracted again, and so are items that failed.
        workers: number of processes, or an engine. With more than one process, `extractor` is a function of a module.
            The items of a killed process are processed again. An item that stops its process each time is a failure.

    Raises:
        InputError: an id is repeated, the store has other columns, or no item could be extracted.
        OutputError: the store cannot be written.
    """
    folder, workers = Path(folder), require_workers(workers)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the store {folder} cannot be created: {error.strerror or error}") from error
    state = state_of or (lambda _: "")
    with FileLock(folder / ".lock"):
        final = {} if state_of else {item: f for item, f in _read_failures(folder).items() if not f.retried}
        (folder / "failures.jsonl").unlink(missing_ok=True)
        for item, failure in final.items():
            _append_failure(folder, item, failure)
        pending_items = _pending(items, folder, state)
        if progress and pending_items:
            from tqdm import tqdm

            pending_items = tqdm(pending_items, desc=folder.name, unit="item")
        items_with_state = ((item, source, state(source)) for item, source in pending_items)
        with closing(_extracted(items_with_state, partial(_attempt, extractor), workers)) as extracted:
            _write_shards(extracted, folder, dtype)
        if not (folder / "store.json").is_file():
            reasons = "; ".join([failure.reason for failure in _read_failures(folder).values()][:3])
            raise InputError(f"no item could be extracted into {folder}: {reasons or 'no items were given'}")
        return FeatureStore(folder)


def _pending(
    items: Iterable[tuple[str, Item]], folder: Path, state: Callable[[Item], str]
) -> Sequence[tuple[str, Item]]:
    """The items to extract: not failed before, and not in the store with the current state of their source."""
    states = FeatureStore(folder).states if (folder / "store.json").is_file() else {}
    failures = _read_failures(folder)
    pending_items = [
        (item, source)
        for item, source in items
        if item not in failures and not (item in states and _same_state(states[item], state(source)))
    ]
    if len({item for item, _ in pending_items}) != len(pending_items):
        raise InputError("the items to extract repeat an id; give each item its own id")
    return pending_items


def _attempt(extractor: Callable[[Item], Features], item: tuple[str, Item, str]) -> Extracted:
    """Extract the features of an item, or find the reason why it cannot be read."""
    name, source, state = item
    try:
        return name, extractor(source), state
    except EmoembedError as error:
        missing = isinstance(error, MissingFileError) or isinstance(error.__cause__, OSError)
        return name, Failure(str(error), retried=missing), state


def _extracted(
    items: Iterable[tuple[str, Item, str]], attempt: Callable[[tuple[str, Item, str]], Extracted], workers: Workers
) -> Generator[Extracted]:
    if workers == 1:
        yield from map(attempt, items)
    else:
        yield from in_order(attempt, items, workers, stopped=lambda item: (item[0], Failure(STOPPED), item[2]))


def _write_shards(extracted: Iterable[Extracted], folder: Path, dtype: str) -> None:
    shard: list[tuple[str, Features, str]] = []
    for item, features, state in extracted:
        if isinstance(features, Failure):
            _append_failure(folder, item, features)
            continue
        shard.append((item, features, state))
        if len(shard) == SHARD_SIZE or sum(part.values.nbytes for _, part, _ in shard) >= SHARD_BYTES:
            _write_shard(folder, shard, dtype)
            shard = []
    if shard:
        _write_shard(folder, shard, dtype)


def _same_state(old_state: str, new_state: str) -> bool:
    """Whether two states of a source are equal. An unknown state counts as equal to any other."""
    return not old_state or not new_state or old_state == new_state


def _write_shard(folder: Path, shard: list[tuple[str, Features, str]], dtype: str) -> None:
    feature_set = shard[0][1].feature_set
    header = {"version": VERSION, "name": feature_set.name, "columns": feature_set.columns, "rate": feature_set.rate}
    if (folder / "store.json").is_file():
        old_header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        if old_header != json.loads(json.dumps(header)):
            raise InputError(f"{folder} has {old_header['name']} features with other columns; use another folder")
    else:
        write_file(folder / "store.json", json.dumps(header).encode())
    numbers = [int(match[1]) for p in folder.iterdir() if (match := re.fullmatch(r"shard-(\d+)\.json", p.name))]
    shard_file = folder / f"shard-{1 + max(numbers, default=-1):05d}.npy"
    content = io.BytesIO()
    np.save(content, np.concatenate([features.values for _, features, _ in shard]).astype(dtype), allow_pickle=False)
    write_file(shard_file, content.getvalue())
    ids, features, states = zip(*shard, strict=True)
    index = {"ids": ids, "lengths": [len(extracted.values) for extracted in features]}
    if any(states):
        index["states"] = states
    write_file(shard_file.with_suffix(".json"), json.dumps(index).encode())


def _append_failure(folder: Path, item: str, failure: Failure) -> None:
    entry = {"id": item, "reason": failure.reason, **({"retried": True} if failure.retried else {})}
    try:
        with (folder / "failures.jsonl").open("a") as out:
            out.write("\n" + json.dumps(entry) + "\n")
    except OSError as error:
        raise OutputError(f"{folder / 'failures.jsonl'} cannot be written: {error.strerror or error}") from error


def _read_failures(folder: Path) -> dict[str, Failure]:
    path = folder / "failures.jsonl"
    if not path.is_file():
        return {}
    failures: dict[str, Failure] = {}
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
            failures[str(entry["id"])] = Failure(str(entry["reason"]), bool(entry.get("retried")))
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            RecursionError,
        ):  # a killed run left an incomplete line: retry that item
            continue
    return failures


def _read_json(path: Path) -> dict[str, object]:
    """Read a JSON file of a store. Raises InputError if it is damaged or its content is not an object."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}); extract the features again") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: it has no JSON object; extract the features again")
    return content


def _read_index(path: Path) -> tuple[list[str], list[int], list[str]]:
    """Read the ids of a shard, their lengths, and the states of their sources."""
    index = _read_json(path)
    ids, lengths = index.get("ids"), index.get("lengths")
    valid_ids = isinstance(ids, list) and all(isinstance(item, str) for item in ids)
    valid_lengths = isinstance(lengths, list) and all(type(n) is int and 0 <= n < 2**40 for n in lengths)
    if (
        not isinstance(ids, list)
        or not isinstance(lengths, list)
        or not valid_ids
        or not valid_lengths
        or len(ids) != len(lengths)
    ):
        raise InputError(f"{path} has no valid list of ids and lengths; extract the features again")
    states = index.get("states")
    if not isinstance(states, list) or len(states) != len(ids):
        states = [""] * len(ids)
    return ids, lengths, list(map(str, states))


def _read_shard(path: Path) -> np.ndarray:
    """Open the frames of a shard, memory-mapped."""
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, TokenError, RecursionError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({error}); extract the features again") from error
    if not isinstance(frames, np.ndarray) or frames.dtype.kind != "f":
        raise InputError(f"{path} has no float frames; extract the features again")
    return frames
