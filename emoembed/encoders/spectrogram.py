"""Speech encoder: convolutions over log-mel bands, then a recurrent network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.layers import (
    AttentionPooling,
    ResidualStage,
    Standardize,
    joined,
    masked_average,
    padding_mask,
    run_recurrent,
)
from emoembed.encoders.masking import masked
from emoembed.encoders.ridge import RidgeMap
from emoembed.encoders.statistics import statistics, statistics_dim


@dataclass(frozen=True)
class SpectrogramSettings(Settings):
    """Sizes of the convolutions and of the recurrent network after them."""

    bands: int = 64  # mel bands; the columns after them (prosody) skip the convolutions
    channels: tuple[int, ...] = (32, 64, 96, 128)  # per stage; each halves the bands, all but the third halve time
    hidden: int = 96  # size of the GRU state
    dropout: float = 0.3
    overview: float = 0.0  # share of a ridge map on the recording's statistics; see `layers.joined`


class SpectrogramEncoder(Encoder):
    """Convolutions over log-mel bands, concatenated with the other columns; then a BiGRU and attention pooling."""

    settings_type = SpectrogramSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: SpectrogramSettings | None = None) -> None:
        super().__init__()
        settings = settings or SpectrogramSettings()
        bands, channels, hidden, dropout = settings.bands, settings.channels, settings.hidden, settings.dropout
        self.bands, self.overview_share = bands, settings.overview
        self.overview = RidgeMap(statistics_dim(feature_dim), embed_dim) if settings.overview else None
        self.standardize = Standardize(feature_dim)
        self.strides = (2, 2, 1, 2)  # over time, per stage
        self.time_stride = 8
        sizes = (1, *channels)
        self.stages = nn.ModuleList(
            ResidualStage(sizes[i], sizes[i + 1], (self.strides[i], 2)) for i in range(len(channels))
        )
        width = channels[-1] * (bands // 16) + (feature_dim - bands)
        self.narrow = nn.Sequential(nn.Linear(width, 2 * hidden), nn.GELU(), nn.Dropout(dropout))
        self.recurrent = nn.GRU(2 * hidden, hidden, batch_first=True, bidirectional=True)
        self.pool = AttentionPooling(2 * hidden)
        self.pooled_dim = 4 * hidden
        self.features_dim = self.pooled_dim + (statistics_dim(feature_dim) if settings.overview else 0)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.pooled_dim, embed_dim))

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Item features for `embed`: `(batch, features_dim)`, the output of the network, then the statistics."""
        frames = self.standardize(frames, lengths)
        pooled = self._pooled(frames, lengths)
        if self.overview is None:
            return pooled
        with torch.autocast(frames.device.type, enabled=False):
            return torch.cat([pooled.float(), self.overview.scaled(statistics(frames, lengths, self.bands))], dim=1)

    def embed(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        pooled = features[:, : self.pooled_dim]
        return joined(self.out(pooled), self.overview, self.overview_share, features[:, self.pooled_dim :])

    def summarize(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Statistics on which the ridge map is fitted: `(batch, statistics)`"""
        return statistics(self.standardize(frames, lengths), lengths, self.bands)

    def _pooled(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Output of the network for standardised frames: `(batch, pooled_dim)`"""
        if self.training:
            frames = masked(frames, lengths, self.bands)
        maps, other_columns = frames[..., : self.bands][:, None], frames[..., self.bands :]
        other_columns = masked_average(other_columns, lengths, self.time_stride)
        for stage, stride in zip(self.stages, self.strides, strict=True):
            lengths = -(-lengths // stride)
            mask = padding_mask(lengths, -(-maps.shape[2] // stride))
            maps = stage(maps, mask[:, None, :, None])
        steps = maps.permute(0, 2, 1, 3).flatten(start_dim=2)
        steps = self.narrow(torch.cat([steps, other_columns.to(steps.dtype)], dim=-1))
        pooled: Tensor = self.pool(run_recurrent(self.recurrent, steps, lengths), lengths)
        return pooled.to(steps.dtype)
