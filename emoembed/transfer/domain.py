"""One corpus as the source or the target of a transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.reading.summaries import summarised


@dataclass(frozen=True)
class Domain:
    """The rows of a corpus in one modality.

    Args:
        name: name of the corpus.
        train, valid: its rows. For an unbiased score, no speaker may be in both.
        speakers: row id -> speaker.

    Raises:
        InputError: the rows have several modalities, there are no train or valid rows, or a row has no speaker.
    """

    name: str
    train: EmotionData
    valid: EmotionData
    speakers: Mapping[str, str]

    def __post_init__(self) -> None:
        if len(set(self.train.inputs)) != 1 or set(self.train.inputs) != set(self.valid.inputs):
            raise InputError(f"{self.name} must have one modality; it has {', '.join(self.train.inputs) or 'none'}")
        if not len(self.train) or not len(self.valid):
            raise InputError(f"{self.name} needs train and valid rows; it has {len(self.train)} and {len(self.valid)}")

        unknown = [row for row in (*self.train.ids, *self.valid.ids) if row not in self.speakers]
        if unknown:
            raise InputError(f"{self.name}: the speaker of {unknown[0]!r:.60} is not given; name one for each row")

    @property
    def modality(self) -> str:
        """The modality of the rows."""
        return next(iter(self.train.inputs))

    @property
    def columns(self) -> frozenset[int]:
        """The numbers of columns that the rows have; more than one number if the rows do not match."""
        stores = [rows.inputs[self.modality] for rows in (self.train, self.valid)]
        return frozenset(array.shape[-1] for store in stores for array in store.values())

    def summarised(self, model: EmotionModel) -> Domain:
        """The domain with statistics instead of frames, if training does not change how the encoder computes them.

        They are then computed once for all strategies.
        """
        return replace(self, train=summarised(model, self.train), valid=summarised(model, self.valid))

    def divided(self, share: float = 0.25) -> tuple[EmotionData, EmotionData]:
        """The training rows in two parts by speaker: to train paths, and to compare them.

        Raises:
            InputError: there is only one training speaker.
        """
        names = np.array([self.speakers[row] for row in self.train.ids])
        order = sorted(set(names.tolist()))
        if len(order) < 2:
            raise InputError(
                f"comparing paths needs at least two training speakers; {self.name} has one. Name the speakers of the "
                "rows, or choose another strategy"
            )
        held_out = order[:: max(2, round(1 / share))]
        mask = np.isin(names, held_out)
        return self.train.rows(~mask), self.train.rows(mask)

    def share_of(self, share: float) -> Domain:
        """A share of the rows, with each label as frequent as before. A smaller share is a part of a larger one."""
        return replace(self, train=_share(self.train, share), valid=_share(self.valid, share))


def _share(rows: EmotionData, share: float) -> EmotionData:
    """The first rows of each label in a fixed random order, at least two of each."""
    order = np.random.default_rng(0).permutation(len(rows))
    labels = np.where((rows.targets == 1).any(axis=1), np.nan_to_num(rows.targets).argmax(axis=1), -1)
    kept: list[int] = []
    for label in np.unique(labels[labels >= 0]):
        members = order[labels[order] == label]
        kept += members[: max(2, round(share * len(members)))].tolist()
    return rows.rows(np.array(sorted(kept), dtype=int))
