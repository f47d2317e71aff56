"""What a feature array is: float32 values `(time, feature_dim)` whose columns have names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from emoembed.errors import InputError
from emoembed.features.notes import Note


@dataclass(frozen=True)
class FeatureSet:
    """The name, the columns and the frame rate of a kind of feature array."""

    name: str
    columns: tuple[str, ...]
    rate: float | None = None
    """Frames a second; None where the rows are not evenly spaced in time (words, one row a clip)."""

    def __post_init__(self) -> None:
        if len(set(self.columns)) != len(self.columns):
            repeated = sorted({c for c in self.columns if self.columns.count(c) > 1})
            raise InputError(f"feature set {self.name!r} names columns more than once: {', '.join(repeated)}")

    @property
    def feature_dim(self) -> int:
        return len(self.columns)


@dataclass(frozen=True)
class Features:
    """One item's features: `values` is float32 `(time, feature_dim)`, described by `feature_set`."""

    values: np.ndarray
    feature_set: FeatureSet
    notes: tuple[Note, ...] = ()
    """What should be known of the item they were taken from."""

    def __post_init__(self) -> None:
        expected = self.feature_set.feature_dim
        if self.values.ndim != 2 or self.values.shape[1] != expected:
            raise InputError(
                f"{self.feature_set.name} features have shape {self.values.shape}; expected (time, {expected})"
            )

    def drop(self, columns: Iterable[str]) -> Features:
        """The same features without the named columns. Raises InputError for a name that is not there."""
        unwanted = set(columns)
        unknown = unwanted - set(self.feature_set.columns)
        if unknown:
            raise InputError(
                f"{self.feature_set.name} has no column {', '.join(sorted(unknown))}; "
                f"its columns are {', '.join(self.feature_set.columns)}"
            )
        keep = [i for i, column in enumerate(self.feature_set.columns) if column not in unwanted]
        kept = FeatureSet(
            self.feature_set.name, tuple(self.feature_set.columns[i] for i in keep), self.feature_set.rate
        )
        return Features(self.values[:, keep], kept, self.notes)
