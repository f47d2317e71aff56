"""Base class of encoders: a padded batch of feature arrays and its lengths -> one point per item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True)
class Settings:
    """Settings of an encoder besides `feature_dim` and `embed_dim`. Each encoder has its own subclass."""


class Encoder(nn.Module):
    """Maps frames to item features (`read`), and item features to a point (`embed`).

    An encoder masks padding itself: frames beyond an item's length do not change the result. Every encoder is built
    as `TheEncoder(feature_dim, embed_dim, settings)`; a checkpoint stores the settings. `model.config.ENCODERS` names
    every encoder.

    Attributes:
        features_dim: size of the item features that `read` returns.
    """

    settings_type: ClassVar[type[Settings]]
    features_dim: int

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> item features `(batch, features_dim)`"""
        raise NotImplementedError

    def embed(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        raise NotImplementedError

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        return self.embed(self.read(frames, lengths))
