"""What training trains and evaluation scores: items and labels in one space a modality, and logits between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from emoembed.labels.emotion import Labels

Batch = Mapping[str, tuple[Tensor, Tensor]]
"""Modality -> frames `(batch, time, feature_dim)` and lengths `(batch,)`; length 0 means the item lacks it."""


class Scorer(nn.Module):
    """A model that scores labels it is given by name.

    `EmotionModel` is one; the others are what it is compared with. Points of items and of labels come by modality,
    rows of an item that lacks it are NaN.
    """

    config: Any  # has `modalities`: name -> `ModalityConfig`

    def embed(self, labels: Labels) -> Tensor:
        """Labels -> their features `(labels, label_dim)`. Raises LabelError as `labels.emotion.resolve` does."""
        raise NotImplementedError

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Points of items by modality, `(batch, point_dim)`."""
        raise NotImplementedError

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Features of labels -> their points by modality, `(labels, point_dim)`."""
        raise NotImplementedError

    def score(self, points: Mapping[str, Tensor], label_points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits by modality, `(batch, labels)`."""
        raise NotImplementedError

    def fuse(self, logits: Mapping[str, Tensor]) -> Tensor:
        """Logits of all modalities an item has, `(batch, labels)`."""
        raise NotImplementedError

    def label_points(self, labels: Labels) -> dict[str, Tensor]:
        """As `project`, of labels by name."""
        return self.project(self.embed(labels).to(next(self.parameters()).device))

    def forward(self, batch: Batch, features: Tensor) -> Tensor:
        """A batch and features of labels `(labels, label_dim)` -> fused logits `(batch, labels)`."""
        return self.fuse(self.score(self.encode(batch), self.project(features)))

    def label_parameters(self) -> list[nn.Parameter]:
        """Parameters that place labels and no items; none by default."""
        return []

    def departures(self) -> tuple[Tensor, Tensor]:
        """How far label projections and adapted transformers lie from their start; without them nothing does."""
        nothing = torch.zeros((), device=next(self.parameters()).device)
        return nothing, nothing
