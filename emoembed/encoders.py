"""Encoders: a padded batch of feature arrays and its lengths -> one point per item.

Every encoder masks padding itself: what stands behind an item's length never reaches the result.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emoembed import augment
from emoembed.errors import InputError
from emoembed.layers import (
    AttentionPooling,
    ResidualStage,
    Standardize,
    joined,
    masked_average,
    padding_mask,
    run_recurrent,
)
from emoembed.ridge import RidgeMap
from emoembed.statistics import moments, statistics, statistics_dim

FACES_AT_ONCE = 512
"""That the face network reads together outside training: each takes 1 MB while it is read, and clips have thousands."""
SUMMARY_NOISE = 0.1
"""Deviation of the noise on standardised statistics in training."""


class RecurrentEncoder(nn.Module):
    """Bidirectional LSTM or GRU with attention pooling.

    Departs from Dai et al. 2020 (section 3.1), which reads the last step of a padded sequence: there the backward
    state has seen one step only, and padding is never masked.
    """

    def __init__(
        self,
        feature_dim: int,
        embed_dim: int,
        hidden: int = 128,
        layers: int = 1,
        cell: str = "gru",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.standardize = Standardize(feature_dim)
        recurrent = {"gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.recurrent = recurrent(
            feature_dim,
            hidden,
            layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.pool = AttentionPooling(2 * hidden)
        self.features_dim = 4 * hidden
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.features_dim, embed_dim))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        return self.place(self.read(frames, lengths))

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What is known of each item before it is placed: `(batch, features)`"""
        return self.pool(run_recurrent(self.recurrent, self.standardize(frames, lengths), lengths), lengths)

    def place(self, features: Tensor) -> Tensor:
        """`(batch, features)` -> `(batch, embed_dim)`"""
        return self.out(features)


