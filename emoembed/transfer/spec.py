"""Transfer of weights between models: which weights move, and a report of what was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class TransferReport:
    """The result of a transfer of weights, by their names.

    Attributes:
        loaded: weights of the target that now have the values of the source.
        skipped: weights of the source that were not chosen to move.
        mismatched: chosen weights that the target lacks or has in another shape.
        untouched: weights of the target that keep their values.
        share: share of the target's numbers that were loaded.
    """

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    mismatched: tuple[str, ...]
    untouched: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class TransferSpec:
    """Which weights move from a source to a target.

    Attributes:
        name: name of the transfer, for reports.
        move: patterns of the names of weights that move, such as `gru.*`.
        permute: permute the numbers within each weight. This is a control: the target starts from numbers of the same
            size that contain no information.
    """

    name: str
    move: tuple[str, ...] = ()
    permute: bool = False

    def choose(self, source: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the source that move."""
        return {
            name: weight for name, weight in source.items() if any(fnmatchcase(name, pattern) for pattern in self.move)
        }

    @torch.no_grad()
    def apply(self, source: Mapping[str, Tensor], target: nn.Module, seed: int = 0) -> TransferReport:
        """Copy the chosen weights of the source into the target, in place.

        Args:
            source: name -> weight.
            target: its weights have the same names.
            seed: seed of the permutation.
        """
        generator = torch.Generator().manual_seed(seed)
        weights = target.state_dict()
        chosen = set(self.choose(source))
        fitting = [name for name in sorted(chosen) if name in weights and weights[name].shape == source[name].shape]
        for name in fitting:
            values = source[name]
            if self.permute:
                values = values.flatten()[torch.randperm(values.numel(), generator=generator)].view_as(values)
            weights[name].copy_(values)
        moved = sum(weights[name].numel() for name in fitting)
        return TransferReport(
            loaded=tuple(fitting),
            skipped=tuple(sorted(set(source) - chosen)),
            mismatched=tuple(sorted(chosen - set(fitting))),
            untouched=tuple(sorted(set(weights) - set(fitting))),
            share=moved / max(sum(weight.numel() for weight in weights.values()), 1),
        )


RECURRENCE = ("inputs.*", "missing.*", "changed", "gru.*", "outputs.*")
"""Weights of the recurrence of a context, and of its projections."""
SPECS = {
    "full": TransferSpec("full", ("*",)),
    "tl_erc": TransferSpec("tl_erc", RECURRENCE),
    "random": TransferSpec("random"),
    "shuffled": TransferSpec("shuffled", RECURRENCE, permute=True),
}
"""Transfers by name: everything; the recurrence and its projections, as TL-ERC (Hazarika et al. 2019); nothing; and the
recurrence with permuted numbers."""
