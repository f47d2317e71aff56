"""A corpus whose utterances have extracted features, instead of media or in addition to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from emoembed.corpora.corpus import Corpus
from emoembed.features.feature_set import FeatureSet


class FeatureTable(Protocol):
    """Maps an item id to `(time, feature_dim)`, for one feature set. On disk: `features.store.FeatureStore`."""

    @property
    def feature_set(self) -> FeatureSet: ...

    def __getitem__(self, item: str) -> np.ndarray: ...

    def __contains__(self, item: object) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def __len__(self) -> int: ...


class Arrays(Mapping[str, np.ndarray]):
    """A feature table in memory."""

    def __init__(self, feature_set: FeatureSet, arrays: Mapping[str, np.ndarray]) -> None:
        self.feature_set, self._arrays = feature_set, dict(arrays)

    def __getitem__(self, item: str) -> np.ndarray:
        return self._arrays[item]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


@dataclass(frozen=True, eq=False)
class FeatureCorpus(Corpus):
    """A corpus with feature tables; the methods of `Corpus` keep the tables."""

    features: Mapping[str, FeatureTable] = field(default_factory=dict)
    """Modality -> table, indexed by the rows' ids. A row that is not in the table lacks that modality."""
    form: str = ""
    """The file form that the corpus was read from."""
    notes: tuple[str, ...] = ()
    """Remarks about the files for the user: counts, omissions, substitutions."""
