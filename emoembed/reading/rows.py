"""The data of training and evaluation: features by modality, and a matrix of the labels of each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from emoembed.errors import InputError


@dataclass(frozen=True)
class EmotionData:
    """Rows with features and labels.

    Args:
        ids: row ids, the keys of each modality's mapping.
        inputs: modality -> mapping of id to float array `(time, feature_dim)`; a row without its id there lacks the
            modality.
        labels: canonical names, the columns of `targets`.
        targets: float32 `(rows, labels)`: 1 if the row has the label, 0 if not, NaN if not annotated. Training rows may
            have shares of votes instead.
        multi_label: `(rows,)`: True if a row may have several labels, False if its labels exclude each other.

    Raises:
        InputError: the shapes of `targets` or `multi_label` do not match the rows and labels.
    """

    ids: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, np.ndarray]]
    labels: tuple[str, ...]
    targets: np.ndarray
    multi_label: np.ndarray

    def __post_init__(self) -> None:
        if self.targets.shape != (len(self.ids), len(self.labels)) or len(self.multi_label) != len(self.ids):
            raise InputError(
                f"{len(self.ids)} ids and {len(self.labels)} labels need targets ({len(self.ids)}, {len(self.labels)}) "
                f"and multi_label ({len(self.ids)},); given {self.targets.shape} and {self.multi_label.shape}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has(self) -> np.ndarray:
        """Boolean `(rows, labels)`: whether a row has a label, or more than half of its votes."""
        return np.asarray(self.targets > 0.5)

    def rows(self, keep: np.ndarray) -> EmotionData:
        """The rows selected by a boolean mask or by an array of positions."""
        positions = np.flatnonzero(keep) if keep.dtype == bool else keep
        ids = tuple(self.ids[i] for i in positions)
        targets, multi_label = self.targets[positions], self.multi_label[positions]
        return replace(self, ids=ids, targets=targets, multi_label=multi_label)

    def columns(self, labels: Sequence[str]) -> EmotionData:
        """The same rows with only these labels, in this order."""
        return replace(self, labels=tuple(labels), targets=self.targets[:, [self.labels.index(x) for x in labels]])

    def without(self, labels: Sequence[str]) -> EmotionData:
        """Hold out labels as in Dai et al. 2020 (section 4.3): remove their columns and all rows with one of them."""
        unseen_columns = [self.labels.index(label) for label in labels if label in self.labels]
        has_unseen = (self.targets[:, unseen_columns] == 1).any(axis=1) if unseen_columns else np.zeros(len(self), bool)
        return self.rows(~has_unseen).columns([label for label in self.labels if label not in labels])

    def lengths(self) -> np.ndarray:
        """`(rows,)`: the number of frames of each row's longest modality."""
        return np.array(
            [max((len(m[i]) for m in self.inputs.values() if i in m), default=0) for i in self.ids], dtype=np.int64
        )

    def batch(self, rows: np.ndarray, max_frames: int | Mapping[str, int] = 3000) -> dict[str, tuple[Tensor, Tensor]]:
        """Padded frames and lengths by modality, for the rows at these positions, cut to `max_frames` frames."""
        ids = [self.ids[i] for i in rows]
        limits = {n: max_frames if isinstance(max_frames, int) else max_frames[n] for n in self.inputs}
        return {name: collate([store.get(i) for i in ids], limits[name]) for name, store in self.inputs.items()}


class Excerpts(Mapping[str, np.ndarray]):
    """Frames sampled over the length of each item, newly at each access; items with few frames are returned unchanged.

    One frame is sampled from each of `frames` segments of equal length, as in temporal segment networks (Wang et al.
    2016), because neighbouring frames are similar.

    Args:
        whole: id -> array `(time, feature_dim)`.
        frames: the largest number of frames per item.
        seed: the random seed of the sampling.
    """

    def __init__(self, whole: Mapping[str, np.ndarray], frames: int, seed: int = 0) -> None:
        self.whole, self.frames = whole, frames
        self.generator = np.random.default_rng(seed)

    def __getitem__(self, item: str) -> np.ndarray:
        array = self.whole[item]
        if len(array) <= self.frames:
            return array
        bounds = np.linspace(0, len(array), self.frames + 1).astype(int)
        return array[self.generator.integers(bounds[:-1], bounds[1:])]

    def __contains__(self, item: object) -> bool:
        return item in self.whole

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)


def collate(arrays: Sequence[np.ndarray | None], max_frames: int = 3000) -> tuple[Tensor, Tensor]:
    """Pad arrays `(time, feature_dim)` to float32 `(batch, time, feature_dim)`, with lengths; None has length 0."""
    dim = next((array.shape[1] for array in arrays if array is not None), 1)
    cut_arrays = [array[:max_frames] if array is not None else None for array in arrays]
    lengths = torch.tensor([0 if array is None else len(array) for array in cut_arrays])
    frames = torch.zeros(len(cut_arrays), max(int(lengths.max()), 1), dim)
    for row, array in zip(frames, cut_arrays, strict=True):
        if array is not None:
            row[: len(array)] = torch.from_numpy(np.array(array, dtype=np.float32))
    return frames, lengths


def join(parts: Sequence[EmotionData]) -> EmotionData:
    """Join data sets: the labels are the union of theirs, with NaN where a data set does not annotate a label."""
    labels = tuple(dict.fromkeys(label for part in parts for label in part.labels))
    targets = np.full((sum(map(len, parts)), len(labels)), np.nan, dtype=np.float32)
    begin = 0
    for part in parts:
        targets[begin : begin + len(part), [labels.index(label) for label in part.labels]] = part.targets
        begin += len(part)
    inputs: dict[str, dict[str, np.ndarray]] = {}
    for part in parts:
        for name, store in part.inputs.items():
            inputs.setdefault(name, {}).update((i, store[i]) for i in part.ids if i in store)
    ids = tuple(i for part in parts for i in part.ids)
    if len(set(ids)) != len(ids):
        raise InputError("the data sets to join share row ids; prefix each id with the name of its corpus")
    return EmotionData(ids, inputs, labels, targets, np.concatenate([part.multi_label for part in parts]))


def buckets(lengths: np.ndarray, size: int, generator: np.random.Generator, pool: int = 50) -> Iterator[np.ndarray]:
    """Shuffled batches of rows of similar length: pools of `pool` batches are sorted by length and then divided."""
    order = generator.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), size * pool):
        chunk = order[start : start + size * pool]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    for position in generator.permutation(len(batches)):
        yield batches[position]
