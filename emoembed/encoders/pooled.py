"""An encoder of statistics over time: a two-layer perceptron."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emoembed.encoders.layers import (
    Standardize,
    joined,
)
from emoembed.encoders.ridge import RidgeMap
from emoembed.encoders.statistics import moments, statistics, statistics_dim

SUMMARY_NOISE = 0.1
"""Deviation of the noise on standardised statistics in training."""


class PooledEncoder(nn.Module):
    """What an item is like over time, through a two-layer perceptron: for action units, functionals, and little data.

    Args:
        feature_dim: columns of the input.
        embed_dim: size of the result.
        hidden: of the perceptron.
        summary: what is read of the columns: their `mean`; their means and deviations (`moments`); or `functionals`
            of speech, as `statistics` has them.
        overview: share of what a map in closed form says of the same numbers; see `joined`.
    """

    def __init__(
        self,
        feature_dim: int,
        embed_dim: int,
        hidden: int = 128,
        dropout: float = 0.3,
        summary: str = "mean",
        overview: float = 0.0,
    ) -> None:
        super().__init__()
        self.summary, self.overview_share = summary, overview
        size = {"mean": feature_dim, "moments": 2 * feature_dim, "functionals": statistics_dim(feature_dim)}[summary]
        self.features_dim = size
        self.standardize = Standardize(feature_dim)
        self.overview = RidgeMap(size, embed_dim)
        self.out = nn.Sequential(
            nn.Dropout(dropout / 2),
            nn.Linear(size, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, embed_dim),
        )

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        return self.place(self.read(frames, lengths))

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What is known of each item before it is placed: `(batch, features)`, standardised."""
        with torch.autocast(frames.device.type, enabled=False):
            scaled = self.overview.scaled(self.summarize(frames, lengths))
            return scaled + SUMMARY_NOISE * torch.randn_like(scaled) if self.training else scaled

    def place(self, features: Tensor) -> Tensor:
        """`(batch, features)` -> `(batch, embed_dim)`"""
        return joined(self.out(features), self.overview, self.overview_share, features)

    def summarize(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What the perceptron and the overview read: `(batch, numbers)`"""
        frames = self.standardize(frames, lengths)
        if self.summary == "functionals":
            return statistics(frames, lengths)
        mean, deviation = moments(frames, lengths)
        return mean if self.summary == "mean" else torch.cat([mean, deviation], dim=1)
