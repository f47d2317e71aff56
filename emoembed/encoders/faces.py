"""Face encoder: a small residual CNN over each frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.layers import (
    AttentionPooling,
    ResidualStage,
    joined,
    padding_mask,
)
from emoembed.encoders.ridge import RidgeMap

FACES_AT_ONCE = 512
"""Faces per forward pass outside training. Each face takes 1 MB during the pass, and a clip can have thousands."""


@dataclass(frozen=True)
class FaceSettings(Settings):
    """Sizes of the convolutions."""

    side: int = 48  # side length of a face image, in pixels
    channels: tuple[int, ...] = (32, 64, 128, 160)  # per stage; the first keeps the image size, the others halve it
    depth: tuple[int, ...] = (1, 1, 2, 2)  # residual convolutions per stage
    dropout: float = 0.4
    overview: float = 0.0  # share of a ridge map on the network's features; see `layers.joined`


class FaceEncoder(Encoder):
    """A small residual CNN over each 48x48 grey face, then attention pooling over the frames.

    Outside training, the features of a face are the mean over the face and its mirror image.
    """

    settings_type = FaceSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: FaceSettings | None = None) -> None:
        super().__init__()
        settings = settings or FaceSettings()
        channels, depth, dropout = settings.channels, settings.depth, settings.dropout
        self.side, self.overview_share = settings.side, settings.overview
        sizes = (1, *channels)
        self.stages = nn.ModuleList(
            ResidualStage(sizes[i], sizes[i + 1], (2, 2) if i else (1, 1), depth[i]) for i in range(len(channels))
        )
        for stage in self.stages:
            nn.utils.convert_conv2d_weight_memory_format(stage, torch.channels_last)  # makes bf16 ten times faster
        self.narrow = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1] * 4, 2 * channels[-1]), nn.GELU())
        self.pool = AttentionPooling(2 * channels[-1])
        self.features_dim = 4 * channels[-1]
        self.overview = RidgeMap(self.features_dim, embed_dim) if settings.overview else None
        self.out = nn.Linear(self.features_dim, embed_dim)

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Item features for `embed`: `(batch, features_dim)`"""
        mask = padding_mask(lengths, frames.shape[1])
        maps = frames[mask].view(-1, 1, self.side, self.side)
        centred = maps - maps.mean(dim=(2, 3), keepdim=True)
        maps = centred / (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-3).sqrt()
        if self.training:  # in one pass, so that batch normalisation covers all faces
            faces = self._read(maps)
        else:
            parts = maps.split(FACES_AT_ONCE)
            faces = torch.cat([(self._read(part) + self._read(part.flip(-1))) / 2 for part in parts])
        steps = faces.new_zeros(*frames.shape[:2], faces.shape[-1]).masked_scatter(mask[..., None], faces)
        pooled: Tensor = self.pool(steps, lengths)
        return pooled.to(faces.dtype)

    def embed(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        scaled = features if self.overview is None else self.overview.scaled(features)
        return joined(self.out(features), self.overview, self.overview_share, scaled)

    def _read(self, maps: Tensor) -> Tensor:
        """Standardised faces `(faces, 1, side, side)` -> `(faces, 2 * channels[-1])`"""
        maps = maps.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            maps = stage(maps)
        narrowed: Tensor = self.narrow(nn.functional.adaptive_avg_pool2d(maps, 2).flatten(start_dim=1))
        return narrowed
