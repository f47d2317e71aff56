"""Computational sequences, the CMU SDK's file form: HDF5 with features and their times, video by video.

Layout: `<root>/data/<video>/features` `(rows, dim)` and `intervals` `(rows, 2)` in seconds, and `<root>/metadata`,
JSON texts by key, `dimension names` among them (Zadeh et al. 2018, github.com/A2Zadeh/CMU-MultimodalSDK).
A file that was aligned before has entries `<video>[<number>]`; they are joined again, in the order of their times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora import feature_names
from emoembed.corpora.files import existing
from emoembed.corpora.forms import hdf5
from emoembed.errors import CorpusError, CorpusFileError


@dataclass(frozen=True)
class Timed:
    """Values with their times: `values` `(rows, dim)` and `intervals` float64 `(rows, 2)` in seconds, by start."""

    values: np.ndarray
    intervals: np.ndarray


class ComputationalSequence(Mapping[str, Timed]):
    """A `.csd` file, open for reading: video -> its features and their times. Nothing is read before it is asked for.

    Raises:
        MissingFileError: there is no such file.
        CorpusError: it is not HDF5 or cut short, or lacks the groups of a computational sequence.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing(Path(path))
        self._file = hdf5.open_file(self.path)
        try:
            roots = [name for name in self._file if "data" in self._file[name]]
            if len(roots) != 1:
                found = ", ".join(self._file) or "nothing"
                raise CorpusError(
                    f"{self.path} is no computational sequence: expected one group with data, found {found}"
                )
            self.name = roots[0]
            self._data = self._file[self.name]["data"]
            self.metadata = _metadata(self._file[self.name], self.path)
            entries = list(self._data)
        except CorpusError:
            raise
        except hdf5.DAMAGED as error:
            raise CorpusFileError(f"{self.path} is damaged ({error}); fetch it again and compare its size") from error
        if not entries:
            raise CorpusError(f"{self.path}: {self.name} holds no video; fetch the file again")
        self._entries: dict[str, list[str]] = {}
        for entry in entries:
            self._entries.setdefault(entry.split("[")[0], []).append(entry)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, video: object) -> bool:
        return video in self._entries

    def __getitem__(self, video: str) -> Timed:
        stored = self.stored(video)
        starts = stored.intervals[:, 0]
        if not (np.diff(starts) < 0).any():
            return stored
        order = np.argsort(starts, kind="stable")
        return Timed(stored.values[order], stored.intervals[order])

    def stored(self, video: str) -> Timed:
        """The rows of a video in the file's own order, which need not be that of time."""
        parts = [self._read(entry) for entry in self._entries[video]]
        values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
        intervals = parts[0].intervals if len(parts) == 1 else np.concatenate([part.intervals for part in parts])
        return Timed(values, intervals)

    def words(self, video: str) -> list[str]:
        """The words of a video, for a sequence whose features are texts."""
        return [
            word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
            for word in self[video].values.ravel()
        ]

    def columns(self, modality: str) -> tuple[str, ...]:
        """The names of the features' columns: the file's own, else a known set's of that size, else those beside it.

        Raises:
            CorpusError: they have no names anywhere; the message says where to put them.
        """
        dim = int(self._read(next(iter(self._entries.values()))[0]).values.shape[1])
        given = self.metadata.get("dimension names")
        if isinstance(given, list) and len(given) == dim and len(set(map(str, given))) == dim:
            return tuple(map(str, given))
        beside = self.path.with_suffix(".columns.txt")
        if beside.is_file():
            listed = tuple(beside.read_text(encoding="utf-8").split())
            if len(listed) != dim or len(set(listed)) != dim:
                raise CorpusError(f"{beside} names {len(listed)} columns; {self.path.name} has {dim}, all different")
            return listed
        known = feature_names.named(dim, modality)
        if known is None:
            raise CorpusError(
                f"{self.path}: its {dim} columns have no names, so that nothing tells which of them are emotion "
                f"scores; write them into {beside.name} beside it, one a line"
            )
        return known

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, entry: str) -> Timed:
        try:
            group = self._data[entry]
            features, times = group["features"], group["intervals"]
        except hdf5.DAMAGED as error:
            raise CorpusFileError(f"{self.path}, {entry}: cannot be read ({error}); fetch the file again") from error
        values = np.atleast_1d(hdf5.read_values(features, self.path, f"{entry}/features"))
        try:
            intervals = hdf5.read_values(times, self.path, f"{entry}/intervals").astype(np.float64)
        except (ValueError, TypeError) as error:
            if isinstance(error, CorpusError):
                raise
            raise CorpusFileError(f"{self.path}, {entry}: its times are no numbers ({error})") from error
        if intervals.ndim != 2 or intervals.shape[1] != 2 or len(intervals) != len(values):
            raise CorpusError(
                f"{self.path}, {entry}: {values.shape} features and {intervals.shape} intervals do not fit; "
                "expected (rows, dim) and (rows, 2)"
            )
        return Timed(values.reshape(len(values), -1) if len(values) else values.reshape(0, 1), intervals)


def open_folder(folder: str | Path) -> dict[str, ComputationalSequence]:
    """The computational sequences of a folder and below, by the name each file gives itself.

    Raises:
        CorpusError: two files give themselves the same name.
    """
    found: dict[str, ComputationalSequence] = {}
    for path in sorted(existing(Path(folder)).rglob("*.csd")):
        sequence = ComputationalSequence(path)
        if sequence.name in found:
            raise CorpusError(f"{found[sequence.name].path} and {path} both hold {sequence.name!r}; keep one of them")
        found[sequence.name] = sequence
    return found


def _metadata(root: Any, path: Path) -> dict[str, Any]:
    """The metadata's values: JSON where they are, else as text."""
    values: dict[str, Any] = {}
    for key, held in root["metadata"].items() if "metadata" in root else ():
        values_held = hdf5.read_values(held, path, f"metadata/{key}").ravel()
        text = values_held[0] if len(values_held) else ""
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        try:
            values[key] = json.loads(text)
        except (ValueError, RecursionError):
            values[key] = text
    return values
