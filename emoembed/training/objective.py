"""What training minimises: labels told apart, items drawn to their label, departures from the start held small."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from emoembed.model.scorer import Scorer
from emoembed.reading.rows import EmotionData
from emoembed.training.config import TrainConfig


class Objective:
    """The loss of a batch of rows, as a `TrainConfig` has it.

    Args:
        model: to be trained, on its device.
        data: the training rows.
        config: which parts count, and how much.
    """

    def __init__(self, model: Scorer, data: EmotionData, config: TrainConfig) -> None:
        self.model, self.data, self.config = model, data, config
        self.device = next(model.parameters()).device
        self.features = model.embed(data.labels).to(self.device)
        self.targets = torch.from_numpy(data.targets)
        self.weights = row_weights(data, config.balance)
        self.positive = positive_weights(data).to(self.device) if config.positive_weight else None

    def __call__(self, points: Mapping[str, Tensor], rows: np.ndarray) -> Tensor:
        """The loss of the rows at these positions, of their points by modality."""
        model, config = self.model, self.config
        label_points = model.project(self.features)
        targets, weights = self.targets[rows].to(self.device), self.weights[rows].to(self.device)
        several = self.data.multi_label[rows]
        logits = model.score(points, label_points)
        if len(logits) > 1:
            logits = {**logits, "fused": model.fuse(logits)}
        loss = penalty(model, config)
        for matrix in logits.values():
            loss = loss + label_loss(matrix, targets, several, weights, config, self.positive)
        if config.pull:
            one = torch.from_numpy(~several).to(self.device)
            loss = loss + config.pull * pull(points, label_points, targets, weights * one)
        return loss


def label_loss(
    logits: Tensor,
    targets: Tensor,
    multi_label: np.ndarray,
    weights: Tensor,
    config: TrainConfig,
    positive: Tensor | None = None,
) -> Tensor:
    """Mean loss of the rows that have this modality."""
    here = ~logits[:, 0].isnan()
    several = torch.from_numpy(multi_label).to(here.device) & here
    one = here & ~several
    total = logits.new_zeros(())
    if bool(several.any()):
        known = ~targets[several].isnan()
        each = binary_cross_entropy_with_logits(
            logits[several], targets[several].nan_to_num(0.0), reduction="none", pos_weight=positive
        )
        total = total + ((each * known).sum(dim=1) / known.sum(dim=1).clamp(min=1) * known.shape[1]).sum() / 4
    if bool(one.any()):
        known = ~targets[one].isnan()
        log_probabilities = log_softmax(logits[one].masked_fill(~known, -1e4), dim=1)
        smooth = config.label_smoothing / known.sum(dim=1, keepdim=True)
        goal = targets[one].nan_to_num(0.0) * (1 - config.label_smoothing) + smooth * known
        bears = (targets[one].nan_to_num(0.0) > 0).any(dim=1)
        total = total + (-(goal * log_probabilities).sum(dim=1) * weights[one] * bears).sum()
    return total / here.sum().clamp(min=1)


def pull(points: Mapping[str, Tensor], label_points: Mapping[str, Tensor], targets: Tensor, weights: Tensor) -> Tensor:
    """Mean squared distance of items from their label's point, as ridge regression to label vectors has it.

    Telling seen labels apart may push an item anywhere that is far from the others; unseen labels are placed by how
    near it is to the seen ones' own points.
    """
    total = weights.new_zeros(())
    bears = targets.nan_to_num(0.0)
    goal = bears.argmax(dim=1)
    for name, items in points.items():
        here = ~items[:, 0].isnan() & (bears.sum(dim=1) == 1) & (weights > 0)
        if bool(here.any()):
            distance = (items[here] - label_points[name][goal[here]]).square().sum(dim=1)
            total = total + (distance * weights[here]).sum() / here.sum()
    return total


def penalty(model: Scorer, config: TrainConfig) -> Tensor:
    """What departs from the start, weighed: label projections always, adapted transformers where asked."""
    drift, adapted = model.departures()
    return config.stay_close * drift + config.stay_close_text * adapted


def row_weights(data: EmotionData, balance: float) -> Tensor:
    """Weights of mean one that lift rows of rare labels: (1 / frequency) ** balance."""
    if balance == 0.0:
        return torch.ones(len(data))
    counts = np.nansum(data.targets, axis=0)
    rarity = (1.0 / np.maximum(counts, 1)) ** balance
    weights = np.nan_to_num(data.targets) @ rarity / np.maximum(np.nansum(data.targets, axis=1), 1)
    weights = np.where(weights > 0, weights, weights[weights > 0].mean())
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


def positive_weights(data: EmotionData) -> Tensor:
    """Negatives over positives of each label, `(labels,)`; one where no row bears it."""
    positives, negatives = (data.targets == 1).sum(axis=0), (data.targets == 0).sum(axis=0)
    return torch.from_numpy(np.where(positives > 0, negatives / np.maximum(positives, 1), 1.0).astype(np.float32))
