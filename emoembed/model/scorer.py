"""The interface of models for training and evaluation: item points, label points and logits per modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from emoembed.labels.emotion import Labels

Batch = Mapping[str, tuple[Tensor, Tensor]]
"""Modality -> frames `(batch, time, feature_dim)` and lengths `(batch,)`; length 0 means that the item lacks it."""


class Scorer(nn.Module):
    """A model that scores labels given by name.

    `EmotionModel` has this interface, and so have the baselines. Items and labels have points in each modality. If an
    item lacks a modality, its row is NaN.
    """

    config: Any  # has `modalities`: name -> `ModalityConfig`

    def embed(self, labels: Labels) -> Tensor:
        """Labels -> label features `(labels, label_dim)`. Raises LabelError as `labels.emotion.resolve` does."""
        raise NotImplementedError

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Modality -> points of items, `(batch, point_dim)`."""
        raise NotImplementedError

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Label features -> label points by modality, `(labels, point_dim)`."""
        raise NotImplementedError

    def score(self, points: Mapping[str, Tensor], label_points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modality -> logits, `(batch, labels)`."""
        raise NotImplementedError

    def fuse(self, logits: Mapping[str, Tensor]) -> Tensor:
        """Logits fused over the modalities that an item has, `(batch, labels)`."""
        raise NotImplementedError

    def label_points(self, labels: Labels) -> dict[str, Tensor]:
        """Labels by name -> label points by modality, `(labels, point_dim)`."""
        return self.project(self.embed(labels).to(next(self.parameters()).device))

    def forward(self, batch: Batch, features: Tensor) -> Tensor:
        """A batch and label features `(labels, label_dim)` -> fused logits `(batch, labels)`."""
        return self.fuse(self.score(self.encode(batch), self.project(features)))

    def label_parameters(self) -> list[nn.Parameter]:
        """Parameters that change label points but no item points; none by default."""
        return []

    def drift(self) -> Tensor:
        """Squared distance of the label projections from their initial weights; zero for a model without them."""
        return torch.zeros((), device=next(self.parameters()).device)
