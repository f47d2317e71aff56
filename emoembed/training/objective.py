"""The training loss: classification, distance of items from their label, and other terms that the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div, log_softmax, normalize

from emoembed.errors import InputError
from emoembed.model.scorer import Scorer
from emoembed.reading.rows import EmotionData
from emoembed.training.config import TrainConfig


class Objective:
    """The loss of a batch of rows, as `TrainConfig` sets it.

    Args:
        model: the model to train, already on its device.
        data: the training rows.
        config: the terms of the loss and their weights.
        teacher: a model whose answers are learned too, if the settings give them a weight.
    """

    def __init__(self, model: Scorer, data: EmotionData, config: TrainConfig, teacher: Teacher | None = None) -> None:
        self.model, self.data, self.config = model, data, config
        self.device = next(model.parameters()).device
        self.features = model.embed(data.labels).to(self.device)
        self.targets = torch.from_numpy(data.targets)
        self.prior = LabelPrior(data).to(self.device) if config.adjust else None
        self.weights = row_weights(data, config.balance)
        self.positive = positive_weights(data).to(self.device) if config.positive_weight else None
        if config.imitate and (teacher is None or not config.lock_labels):
            raise InputError(
                f"imitate={config.imitate} needs a teacher, and lock_labels=True, because names are compared "
                "with label points that stay; give both, or imitate=0"
            )
        self.imitation = Imitation(model, teacher, data.ids) if teacher is not None and config.imitate else None

    def __call__(self, points: Mapping[str, Tensor], rows: np.ndarray) -> Tensor:
        """The loss of the rows at the positions `rows`. `points` has their points by modality."""
        model, config = self.model, self.config
        label_points = model.project(self.features)
        targets, weights = self.targets[rows].to(self.device), self.weights[rows].to(self.device)
        multi_label = self.data.multi_label[rows] & (not config.one_question)
        logits = model.score(points, label_points)
        if len(logits) > 1:
            logits = {**logits, "fused": model.fuse(logits)}
        loss = config.stay_close * model.drift()
        for matrix in logits.values():
            if self.prior is not None:
                matrix = matrix + self.prior(rows)
            loss = loss + label_loss(matrix, targets, multi_label, weights, config, self.positive)
        if config.pull:
            single_label = torch.from_numpy(~multi_label).to(self.device)
            loss = loss + config.pull * pull(points, label_points, targets, weights * single_label)
        if self.imitation is not None:
            loss = loss + config.imitate * self.imitation(points, rows)
        return loss


def label_loss(
    logits: Tensor,
    targets: Tensor,
    multi_label: np.ndarray,
    weights: Tensor,
    config: TrainConfig,
    positive: Tensor | None = None,
) -> Tensor:
    """Mean loss of the rows that have this modality.

    Args:
        logits: `(rows, labels)`; NaN if a row lacks the modality.
        targets: `(rows, labels)`: 1, 0, or NaN if the label was not annotated.
        multi_label: boolean `(rows,)`.
        weights: `(rows,)`, weights of the single-label rows.
        config: has the label smoothing.
        positive: `(labels,)`, weights of the positives in multi-label rows.
    """
    present = ~logits[:, 0].isnan()
    several = torch.from_numpy(multi_label).to(present.device) & present
    single = present & ~several
    total = logits.new_zeros(())
    if bool(several.any()):
        annotated = ~targets[several].isnan()
        losses = binary_cross_entropy_with_logits(
            logits[several], targets[several].nan_to_num(0.0), reduction="none", pos_weight=positive
        )
        counts = annotated.sum(dim=1).clamp(min=1)
        total = total + ((losses * annotated).sum(dim=1) / counts * annotated.shape[1]).sum() / 4
    if bool(single.any()):
        annotated = ~targets[single].isnan()
        log_probabilities = log_softmax(logits[single].masked_fill(~annotated, -1e4), dim=1)
        smooth = config.label_smoothing / annotated.sum(dim=1, keepdim=True)
        labels = targets[single].nan_to_num(0.0)
        shares = labels / labels.sum(dim=1, keepdim=True).clamp(min=1.0)
        goal = shares * (1 - config.label_smoothing) + smooth * annotated
        has_label = (labels > 0).any(dim=1)
        total = total + (-(goal * log_probabilities).sum(dim=1) * weights[single] * has_label).sum()
    return total / present.sum().clamp(min=1)


def pull(points: Mapping[str, Tensor], label_points: Mapping[str, Tensor], targets: Tensor, weights: Tensor) -> Tensor:
    """Mean squared distance of items from the point of their label, as in ridge regression to label vectors.

    Cross-entropy alone only moves an item away from the other seen labels. This term moves it to its own label's
    point, which recognition of unseen labels relies on.
    """
    total = weights.new_zeros(())
    labels = targets.nan_to_num(0.0)
    goal = labels.argmax(dim=1)
    for name, items in points.items():
        rows = ~items[:, 0].isnan() & (labels.sum(dim=1) == 1) & (weights > 0)
        if bool(rows.any()):
            distance = (items[rows] - label_points[name][goal[rows]]).square().sum(dim=1)
            total = total + (distance * weights[rows]).sum() / rows.sum()
    return total


def row_weights(data: EmotionData, balance: float) -> Tensor:
    """Row weights (1 / label frequency) ** balance, scaled to mean 1. Rows with rare labels get larger weights."""
    if balance == 0.0:
        return torch.ones(len(data))
    counts = np.nansum(data.targets, axis=0)
    rarity = (1.0 / np.maximum(counts, 1)) ** balance
    weights = np.nan_to_num(data.targets) @ rarity / np.maximum(np.nansum(data.targets, axis=1), 1)
    weights = np.where(weights > 0, weights, weights[weights > 0].mean())
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


def positive_weights(data: EmotionData) -> Tensor:
    """Number of negatives divided by number of positives of each label, `(labels,)`; 1 if no row has the label."""
    positives, negatives = (data.targets == 1).sum(axis=0), (data.targets == 0).sum(axis=0)
    return torch.from_numpy(np.where(positives > 0, negatives / np.maximum(positives, 1), 1.0).astype(np.float32))


class LabelPrior:
    """The logarithm of each label's frequency in the corpus of a row, for logit adjustment (Menon et al. 2021).

    The corpus of a row is the part of its id before the first `/`. The frequencies of labels that a corpus does not
    annotate are 0 on this scale.
    """

    def __init__(self, data: EmotionData) -> None:
        names, corpus = np.unique([row.partition("/")[0] for row in data.ids], return_inverse=True)
        logs = np.zeros((len(names), len(data.labels)), dtype=np.float32)
        for index in range(len(names)):
            targets = data.targets[corpus == index]
            annotated = ~np.isnan(targets).all(axis=0)
            counts = np.nansum(targets[:, annotated], axis=0) + 1.0
            logs[index, annotated] = np.log(counts / counts.sum())
        self.corpus, self.logs = torch.from_numpy(corpus), torch.from_numpy(logs)

    def to(self, device: torch.device) -> LabelPrior:
        """Move the frequencies to a device."""
        self.logs = self.logs.to(device)
        return self

    def __call__(self, rows: np.ndarray) -> Tensor:
        """`(rows,)` positions -> `(rows, labels)`"""
        return self.logs[self.corpus[rows].to(self.logs.device)]


SHARPNESS = 20.0
"""Factor from cosine to logit."""


@dataclass(frozen=True)
class Teacher:
    """The answers of a larger model for training rows of one modality: how similar each row is to names of feelings.

    The spaces of the two models need not have the same dimension, because only distances to names are compared.

    Args:
        modality: the modality that learns.
        points: row id -> the teacher's point of the item `(dim,)`.
        names: names of feelings, with which each item is compared. No two are the same emotion.
        label_points: the teacher's points of these names `(names, dim)`.
    """

    modality: str
    points: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    label_points: Tensor


class Imitation:
    """The divergence of a model's answers from those of a teacher.

    Args:
        model: the model that learns. Its label projections are locked, because their points are read once.
        teacher: has answers for all rows.
        ids: the ids of the training rows.

    Raises:
        InputError: the teacher has no answer for a row.
    """

    def __init__(self, model: Scorer, teacher: Teacher, ids: Sequence[str]) -> None:
        missing = [row for row in ids if row not in teacher.points]
        if missing:
            raise InputError(
                f"the teacher has no point for {len(missing)} of {len(ids)} training rows, such as {missing[0]!r}"
            )
        self.modality, self.dim = teacher.modality, model.config.modalities[teacher.modality].embed_dim
        device = next(model.parameters()).device
        self.goals = torch.from_numpy(np.stack([teacher.points[row] for row in ids])).to(device)
        self.of_teacher = centred(teacher.label_points.to(device))
        with torch.no_grad():
            points = model.project(model.embed(teacher.names).to(device))[self.modality]
        self.of_model = centred(points[:, : self.dim])

    def __call__(self, points: Mapping[str, Tensor], rows: np.ndarray) -> Tensor:
        """The mean divergence of the rows at the positions `rows`. `points` has their points by modality."""
        items, goals = points[self.modality][:, : self.dim], self.goals[torch.from_numpy(rows)].float()
        present = ~items[:, 0].isnan()
        if not bool(present.any()):
            return items.new_zeros(())
        return divergence(items[present], self.of_model, goals[present], self.of_teacher)


def centred(label_points: Tensor) -> Tensor:
    """Label points `(labels, dim)` without their mean, with norm 1, so that no name is near every item."""
    return normalize(label_points - label_points.mean(dim=0), dim=-1)


def divergence(points: Tensor, label_points: Tensor, of_teacher: Tensor, labels_of_teacher: Tensor) -> Tensor:
    """Divergence of the distribution of items over labels from the teacher's, mean over the items.

    Args:
        points: of items `(items, dim)`.
        label_points: `(labels, dim)`.
        of_teacher: the teacher's points of the same items `(items, teacher_dim)`.
        labels_of_teacher: the teacher's points of the same labels `(labels, teacher_dim)`.
    """
    answers = log_softmax(SHARPNESS * normalize(points.float(), dim=-1) @ label_points.T, dim=1)
    goals = log_softmax(SHARPNESS * normalize(of_teacher, dim=-1) @ labels_of_teacher.T, dim=1)
    return kl_div(answers, goals, reduction="batchmean", log_target=True)
