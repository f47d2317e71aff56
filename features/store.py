"""Features of a whole corpus on disk: ragged, memory-mapped, written shard by shard, resumable after a kill.

A store is a folder: `store.json` (the feature set), `shard-00000.npy` (the frames of many items, one after
another) with `shard-00000.json` (their ids and lengths, and what their sources were like), and `failures.jsonl` (items
that could not be read, with the reason). A shard exists only when both its files do. Each is written under a temporary
name and renamed, the `.json` last. No pickle is read or written.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import TypeVar

import numpy as np
from filelock import FileLock

from emoembed.errors import EmoembedError, InputError, MissingFileError, OutputError
from emoembed.features.atomic import write_file
from emoembed.features.feature_set import Features, FeatureSet

Item = TypeVar("Item", bound=Hashable)
VERSION = 1
SHARD_SIZE = 256  # items


class FeatureStore(Mapping[str, np.ndarray]):
    """Read a store: a mapping from item id to its float32 array `(time, feature_dim)`, memory-mapped."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        header = self.folder / "store.json"
        if not header.is_file():
            raise MissingFileError(f"{self.folder} is no feature store: it has no store.json")
        described = _read_json(header)
        if described.get("version") != VERSION:
            raise InputError(
                f"{self.folder} is a store of version {described.get('version')!r:.20}; this release reads {VERSION}"
            )
        name, columns, rate = (described.get(key) for key in ("name", "columns", "rate"))
        if (
            not isinstance(name, str)
            or not isinstance(columns, list)
            or not all(isinstance(column, str) for column in columns)
            or not isinstance(rate, int | float | None)
        ):
            raise InputError(f"{header} does not say what its columns are; extract the features again")
        self.feature_set = FeatureSet(name, tuple(columns), rate)
        self._places: dict[str, tuple[int, int, int]] = {}
        self._shards: list[np.ndarray] = []
        self.states: dict[str, str] = {}
        """By item, what its source was like when it was extracted; empty where that is not known."""
        for index in sorted(self.folder.glob("shard-*.json")):
            ids, lengths, states = _read_index(index)
            self.states.update(zip(ids, states, strict=True))
            frames = _read_shard(index.with_suffix(".npy"))
            ends = np.cumsum(lengths, dtype=np.int64)
            held = int(ends[-1]) if len(ends) else 0
            if frames.ndim != 2 or len(frames) != held or frames.shape[1] != self.feature_set.feature_dim:
                raise InputError(f"{index.with_suffix('.npy')} does not hold what {index.name} lists; extract it again")
            for item, end, length in zip(ids, ends, lengths, strict=True):
                self._places[item] = (len(self._shards), int(end - length), int(end))
            self._shards.append(frames)

    def __getitem__(self, item: str) -> np.ndarray:
        shard, begin, end = self._places[item]
        return self._shards[shard][begin:end]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def length(self, item: str) -> int:
        """Number of frames of an item, without touching its data."""
        _, begin, end = self._places[item]
        return end - begin

    @property
    def failures(self) -> dict[str, str]:
        """The items that could not be read, each with the reason."""
        return _read_failures(self.folder)


