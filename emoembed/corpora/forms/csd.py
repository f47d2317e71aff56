"""Computational sequences, the file form of the CMU SDK: HDF5 files with features and their times for each video.

Layout: `<root>/data/<video>/features` `(rows, dim)` and `intervals` `(rows, 2)` in seconds, and `<root>/metadata` with
JSON strings, such as `dimension names` (Zadeh et al. 2018, github.com/A2Zadeh/CMU-MultimodalSDK).
In an already aligned file, the entries are `<video>[<number>]`. They are joined again and sorted by time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.corpora import feature_names
from emoembed.corpora.files import existing, read_text
from emoembed.corpora.forms import hdf5
from emoembed.errors import CorpusError, CorpusFileError


@dataclass(frozen=True)
class Timed:
    """Values with their times: `values` `(rows, dim)` and float64 `intervals` `(rows, 2)` in seconds, by start."""

    values: np.ndarray
    intervals: np.ndarray


class ComputationalSequence(Mapping[str, Timed]):
    """An open `.csd` file: video -> its features and their times, read from disk on access.

    Raises:
        MissingFileError: the file does not exist.
        CorpusError: the file is not HDF5, is truncated, or lacks the groups of a computational sequence.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing(Path(path))
        self._file = hdf5.open_file(self.path)
        try:
            roots = [name for name in self._file if "data" in self._file[name]]
            if len(roots) != 1:
                groups = ", ".join(self._file) or "nothing"
                raise CorpusError(
                    f"{self.path} is not a computational sequence: expected one group with data, found {groups}"
                )
            self.name = roots[0]
            self._data = self._file[self.name]["data"]
            self.metadata = _read_metadata(self._file[self.name], self.path)
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
        timed = self.stored(video)
        starts = timed.intervals[:, 0]
        if not (np.diff(starts) < 0).any():
            return timed
        order = np.argsort(starts, kind="stable")
        return Timed(timed.values[order], timed.intervals[order])

    def stored(self, video: str) -> Timed:
        """Return the rows of a video in the order of the file, which may differ from the order of time."""
        parts = [self._read(entry) for entry in self._entries[video]]
        values = parts[0].values if len(parts) == 1 else np.concatenate([part.values for part in parts])
        intervals = parts[0].intervals if len(parts) == 1 else np.concatenate([part.intervals for part in parts])
        return Timed(values, intervals)

    def words(self, video: str) -> list[str]:
        """Return the words of a video, for a sequence whose features are words."""
        return [
            word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
            for word in self[video].values.ravel()
        ]

    def columns(self, modality: str) -> tuple[str, ...]:
        """Return the column names of the features.

        They come from the first of: the file's metadata, a `.columns.txt` file beside it, a known feature set of this
        size.

        Raises:
            CorpusError: none of these has the names; the message says which file to write.
        """
        dim = int(self._read(next(iter(self._entries.values()))[0]).values.shape[1])
        names = self.metadata.get("dimension names")
        if isinstance(names, list) and len(names) == dim and len(set(map(str, names))) == dim:
            return tuple(map(str, names))
        names_file = self.path.with_suffix(".columns.txt")
        if names_file.is_file():
            file_names = tuple(read_text(names_file).split())
            if len(file_names) != dim or len(set(file_names)) != dim:
                raise CorpusError(
                    f"{names_file} has {len(file_names)} names; {self.path.name} needs {dim} different names"
                )
            return file_names
        known_names = feature_names.named(dim, modality)
        if known_names is None:
            raise CorpusError(
                f"{self.path}: its {dim} columns have no names, so columns of emotion scores cannot be found; write "
                f"the names into {names_file.name} in the same folder, one per line"
            )
        return known_names

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
            raise CorpusFileError(
                f"{self.path}, {entry}: its times are not numbers ({error}); fetch the file again"
            ) from error
        if intervals.ndim != 2 or intervals.shape[1] != 2 or len(intervals) != len(values):
            raise CorpusError(
                f"{self.path}, {entry}: features {values.shape} and intervals {intervals.shape} do not fit; "
                "expected (rows, dim) and (rows, 2)"
            )
        return Timed(values.reshape(len(values), -1) if len(values) else values.reshape(0, 1), intervals)


def open_folder(folder: str | Path) -> dict[str, ComputationalSequence]:
    """Open the computational sequences in a folder and its subfolders, indexed by the name stored in each file.

    Raises:
        CorpusError: two files contain the same name.
    """
    sequences: dict[str, ComputationalSequence] = {}
    for path in sorted(existing(Path(folder)).rglob("*.csd")):
        sequence = ComputationalSequence(path)
        if sequence.name in sequences:
            other = sequences[sequence.name].path
            raise CorpusError(f"{other} and {path} both hold {sequence.name!r}; keep one of them")
        sequences[sequence.name] = sequence
    return sequences


def _read_metadata(root: Any, path: Path) -> dict[str, Any]:
    """Read the metadata. Values are parsed as JSON; a value that is not JSON stays a string."""
    values: dict[str, Any] = {}
    for key, dataset in root["metadata"].items() if "metadata" in root else ():
        cells = hdf5.read_values(dataset, path, f"metadata/{key}").ravel()
        text = cells[0] if len(cells) else ""
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        try:
            values[key] = json.loads(text)
        except (ValueError, RecursionError):
            values[key] = text
    return values
