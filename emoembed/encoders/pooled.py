"""Encoders of statistics over time: their base class, and a two-layer perceptron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.layers import Standardize, joined
from emoembed.encoders.ridge import RidgeMap
from emoembed.encoders.statistics import moments
from emoembed.encoders.whisper import BANDS, WhisperLayers

SUMMARY_NOISE = 0.1
"""Standard deviation of the noise that training adds to the standardised statistics."""


@dataclass(frozen=True)
class StatisticsSettings(Settings):
    """The input of an encoder of statistics."""

    dropout: float = 0.3
    summary: Literal["mean", "moments", "whisper"] = "mean"
    """Statistics of each column: mean; mean and standard deviation (`moments`); or moments of the states of Whisper's
    first layers (`whisper`), which read the first 80 columns."""
    whisper: dict[str, Any] | None = None  # configuration of these layers
    overview: float = 0.0  # share of a ridge map on the same statistics; see `layers.joined`

    def features_dim(self, feature_dim: int) -> int:
        """Number of statistics of frames with `feature_dim` columns."""
        if self.summary == "whisper":
            return 2 * int((self.whisper or {})["d_model"])
        return feature_dim if self.summary == "mean" else 2 * feature_dim


@dataclass(frozen=True)
class PooledSettings(StatisticsSettings):
    """Size and input of the perceptron."""

    hidden: int = 128


class StatisticsEncoder(Encoder):
    """A network on statistics over time, with a ridge map on the same statistics.

    A subclass has the network.
    """

    def __init__(self, feature_dim: int, embed_dim: int, settings: StatisticsSettings) -> None:
        super().__init__()
        self.summary, self.overview_share = settings.summary, settings.overview
        self.feature_dim = feature_dim
        self.whisper = WhisperLayers(settings.whisper or {}) if settings.summary == "whisper" else None
        self.features_dim = settings.features_dim(feature_dim)
        self.standardize = None if self.whisper else Standardize(feature_dim)
        self.overview = RidgeMap(self.features_dim, embed_dim)

    def network(self, features: Tensor) -> Tensor:
        """Standardised statistics `(batch, features_dim)` -> `(batch, embed_dim)`"""
        raise NotImplementedError

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Item features for `embed`: standardised statistics `(batch, features_dim)`"""
        with torch.autocast(frames.device.type, enabled=False):
            scaled = self.overview.scaled(self.summarize(frames, lengths))
            return scaled + SUMMARY_NOISE * torch.randn_like(scaled) if self.training else scaled

    def embed(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        return joined(self.network(features), self.overview, self.overview_share, features)

    def summarize(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Statistics for the network and the ridge map, not yet standardised: `(batch, features_dim)`.

        Frames with `features_dim` columns are statistics that were computed before, one row per item.
        """
        if frames.shape[2] == self.features_dim != self.feature_dim:
            return frames[:, 0]
        if self.whisper is not None:
            with torch.no_grad():
                return torch.cat(moments(*self.whisper(frames[..., :BANDS], lengths)), dim=1)
        if self.standardize is not None:
            frames = self.standardize(frames, lengths)
        mean, deviation = moments(frames, lengths)
        return mean if self.summary == "mean" else torch.cat([mean, deviation], dim=1)


class PooledEncoder(StatisticsEncoder):
    """A two-layer perceptron on statistics over time: for speech, action units, and small data."""

    settings_type = PooledSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: PooledSettings | None = None) -> None:
        settings = settings or PooledSettings()
        super().__init__(feature_dim, embed_dim, settings)
        self.out = nn.Sequential(
            nn.Dropout(settings.dropout / 2),
            nn.Linear(self.features_dim, settings.hidden),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden, embed_dim),
        )

    def network(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        output: Tensor = self.out(features)
        return output
