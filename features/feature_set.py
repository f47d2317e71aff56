"""Feature arrays: float32 values `(time, feature_dim)` with named columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from emoembed.errors import InputError
from emoembed.features.notes import Note


@dataclass(frozen=True)
class FeatureSet:
    """The name, the column names and the frame rate of a kind of features."""

    name: str
    columns: tuple[str, ...]
    rate: float | None = None
    """Frames per second; None if the rows are not evenly spaced in time (words, or one row per clip)."""

    def __post_init__(self) -> None:
        if len(set(self.columns)) != len(self.columns):
            duplicates = sorted({c for c in self.columns if self.columns.count(c) > 1})
            raise InputError(
                f"feature set {self.name!r} has repeated columns: {', '.join(duplicates)}; use each name once"
            )

    @property
    def feature_dim(self) -> int:
        return len(self.columns)


@dataclass(frozen=True)
class Features:
    """One item's features: `values` is float32 `(time, feature_dim)`, described by `feature_set`.

    Examples:
        >>> import numpy as np
        >>> from emoembed.features.feature_set import Features, FeatureSet
        >>> units = FeatureSet("units", ("brows", "smile"), rate=25.0)
        >>> features = Features(np.array([[0.1, 0.9], [0.2, 0.8]], dtype=np.float32), units)
        >>> features.drop(["brows"]).feature_set.columns
        ('smile',)
    """

    values: np.ndarray
    feature_set: FeatureSet
    notes: tuple[Note, ...] = ()
    """Notes about the item that the features were extracted from."""

    def __post_init__(self) -> None:
        expected_dim = self.feature_set.feature_dim
        if self.values.ndim != 2 or self.values.shape[1] != expected_dim:
            raise InputError(
                f"{self.feature_set.name} features have shape {self.values.shape}; expected (time, {expected_dim})"
            )

    def drop(self, columns: Iterable[str]) -> Features:
        """Return the features without the given columns. Raises InputError if a column does not exist."""
        dropped_columns = set(columns)
        unknown_columns = dropped_columns - set(self.feature_set.columns)
        if unknown_columns:
            raise InputError(
                f"{self.feature_set.name} has no column {', '.join(sorted(unknown_columns))}; "
                f"its columns are {', '.join(self.feature_set.columns)}"
            )
        indices = [i for i, column in enumerate(self.feature_set.columns) if column not in dropped_columns]
        feature_set = FeatureSet(
            self.feature_set.name, tuple(self.feature_set.columns[i] for i in indices), self.feature_set.rate
        )
        return Features(self.values[:, indices], feature_set, self.notes)