class WordEncoder(RecurrentEncoder):
    """Word vectors of the labels' own space: their mean, and a recurrent correction that starts small.

    Before training it is the untrained baseline, the similarity of the words' mean and the label's word; so unseen
    labels have somewhere to start from, as a sentence encoder's have.
    """

    def __init__(self, feature_dim: int, embed_dim: int, **settings: Any) -> None:
        if feature_dim != embed_dim:
            raise InputError(f"words are read in their own space: embed_dim is {feature_dim}; given {embed_dim}")
        super().__init__(feature_dim, embed_dim, **settings)
        self.gate = nn.Parameter(torch.tensor(0.1))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, feature_dim)`"""
        mask = padding_mask(lengths, frames.shape[1])[..., None]
        mean = frames.masked_fill(~mask, 0.0).sum(dim=1) / lengths[:, None] - self.standardize.mean
        return normalize(mean, dim=-1) + self.gate * super().forward(frames, lengths)


class LastStepEncoder(nn.Module):
    """Bidirectional LSTM whose two directions are summed and read at an item's last step, features as they are.

    As Dai et al. 2020 (section 3.1) and their code have it, for `ModelConfig.mtee`, but for padding, which is never
    read: the last step is the item's own. Of the backward direction that step has seen one frame only.
    """

    def __init__(self, feature_dim: int, embed_dim: int, layers: int = 2, dropout: float = 0.15) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(
            feature_dim, embed_dim, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        steps = run_recurrent(self.recurrent, frames, lengths)
        last = steps[torch.arange(len(steps), device=steps.device), lengths - 1]
        return last.unflatten(-1, (2, -1)).sum(dim=1)


class SpectrogramEncoder(nn.Module):
    """Log-mel bands through a convolutional front end, joined by the other columns, then a BiGRU and attention pooling.

    Args:
        feature_dim: columns of the input; the first `bands` are mel bands, the rest (prosody) skip the convolutions.
        embed_dim: size of the result.
        bands: number of mel bands.
        channels: of the four convolutional stages; each halves the bands, all but the third halve the time.
        hidden: of the GRU.
        overview: share of what a map in closed form says of the recording's statistics; see `joined`.
    """

    def __init__(
        self,
        feature_dim: int,
        embed_dim: int,
        bands: int = 64,
        channels: tuple[int, ...] = (32, 64, 96, 128),
        hidden: int = 96,
        dropout: float = 0.3,
        overview: float = 0.0,
    ) -> None:
        super().__init__()
        self.bands = bands
        self.overview_share = overview
        self.overview = RidgeMap(statistics_dim(feature_dim), embed_dim) if overview else None
        self.standardize = Standardize(feature_dim)
        strides = (2, 2, 1, 2)
        self.time_stride = 8
        sizes = (1, *channels)
        self.stages = nn.ModuleList(
            ResidualStage(sizes[i], sizes[i + 1], (strides[i], 2)) for i in range(len(channels))
        )
        width = channels[-1] * (bands // 16) + (feature_dim - bands)
        self.narrow = nn.Sequential(nn.Linear(width, 2 * hidden), nn.GELU(), nn.Dropout(dropout))
        self.recurrent = nn.GRU(2 * hidden, hidden, batch_first=True, bidirectional=True)
        self.pool = AttentionPooling(2 * hidden)
        self.pooled_dim = 4 * hidden
        self.features_dim = self.pooled_dim + (statistics_dim(feature_dim) if overview else 0)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.pooled_dim, embed_dim))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        return self.place(self.read(frames, lengths))

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What is known of each item before it is placed: `(batch, features)`, the network's and the statistics."""
        frames = self.standardize(frames, lengths)
        pooled = self._pooled(frames, lengths)
        if self.overview is None:
            return pooled
        with torch.autocast(frames.device.type, enabled=False):
            return torch.cat([pooled.float(), self.overview.scaled(statistics(frames, lengths, self.bands))], dim=1)

    def place(self, features: Tensor) -> Tensor:
        """`(batch, features)` -> `(batch, embed_dim)`"""
        pooled = features[:, : self.pooled_dim]
        return joined(self.out(pooled), self.overview, self.overview_share, features[:, self.pooled_dim :])

    def summarize(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What the overview is fitted on: `(batch, statistics)`"""
        return statistics(self.standardize(frames, lengths), lengths, self.bands)

    def _pooled(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What the network over the frames hears, of standardised frames: `(batch, pooled_dim)`"""
        if self.training:
            frames = augment.masked(frames, lengths, self.bands)
        maps, others = frames[..., : self.bands][:, None], frames[..., self.bands :]
        others = masked_average(others, lengths, self.time_stride)
        for stage in self.stages:
            assert isinstance(stage, ResidualStage)
            lengths = -(-lengths // stage.stride[0])
            mask = padding_mask(lengths, -(-maps.shape[2] // stage.stride[0]))
            maps = stage(maps, mask[:, None, :, None])
        steps = maps.permute(0, 2, 1, 3).flatten(start_dim=2)
        steps = self.narrow(torch.cat([steps, others.to(steps.dtype)], dim=-1))
        return self.pool(run_recurrent(self.recurrent, steps, lengths), lengths).to(steps.dtype)


class FaceEncoder(nn.Module):
    """A small residual CNN over each 48x48 grey face, then attention pooling over the frames.

    Outside training each face is read mirrored as well, and the mean of both counts.

    Args:
        embed_dim: size of the result.
        side: pixels of a face's side.
        channels: of the four stages; the first keeps the size, the others halve it.
        depth: residual convolutions of each stage.
        overview: share of what a map in closed form says of what the network has learned to see; see `joined`.
    """

    def __init__(
        self,
        embed_dim: int,
        side: int = 48,
        channels: tuple[int, ...] = (32, 64, 128, 160),
        depth: tuple[int, ...] = (1, 1, 2, 2),
        dropout: float = 0.4,
        overview: float = 0.0,
    ) -> None:
        super().__init__()
        self.side, self.overview_share = side, overview
        sizes = (1, *channels)
        self.stages = nn.ModuleList(
            ResidualStage(sizes[i], sizes[i + 1], (2, 2) if i else (1, 1), depth[i]) for i in range(len(channels))
        )
        self.stages.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # ten times faster in bf16
        self.narrow = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1] * 4, 2 * channels[-1]), nn.GELU())
        self.pool = AttentionPooling(2 * channels[-1])
        self.features_dim = 4 * channels[-1]
        self.overview = RidgeMap(self.features_dim, embed_dim) if overview else None
        self.out = nn.Linear(self.features_dim, embed_dim)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, side * side)` in 0..1, `(batch,)` -> `(batch, embed_dim)`"""
        return self.place(self.read(frames, lengths))

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What is known of each item before it is placed: `(batch, features)`"""
        mask = padding_mask(lengths, frames.shape[1])
        maps = frames[mask].view(-1, 1, self.side, self.side)
        centred = maps - maps.mean(dim=(2, 3), keepdim=True)
        maps = centred / (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-3).sqrt()
        if self.training:  # all at once, for the sake of batch normalisation
            faces = self._read(maps)
        else:
            parts = maps.split(FACES_AT_ONCE)
            faces = torch.cat([(self._read(part) + self._read(part.flip(-1))) / 2 for part in parts])
        steps = faces.new_zeros(*frames.shape[:2], faces.shape[-1]).masked_scatter(mask[..., None], faces)
        return self.pool(steps, lengths).to(faces.dtype)

    def place(self, features: Tensor) -> Tensor:
        """`(batch, features)` -> `(batch, embed_dim)`"""
        scaled = features if self.overview is None else self.overview.scaled(features)
        return joined(self.out(features), self.overview, self.overview_share, scaled)

    def _read(self, maps: Tensor) -> Tensor:
        """Standardised faces `(faces, 1, side, side)` -> `(faces, 2 * channels[-1])`"""
        maps = maps.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            maps = stage(maps)
        return self.narrow(nn.functional.adaptive_avg_pool2d(maps, 2).flatten(start_dim=1))


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
