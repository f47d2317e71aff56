"""The context of a turn: the earlier turns of a dialogue move its points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from emoembed.encoders.layers import point

STRENGTH = 0.5
"""Weight of the mean of earlier turns, until training sets another. See `docs/report/dialogue`."""


@dataclass(frozen=True)
class ContextState:
    """What the earlier turns of a dialogue leave for the present turn. Its size does not depend on their number.

    Attributes:
        sums: modality -> sum of the earlier turns' differences from the background, `(embed_dim,)`.
        counts: modality -> number of earlier turns with this modality.
        turns: number of earlier turns with any modality.
    """

    sums: Mapping[str, Tensor] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    turns: int = 0

    def add(self, differences: Mapping[str, Tensor]) -> ContextState:
        """The state after one more turn.

        Args:
            differences: modality -> the turn's own point minus the background, `(embed_dim,)`. A turn without any
                modality leaves the state as it is.
        """
        if not differences:
            return self
        sums = {name: self.sums[name] + value if name in self.sums else value for name, value in differences.items()}
        counts = {name: self.counts.get(name, 0) + 1 for name in differences}
        return ContextState({**self.sums, **sums}, {**self.counts, **counts}, self.turns + 1)

    def mean(self, modality: str) -> Tensor | None:
        """Mean difference of the earlier turns from the background `(embed_dim,)`; None if no turn has the modality."""
        return self.sums[modality] / self.counts[modality] if modality in self.sums else None


def in_context(points: Mapping[str, Tensor], state: ContextState, strength: float = STRENGTH) -> dict[str, Tensor]:
    """Move the points of a turn: point(z + strength * mean of the earlier turns' differences from the background).

    A point without earlier turns in its modality does not change in any bit. Columns after `embed_dim`, which no label
    point has, do not change either.

    Args:
        points: modality -> the turn's own point `(point_dim,)`. Its first `embed_dim` columns have norm 1.
        state: what the earlier turns left.
        strength: weight of the mean of the earlier turns; 0 for no context.
    """
    moved = dict(points)
    for name, own_point in points.items():
        mean = state.mean(name)
        if mean is not None and strength:
            moved[name] = own_point.clone()
            moved[name][: len(mean)] = point(own_point[: len(mean)] + strength * mean)
    return moved
