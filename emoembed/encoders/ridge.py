"""Ridge regression: linear maps fitted in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PENALTY = 1000.0
"""Ridge penalty of a map from statistics to label points, chosen on RAVDESS validation actors and held-out emotions."""
LARGEST = 5.0
"""Statistics are clipped at this many standard deviations, so that an unusual recording gets no extreme score."""


def solve(inputs: Tensor, goals: Tensor, penalty: float) -> Tensor:
    """Ridge weights `(goals, columns)` from inputs `(rows, columns)` to goals `(rows, goals)`, both of mean 0.

    The computation is in float64.
    """
    inputs = inputs.double()
    gram = inputs.T @ inputs + penalty * torch.eye(inputs.shape[1], dtype=torch.float64, device=inputs.device)
    weights: Tensor = torch.linalg.solve(gram, inputs.T @ goals.double())
    return weights.T


class RidgeMap(nn.Module):
    """Ridge regression from the statistics of an item to the point of its label.

    A network learns to separate seen labels. The ridge map learns the positions of their points instead, so it also
    generalises to unseen labels (Romera-Paredes & Torr 2015, with a squared loss on label vectors).
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
        """Fit the map to rows of statistics and their target points.

        Args:
            inputs: statistics `(rows, columns)`.
            goals: target points `(rows, embed_dim)`.
            weights: weights of the rows, scaled to mean 1; equal by default.
            penalty: ridge penalty on the weights of the standardised columns.
        """
        weights = torch.ones(len(inputs)) if weights is None else weights / weights.mean()
        self.mean.copy_(inputs.mean(dim=0))
        deviation = inputs.std(dim=0)
        self.deviation.copy_(torch.where(deviation > 1e-5, deviation, torch.ones_like(deviation)))
        scaled = self.scaled(inputs)
        input_mean, goal_mean = ((weights[:, None] * values).mean(dim=0) for values in (scaled, goals))
        root = weights.sqrt()[:, None]
        self.weight.copy_(solve(root * (scaled - input_mean), root * (goals - goal_mean), penalty))
        self.bias.copy_(goal_mean - self.weight @ input_mean)

    def forward(self, scaled: Tensor) -> Tensor:
        """Statistics from `scaled` `(rows, columns)` -> points `(rows, embed_dim)`"""
        return scaled @ self.weight.T + self.bias

    def scaled(self, inputs: Tensor) -> Tensor:
        """Standardise the columns with the fitted statistics, and clip them at +-`LARGEST`."""
        return ((inputs.float() - self.mean) / self.deviation).clamp(-LARGEST, LARGEST)
