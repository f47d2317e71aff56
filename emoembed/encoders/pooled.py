"""An encoder of statistics over time: a two-layer perceptron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.layers import (
    Standardize,
    joined,
)
from emoembed.encoders.ridge import RidgeMap
from emoembed.encoders.statistics import moments, statistics, statistics_dim

SUMMARY_NOISE = 0.1
"""Deviation of the noise on standardised statistics in training."""


@dataclass(frozen=True)
class PooledSettings(Settings):
    """Size of the perceptron, and what it reads."""

    hidden: int = 128
    dropout: float = 0.3
    summary: Literal["mean", "moments", "functionals"] = "mean"
    """What is read of the columns: their mean; their means and deviations; or functionals of speech (`statistics`)."""
    overview: float = 0.0  # share of what a ridge map says of the same numbers; see `layers.joined`


class PooledEncoder(Encoder):
    """Statistics of an item over time, through a two-layer perceptron: for action units, functionals, and few rows."""

    settings_type = PooledSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: PooledSettings | None = None) -> None:
        super().__init__()
        settings = settings or PooledSettings()
        hidden, dropout, summary = settings.hidden, settings.dropout, settings.summary
        self.summary, self.overview_share = summary, settings.overview
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
