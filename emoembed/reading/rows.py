"""What training and evaluation read: features by modality beside a matrix of which label each row bears."""

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
        ids: of the rows; each modality's mapping is looked up by them.
        inputs: modality -> mapping of id to float array `(time, feature_dim)`; an id it lacks lacks the modality.
        labels: canonical names, the columns of `targets`.
        targets: float32 `(rows, labels)`: 1 bears the label, 0 does not, NaN was not annotated for it.
        multi_label: `(rows,)`: whether a row's labels exclude each other (False) or not (True).
    """

    ids: tuple[str, ...]
    inputs: Mapping[str, Mapping[str, np.ndarray]]
    labels: tuple[str, ...]
    targets: np.ndarray
    multi_label: np.ndarray

    def __post_init__(self) -> None:
        if self.targets.shape != (len(self.ids), len(self.labels)) or len(self.multi_label) != len(self.ids):
            raise InputError(
                f"targets {self.targets.shape} and multi_label {self.multi_label.shape} do not fit "
                f"{len(self.ids)} rows of {len(self.labels)} labels"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, keep: np.ndarray) -> EmotionData:
        """The rows of a boolean mask or of an array of positions."""
        positions = np.flatnonzero(keep) if keep.dtype == bool else keep
        ids = tuple(self.ids[i] for i in positions)
        targets, multi_label = self.targets[positions], self.multi_label[positions]
        return replace(self, ids=ids, targets=targets, multi_label=multi_label)

    def columns(self, labels: Sequence[str]) -> EmotionData:
        """The same rows with only these labels, in this order."""
        return replace(self, labels=tuple(labels), targets=self.targets[:, [self.labels.index(x) for x in labels]])

    def without(self, labels: Sequence[str]) -> EmotionData:
        """Hold labels out as Dai et al. 2020 (section 4.3) do: rows that bear one go, and its column with them."""
        unseen = [self.labels.index(label) for label in labels if label in self.labels]
        bears = (self.targets[:, unseen] == 1).any(axis=1) if unseen else np.zeros(len(self), bool)
        return self.rows(~bears).columns([label for label in self.labels if label not in labels])

    def lengths(self) -> np.ndarray:
        """The longest modality's number of frames, by row."""
        return np.array(
            [max((len(m[i]) for m in self.inputs.values() if i in m), default=0) for i in self.ids], dtype=np.int64
        )

    def batch(self, rows: np.ndarray, max_frames: int | Mapping[str, int] = 3000) -> dict[str, tuple[Tensor, Tensor]]:
        """Padded frames and lengths by modality for the rows at these positions, cut at so many frames."""
        wanted = [self.ids[i] for i in rows]
        cut = {n: max_frames if isinstance(max_frames, int) else max_frames[n] for n in self.inputs}
        return {name: collate([store.get(i) for i in wanted], cut[name]) for name, store in self.inputs.items()}


class Excerpts(Mapping[str, np.ndarray]):
    """Frames from all over each item, drawn anew at every reading; an item that has no more of them comes whole.

    One frame of each of as many equal stretches, as in temporal segment networks (Wang et al. 2016): neighbours in a
    clip are alike.

    Args:
        whole: id -> array `(time, feature_dim)`.
        frames: of an item, at most.
        seed: of what is drawn.
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
    """Arrays `(time, feature_dim)` -> padded float32 `(batch, time, feature_dim)` and lengths; None has length 0."""
    dim = next((array.shape[1] for array in arrays if array is not None), 1)
    cut = [array[:max_frames] if array is not None else None for array in arrays]
    lengths = torch.tensor([0 if array is None else len(array) for array in cut])
    frames = torch.zeros(len(cut), max(int(lengths.max()), 1), dim)
    for row, array in zip(frames, cut, strict=True):
        if array is not None:
            row[: len(array)] = torch.from_numpy(np.array(array, dtype=np.float32))
    return frames, lengths


def join(parts: Sequence[EmotionData]) -> EmotionData:
    """Several data sets as one: the union of their labels, NaN where a part does not annotate one."""
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
        raise InputError("the data sets to join share row ids; prefix them with the corpus")
    return EmotionData(ids, inputs, labels, targets, np.concatenate([part.multi_label for part in parts]))


def buckets(lengths: np.ndarray, size: int, generator: np.random.Generator, pool: int = 50) -> Iterator[np.ndarray]:
    """Shuffled batches of rows of similar length: pools of `pool` batches are sorted by length, then cut."""
    order = generator.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), size * pool):
        chunk = order[start : start + size * pool]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    for position in generator.permutation(len(batches)):
        yield batches[position]