def extract(
    items: Iterable[tuple[str, Item]],
    extractor: Callable[[Item], Features],
    folder: str | Path,
    *,
    dtype: str = "float32",
    progress: bool = False,
    retry: bool = False,
    state_of: Callable[[Item], str] | None = None,
) -> FeatureStore:
    """Extract features of `(id, source)` pairs into a store; what it already holds is not done again.

    A source that raises an `EmoembedError` is recorded in `failures.jsonl` and left out; any other exception is a
    bug and ends the run, with every finished shard kept. A killed run goes on where its last whole shard ended.

    Args:
        items: ids (unique) and whatever `extractor` takes.
        extractor: one source to its `Features`; all of one feature set.
        folder: where the store is or shall be.
        dtype: `float32` or `float16`, as stored.
        retry: whether items that failed in an earlier run are tried again.
        state_of: what a source is like now, such as its size and time of change, or "" where that cannot be told; an
            item whose source was another one is done again.

    A second extraction into the same folder waits for the first.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = state_of or (lambda _: "")
    with FileLock(folder / ".lock"):
        if retry:
            (folder / "failures.jsonl").unlink(missing_ok=True)
        waiting = _waiting(items, folder, state)
        if progress and waiting:
            from tqdm import tqdm

            waiting = tqdm(waiting, desc=folder.name, unit="item")
        _write_shards(((item, source, state(source)) for item, source in waiting), extractor, folder, dtype)
        if not (folder / "store.json").is_file():
            reasons = "; ".join(list(_read_failures(folder).values())[:3])
            raise InputError(f"nothing could be extracted into {folder}: {reasons or 'no items were given'}")
        return FeatureStore(folder)


def _waiting(
    items: Iterable[tuple[str, Item]], folder: Path, state: Callable[[Item], str]
) -> Sequence[tuple[str, Item]]:
    """The items that the store neither holds, as their sources are now, nor has failed at."""
    earlier = FeatureStore(folder).states if (folder / "store.json").is_file() else {}
    failed = _read_failures(folder)
    waiting = [
        (item, source)
        for item, source in items
        if item not in failed and not (item in earlier and _same(earlier[item], state(source)))
    ]
    if len({item for item, _ in waiting}) != len(waiting):
        raise InputError("the items to extract repeat an id")
    return waiting


def _write_shards(
    items: Iterable[tuple[str, Item, str]], extractor: Callable[[Item], Features], folder: Path, dtype: str
) -> None:
    shard: list[tuple[str, Features, str]] = []
    for item, source, state in items:
        try:
            shard.append((item, extractor(source), state))
        except EmoembedError as error:
            _append_failure(folder, item, str(error))
            continue
        if len(shard) == SHARD_SIZE:
            _write_shard(folder, shard, dtype)
            shard = []
    if shard:
        _write_shard(folder, shard, dtype)


def _same(earlier: str, now: str) -> bool:
    """Whether a source is what it was, as far as both states are known."""
    return not earlier or not now or earlier == now


def _write_shard(folder: Path, shard: list[tuple[str, Features, str]], dtype: str) -> None:
    feature_set = shard[0][1].feature_set
    header = {"version": VERSION, "name": feature_set.name, "columns": feature_set.columns, "rate": feature_set.rate}
    if (folder / "store.json").is_file():
        stored = json.loads((folder / "store.json").read_text(encoding="utf-8"))
        if stored != json.loads(json.dumps(header)):
            raise InputError(f"{folder} holds {stored['name']} features with other columns; use another folder")
    else:
        write_file(folder / "store.json", json.dumps(header).encode())
    numbers = [int(found[1]) for p in folder.iterdir() if (found := re.fullmatch(r"shard-(\d+)\.json", p.name))]
    place = folder / f"shard-{1 + max(numbers, default=-1):05d}.npy"
    content = io.BytesIO()
    np.save(content, np.concatenate([features.values for _, features, _ in shard]).astype(dtype), allow_pickle=False)
    write_file(place, content.getvalue())
    ids, features, states = zip(*shard, strict=True)
    index = {"ids": ids, "lengths": [len(extracted.values) for extracted in features]}
    if any(states):
        index["states"] = states
    write_file(place.with_suffix(".json"), json.dumps(index).encode())


def _append_failure(folder: Path, item: str, reason: str) -> None:
    try:
        with (folder / "failures.jsonl").open("a") as out:
            out.write("\n" + json.dumps({"id": item, "reason": reason}) + "\n")
    except OSError as error:
        raise OutputError(f"{folder / 'failures.jsonl'} cannot be written: {error.strerror or error}") from error


def _read_failures(folder: Path) -> dict[str, str]:
    path = folder / "failures.jsonl"
    if not path.is_file():
        return {}
    failures = {}
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        try:
            entry = json.loads(line)
            failures[str(entry["id"])] = str(entry["reason"])
        except (
            ValueError,
            KeyError,
            TypeError,
            RecursionError,
        ):  # half a line of a killed run: that item is tried again
            continue
    return failures


def _read_json(path: Path) -> dict[str, object]:
    """An object of a store's own file. Raises InputError where it is none."""
    try:
        held = json.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error}); extract the features again") from error
    if not isinstance(held, dict):
        raise InputError(f"{path} is damaged: it holds no object; extract the features again")
    return held


def _read_index(path: Path) -> tuple[list[str], list[int], list[str]]:
    """A shard's ids, their lengths, and what their sources were like."""
    held = _read_json(path)
    ids, lengths = held.get("ids"), held.get("lengths")
    named = isinstance(ids, list) and all(isinstance(item, str) for item in ids)
    counted = isinstance(lengths, list) and all(type(n) is int and 0 <= n < 2**40 for n in lengths)
    if (
        not isinstance(ids, list)
        or not isinstance(lengths, list)
        or not named
        or not counted
        or len(ids) != len(lengths)
    ):
        raise InputError(f"{path} does not list items and their lengths; extract the features again")
    states = held.get("states")
    if not isinstance(states, list) or len(states) != len(ids):
        states = [""] * len(ids)
    return ids, lengths, list(map(str, states))


def _read_shard(path: Path) -> np.ndarray:
    """A shard's frames, memory-mapped."""
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, TokenError, RecursionError, OverflowError) as error:
        raise InputError(f"{path} is damaged ({error}); extract the features again") from error
    if not isinstance(frames, np.ndarray) or frames.dtype.kind != "f":
        raise InputError(f"{path} holds no frames; extract the features again")
    return frames
