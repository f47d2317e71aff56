"""Linear maps fitted in closed form: ridge regression."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PENALTY = 1000.0
"""Of a map from statistics to label points; chosen on validation actors of RAVDESS, emotions held out."""
LARGEST = 5.0
"""Deviations from the mean beyond which a statistic is cut: a recording unlike all others is no reason to be sure."""


def solve(inputs: Tensor, goals: Tensor, penalty: float) -> Tensor:
    """Weights `(goals, columns)` of inputs `(rows, columns)` to goals `(rows, goals)`, both of mean 0, in float64."""
    inputs = inputs.double()
    gram = inputs.T @ inputs + penalty * torch.eye(inputs.shape[1], dtype=torch.float64, device=inputs.device)
    weights: Tensor = torch.linalg.solve(gram, inputs.T @ goals.double())
    return weights.T


class RidgeMap(nn.Module):
    """From an item's statistics to its label's point, in closed form.

    Where a network learns to tell the labels it sees apart, this asks where their points lie, and so places labels
    never seen as well (Romera-Paredes & Torr 2015, with a squared loss on label vectors).
    """

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, columns: int, embed_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(columns))
        self.register_buffer("deviation", torch.ones(columns))
        self.register_buffer("weight", torch.zeros(embed_dim, columns))
        self.register_buffer("bias", torch.zeros(embed_dim))

    @torch.no_grad()
    def fit(self, inputs: Tensor, goals: Tensor, weights: Tensor | None = None, penalty: float = PENALTY) -> None:
        """Take rows of statistics and the points they shall have.

        Args:
            inputs: `(rows, columns)`.
            goals: `(rows, embed_dim)`.
            weights: of the rows, of mean one; all alike by default.
            penalty: on the weights of the standardised columns.
        """
        weights = torch.ones(len(inputs)) if weights is None else weights / weights.mean()
        self.mean.copy_(inputs.mean(dim=0))
        deviation = inputs.std(dim=0)
        self.deviation.copy_(torch.where(deviation > 1e-5, deviation, torch.ones_like(deviation)))
        scaled = self.scaled(inputs)
        middle, centre = ((weights[:, None] * values).mean(dim=0) for values in (scaled, goals))
        root = weights.sqrt()[:, None]
        self.weight.copy_(solve(root * (scaled - middle), root * (goals - centre), penalty))
        self.bias.copy_(centre - self.weight @ middle)

    def forward(self, scaled: Tensor) -> Tensor:
        """Statistics as `scaled` gives them, `(rows, columns)` -> `(rows, embed_dim)`"""
        return scaled @ self.weight.T + self.bias

    def scaled(self, inputs: Tensor) -> Tensor:
        """Columns of mean 0 and deviation 1, as they were fitted, within `LARGEST`."""
        return ((inputs.float() - self.mean) / self.deviation).clamp(-LARGEST, LARGEST)
