"""The context of a turn: the earlier turns of a dialogue move its points.

This is the dialogue model of Hazarika et al. 2019 (TL-ERC), with three differences. The recurrence reads points of the
shared space. Its output moves the point of the present turn, so that any emotion name can still be the answer. A
second recurrence reads only the earlier turns of the present speaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor, nn

from emoembed.encoders.layers import padding_mask, point

STRENGTH = 0.5
"""Weight of the mean of earlier turns before training."""
DROPOUT = 0.5
"""Dropout rate of the inputs and of the states of the recurrences."""
MOST_SPEAKERS = 16
"""Number of speakers whose own turns are remembered. With more speakers, those who spoke last are kept."""


@dataclass(frozen=True)
class ContextSettings:
    """Settings of a trained context."""

    hidden_dim: int = 128
    """Units of each recurrence over earlier turns; 0 for the mean of earlier turns alone."""


@dataclass(frozen=True)
class ContextState:
    """A summary of the earlier turns of a dialogue. Its size does not depend on their number.

    Attributes:
        sums: modality -> sum of the earlier turns' differences from the background, `(embed_dim,)`.
        counts: modality -> number of earlier turns with this modality.
        hidden: state of the recurrence, `(hidden_dim,)`; None before the first turn, or without a recurrence.
        own: speaker -> state of the recurrence over the turns of this speaker, `(hidden_dim,)`. The speaker of the last
            turn comes last.
        speaker: speaker of the last turn.
        turns: number of earlier turns with any modality.
    """

    sums: Mapping[str, Tensor] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    hidden: Tensor | None = None
    speaker: str | None = None
    turns: int = 0
    own: Mapping[str, Tensor] = field(default_factory=dict)

    def mean(self, modality: str) -> Tensor | None:
        """Mean difference of the earlier turns from the background `(embed_dim,)`; None if no turn has the modality."""
        return self.sums[modality] / self.counts[modality] if modality in self.sums else None


class ContextEncoder(nn.Module):
    """Moves the points of a turn: point(z + strength * mean of the earlier differences + W h + V s).

    A difference is a turn's own point minus the background, the mean point of the training items. h is the state of a
    GRU that has read the earlier turns: their differences, and whether the speaker changed. s is the state of another
    GRU that has read only the earlier turns of the same speaker; it is zero if the speaker is unknown or new. W and V
    start at zero, so an untrained context is the mean of earlier turns.

    Args:
        dims: modality -> `embed_dim`.
        settings: the size of the recurrences.
    """

    def __init__(self, dims: Mapping[str, int], settings: ContextSettings) -> None:
        super().__init__()
        self.dims, self.settings = dict(dims), settings
        self.strength = nn.ParameterDict({name: nn.Parameter(torch.tensor(STRENGTH)) for name in dims})
        hidden_dim = settings.hidden_dim
        if hidden_dim:
            self.inputs = nn.ModuleDict({name: nn.Linear(dim, hidden_dim) for name, dim in dims.items()})
            self.missing = nn.ParameterDict({name: nn.Parameter(torch.zeros(hidden_dim)) for name in dims})
            self.changed = nn.Parameter(torch.zeros(hidden_dim))
            self.gru, self.own_gru = (nn.GRU(hidden_dim, hidden_dim, batch_first=True) for _ in range(2))
            self.outputs, self.own_outputs = (self._outputs() for _ in range(2))

    def _outputs(self) -> nn.ModuleDict:
        """Maps from a state to each space, which start at zero."""
        outputs = {name: nn.Linear(self.settings.hidden_dim, dim, bias=False) for name, dim in self.dims.items()}
        for output in outputs.values():
            nn.init.zeros_(output.weight)
        return nn.ModuleDict(outputs)

    def states(self, differences: Mapping[str, Tensor], changed: Tensor) -> Tensor | None:
        """The states of the recurrence after each turn, `(batch, time, hidden_dim)`; None without a recurrence.

        They equal the states that `add` computes turn by turn, except for the last bits.

        Args:
            differences: modality -> `(batch, time, embed_dim)`; NaN where a turn lacks the modality.
            changed: whether another speaker spoke before, `(batch, time)` of 0 and 1.
        """
        if not self.settings.hidden_dim or not changed.shape[1]:
            return None
        states, _ = self.gru(self._inputs(differences, changed))
        return cast(Tensor, states)

    def _inputs(self, differences: Mapping[str, Tensor], changed: Tensor) -> Tensor:
        """The input of the recurrence for turns, `(..., hidden_dim)`, from differences `(..., embed_dim)`."""
        total = changed[..., None] * self.changed
        for name, missing in self.missing.items():
            absent = differences[name].isnan().any(dim=-1, keepdim=True) if name in differences else None
            if absent is None or absent.all():
                total = total + missing
            else:
                present = self._dropped(differences[name].nan_to_num(0.0))
                total = total + torch.where(absent, missing, self.inputs[name](present))
        return total

    def _own_state(self, inputs: Tensor, same_speaker: Tensor) -> Tensor:
        """The state of the second recurrence after the speaker's own turns, `(batch, hidden_dim)`; zero without any.

        Args:
            inputs: the input of the recurrence for the earlier turns, `(batch, time, hidden_dim)`.
            same_speaker: whether the present speaker spoke in a turn, `(batch, time)`.
        """
        counts = same_speaker.sum(dim=1)
        longest = int(counts.max())
        if not longest:
            return inputs.new_zeros(len(inputs), self.settings.hidden_dim)
        order = (
            (~same_speaker).to(torch.int8).argsort(dim=1, stable=True)[:, :longest]
        )  # own turns first, in their order
        states, _ = self.own_gru(inputs.gather(1, order[..., None].expand(-1, -1, inputs.shape[2])))
        last: Tensor = states[torch.arange(len(states), device=states.device), (counts - 1).clamp(min=0)]
        return last.masked_fill((counts == 0)[:, None], 0.0)

    def _dropped(self, values: Tensor) -> Tensor:
        return nn.functional.dropout(values, DROPOUT, self.training)

    def move(
        self, points: Tensor, name: str, mean: Tensor | None, hidden: Tensor | None, own: Tensor | None = None
    ) -> Tensor:
        """Points of one modality `(batch, point_dim)`, moved by what came before.

        Columns after `embed_dim`, which no label point has, do not change. Without a mean and a state of the
        recurrence, no bit changes.

        Args:
            points: the turns' own points. Their first `embed_dim` columns have norm 1.
            name: the modality.
            mean: mean difference of the earlier turns `(batch, embed_dim)`; None if there are none.
            hidden: state of the recurrence `(batch, hidden_dim)`; None if no turn came before.
            own: state of the recurrence over the speaker's own turns `(batch, hidden_dim)`; None if there are none.
        """
        if mean is None and hidden is None:
            return points
        dim = self.dims[name]
        moved = points[:, :dim]
        if mean is not None:
            moved = moved + self.strength[name] * mean
        if hidden is not None:
            moved = moved + self.outputs[name](hidden)
        if own is not None:
            moved = moved + self.own_outputs[name](own)
        return torch.cat([point(moved), points[:, dim:]], dim=1)

    def forward(
        self,
        points: Mapping[str, Tensor],
        differences: Mapping[str, Tensor],
        changed: Tensor,
        same_speaker: Tensor,
        lengths: Tensor,
    ) -> dict[str, Tensor]:
        """Move the points of a batch of turns by all earlier turns of each.

        Args:
            points: modality -> the turns' own points `(batch, point_dim)`; NaN where a turn lacks the modality.
            differences: modality -> differences of the earlier turns `(batch, time, embed_dim)`; NaN where a turn
                lacks the modality.
            changed: whether the speaker of an earlier turn differs from the speaker before, `(batch, time)`.
            same_speaker: whether the speaker of an earlier turn is that of the present turn, `(batch, time)`; False
                after the last one.
            lengths: numbers of earlier turns, `(batch,)`.
        """
        hidden = own = None
        if self.settings.hidden_dim and changed.shape[1]:
            inputs = self._inputs(differences, changed)
            states, _ = self.gru(inputs)
            last_turn = (lengths - 1).clamp(min=0)
            hidden = self._dropped(states[torch.arange(len(lengths), device=lengths.device), last_turn])
            own = self._dropped(self._own_state(inputs, same_speaker))
        has_history = (lengths > 0)[:, None]
        moved = {}
        for name, own_points in points.items():
            turns = differences[name]
            counted = padding_mask(lengths, turns.shape[1])[..., None] & ~turns.isnan().any(dim=2, keepdim=True)
            mean = turns.masked_fill(~counted, 0.0).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
            absent = own_points.isnan().any(dim=1, keepdim=True)  # NaN in `move` would make the gradients NaN
            in_context = self.move(own_points.masked_fill(absent, 0.0), name, mean, hidden, own)
            moved[name] = torch.where(has_history, in_context, own_points).masked_fill(absent, torch.nan)
        return moved

    def in_context(
        self, points: Mapping[str, Tensor], state: ContextState, speaker: str | None = None
    ) -> dict[str, Tensor]:
        """Move the points of one turn by the earlier turns of its dialogue.

        Args:
            points: modality -> the turn's own point `(point_dim,)`.
            state: the summary of the earlier turns.
            speaker: the speaker of the turn.
        """
        own_state = None if speaker is None else state.own.get(speaker)
        hidden, own = (None if values is None else values[None] for values in (state.hidden, own_state))
        moved = {}
        for name, own_point in points.items():
            mean = state.mean(name)
            moved[name] = self.move(own_point[None], name, None if mean is None else mean[None], hidden, own)[0]
        return moved

    def add(self, state: ContextState, differences: Mapping[str, Tensor], speaker: str | None = None) -> ContextState:
        """The state after one more turn.

        Args:
            state: the state before it.
            differences: modality -> the turn's own point minus the background, `(embed_dim,)`. A turn without any
                modality leaves the state as it is.
            speaker: the speaker of the turn.
        """
        if not differences:
            return state
        hidden, own = state.hidden, dict(state.own)
        if self.settings.hidden_dim:
            changed = torch.tensor([speaker_changes([state.speaker, speaker])[1]])
            inputs = self._inputs(
                {name: difference[None] for name, difference in differences.items()},
                changed.to(next(iter(differences.values())).device),
            )
            hidden = _after(self.gru, inputs, state.hidden)
            if speaker is not None:
                own[speaker] = _after(self.own_gru, inputs, own.pop(speaker, None))
        sums = {name: state.sums[name] + value if name in state.sums else value for name, value in differences.items()}
        counts = {name: state.counts.get(name, 0) + 1 for name in differences}
        return replace(
            state,
            sums={**state.sums, **sums},
            counts={**state.counts, **counts},
            hidden=hidden,
            speaker=state.speaker if speaker is None else speaker,
            turns=state.turns + 1,
            own=dict(list(own.items())[-MOST_SPEAKERS:]),
        )

    def with_strength(self, strength: float) -> ContextEncoder:
        """A copy with another weight of the mean of earlier turns, for all modalities."""
        copy = ContextEncoder(self.dims, self.settings)
        copy.load_state_dict(self.state_dict())
        for name in copy.dims:
            copy.strength[name] = nn.Parameter(torch.tensor(float(strength)))
        return copy.to(next(self.parameters()).device).eval()


def _after(gru: nn.Module, inputs: Tensor, hidden: Tensor | None) -> Tensor:
    """The state of a recurrence `(hidden_dim,)` after one more turn `(1, hidden_dim)`."""
    _, state = gru(inputs[:, None], None if hidden is None else hidden[None, None])
    return cast(Tensor, state[0, 0])


def speaker_changes(speakers: Sequence[str | None]) -> list[float]:
    """For each turn: 1.0 if its speaker differs from the last known speaker, else 0.0. None is an unknown speaker."""
    last: str | None = None
    changes = []
    for speaker in speakers:
        changes.append(float(None not in (last, speaker) and speaker != last))
        last = last if speaker is None else speaker
    return changes
