"""What every encoder is: a padded batch of feature arrays and its lengths -> one point per item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn


@dataclass(frozen=True)
class Settings:
    """What an encoder is built by, beside the sizes of its input and of its space. Each encoder has its own."""


class Encoder(nn.Module):
    """From frames to what is known of an item, and from there to a point.

    An encoder masks padding itself: what stands behind an item's length never reaches the result. It is built as
    `TheEncoder(feature_dim, embed_dim, settings)`; a checkpoint keeps the settings.

    Attributes:
        features_dim: size of what `read` gives.
    """

    settings_type: ClassVar[type[Settings]]
    features_dim: int

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> what is known of each item `(batch, features_dim)`"""
        raise NotImplementedError

    def place(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        raise NotImplementedError

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)`, `(batch,)` -> `(batch, embed_dim)`"""
        return self.place(self.read(frames, lengths))
