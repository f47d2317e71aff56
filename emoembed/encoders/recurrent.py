"""Encoders of sequences of feature vectors: bidirectional recurrent networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.layers import (
    AttentionPooling,
    Standardize,
    padding_mask,
    run_recurrent,
)
from emoembed.errors import InputError


@dataclass(frozen=True)
class RecurrentSettings(Settings):
    """Size of the recurrent network."""

    hidden: int = 128
    layers: int = 1
    cell: Literal["gru", "lstm"] = "gru"
    dropout: float = 0.2


class RecurrentEncoder(Encoder):
    """Bidirectional LSTM or GRU with attention pooling.

    Dai et al. 2020 (section 3.1) read the last step of a padded sequence instead. At that step the backward state has
    seen only one step, and their padding is not masked.
    """

    settings_type = RecurrentSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: RecurrentSettings | None = None) -> None:
        super().__init__()
        settings = settings or RecurrentSettings()
        hidden, layers, dropout = settings.hidden, settings.layers, settings.dropout
        self.standardize = Standardize(feature_dim)
        recurrent = {"gru": nn.GRU, "lstm": nn.LSTM}[settings.cell]
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

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Item features for `embed`: `(batch, features_dim)`"""
        steps = run_recurrent(self.recurrent, self.standardize(frames, lengths), lengths)
        pooled: Tensor = self.pool(steps, lengths)
        return pooled

    def embed(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        point: Tensor = self.out(features)
        return point


class WordEncoder(RecurrentEncoder):
    """For word vectors from the label space: their mean, plus a recurrent correction that starts small.

    Before training, it scores about as the untrained baseline does: by the cosine between the mean word vector and
    the label's word vector. This gives unseen labels a useful start, as a sentence encoder does.
    """

    def __init__(self, feature_dim: int, embed_dim: int, settings: RecurrentSettings | None = None) -> None:
        if feature_dim != embed_dim:
            raise InputError(f"embed_dim must equal the size of the word vectors, {feature_dim}; given {embed_dim}")
        super().__init__(feature_dim, embed_dim, settings)
        self.gate = nn.Parameter(torch.tensor(0.1))
        self.features_dim += feature_dim

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """The recurrent network's features and the mean word vector: `(batch, features_dim)`"""
        mask = padding_mask(lengths, frames.shape[1])[..., None]
        mean = frames.masked_fill(~mask, 0.0).sum(dim=1) / lengths[:, None] - self.standardize.mean
        return torch.cat([super().read(frames, lengths).to(mean.dtype), normalize(mean, dim=-1)], dim=1)

    def embed(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        mean = features[:, -self.standardize.mean.shape[0] :]
        return mean + self.gate * super().embed(features[:, : -mean.shape[1]])
