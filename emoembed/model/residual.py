"""Residual item features, used only for few-shot labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Residual(nn.Module):
    """Item features -> whitened coordinates along the principal directions of training items, scaled to norm 1.

    The embedding of an item contains only what relates to the words for emotions. With few seen emotions, this is
    little. Examples of a new emotion share other features too, and the residual features contain them. The residual
    features are zero for labels that are known only by name.

    Args:
        columns: number of item features.
        size: number of directions.
    """

    centre: Tensor
    directions: Tensor

    def __init__(self, columns: int, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("directions", torch.zeros(size, columns))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Fit the leading directions of `(rows, columns)`. With fewer rows than directions, the rest stay zero."""
        self.centre.copy_(features.mean(dim=0))
        _, singular_values, components = torch.linalg.svd(features.float() - self.centre, full_matrices=False)
        rank = int((singular_values[: len(self.directions)] > 1e-4 * singular_values[0]).sum())
        self.directions.zero_()
        self.directions[:rank] = components[:rank] / (singular_values[:rank, None] / len(features) ** 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """`(batch, columns)` -> `(batch, size)`, rows of norm 1; zero before `fit`."""
        return normalize((features.float() - self.centre) @ self.directions.T, dim=-1)
