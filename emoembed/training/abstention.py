"""Abstention: the confidence thresholds below which a model answers "none of these"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emoembed.model.calibration import RISKS, confidence
from emoembed.model.model import EmotionModel

LISTS = 64
"""Number of random label lists that each validation row is scored with. Of eight labels, a few are recognised far
better than the others. With few lists, the thresholds would depend on which labels are drawn."""


@dataclass(frozen=True)
class Scored:
    """Scored rows of a corpus in one modality.

    Args:
        logits: `(rows, labels)`; NaN where a row lacks the modality.
        targets: `(rows, labels)`: 1, 0, or NaN if the label was not annotated.
        label_points: `(labels, point_dim)`.
    """

    logits: Tensor
    targets: Tensor
    label_points: Tensor

    def of_one_label(self) -> tuple[Tensor, Tensor]:
        """Logits and targets of the rows with exactly one label."""
        rows = (self.targets.nansum(dim=1) == 1) & ~self.targets.isnan().any(dim=1) & ~self.logits[:, 0].isnan()
        return self.logits[rows], self.targets[rows]


def fit_thresholds(model: EmotionModel, modality: str, corpora: Sequence[Scored]) -> Tensor:
    """For each of `RISKS`, the lowest confidence above which at most this share of answers is wrong, `(risks,)`.

    The rows are scored with random lists of the labels of their corpus. A list may lack the right label of a row; any
    answer to such a list is wrong. Lists with and without the right label have the same total weight, and so have the
    corpora. This is selective classification (Geifman & El-Yaniv 2017), extended to lists that may lack the right
    answer.
    """
    parts = [_answers(model, modality, part) for part in corpora]
    confidences, wrong, weights = (torch.cat(column) for column in zip(*parts, strict=True))
    return risk_thresholds(confidences, wrong, weights)


def _answers(model: EmotionModel, modality: str, part: Scored) -> tuple[Tensor, Tensor, Tensor]:
    """Confidence, error and weight of the answers to random lists, for one corpus."""
    trust = model.label_trust({modality: part.label_points})
    scaled = {
        multi_label: model.calibrated({modality: part.logits}, trust, multi_label=multi_label)[modality]
        for multi_label in (False, True)
    }
    rows = (~part.targets.isnan()).all(dim=1) & (part.targets == 1).any(dim=1) & ~part.logits[:, 0].isnan()
    targets = part.targets[rows]
    confidences, wrong, answerable = [], [], []
    for columns in map(torch.from_numpy, lists(targets.shape[1], seed=0)):
        softmax, sigmoid = scaled[False][rows][:, columns].softmax(dim=1), scaled[True][rows][:, columns].sigmoid()
        answers = softmax.argmax(dim=1, keepdim=True)
        confidences.append(confidence(softmax, sigmoid))
        wrong.append(targets[:, columns].gather(1, answers)[:, 0] != 1)
        answerable.append((targets[:, columns] == 1).any(dim=1))
    weights = halves(torch.cat(answerable))
    return torch.cat(confidences), torch.cat(wrong), weights / weights.sum().clamp(min=1e-9)


def lists(labels: int, seed: int) -> Iterator[np.ndarray]:
    """`LISTS` random lists of label columns.

    Each list has at least two labels and at most half of all labels. If there are only two labels, it has one or both.
    """
    draw = np.random.default_rng(seed)
    for _ in range(LISTS):
        size = int(draw.integers(max(min(2, labels - 1), 1), max(labels // 2, 2) + 1))
        yield draw.permutation(labels)[:size]


def halves(answerable: Tensor) -> Tensor:
    """Weights `(questions,)` that give questions with and without a right answer the same total weight.

    `answerable` says for each question whether its list contains a right answer.
    """
    share = answerable.double().mean().clamp(1e-9, 1 - 1e-9)
    return torch.where(answerable, 0.5 / share, 0.5 / (1 - share))


def risk_thresholds(confidences: Tensor, wrong: Tensor, counts: Tensor | None = None) -> Tensor:
    """For each of `RISKS`, the lowest confidence above which at most this share of answers is wrong, `(risks,)`.

    If no confidence is high enough, the threshold is above 1, so that nothing is answered.

    Args:
        confidences: `(answers,)`.
        wrong: boolean `(answers,)`.
        counts: weight of each answer `(answers,)`; equal by default.
    """
    order = confidences.argsort(descending=True, stable=True)
    counts = torch.ones(len(order)).double() if counts is None else counts.double()
    share = (wrong * counts)[order].cumsum(dim=0) / counts[order].cumsum(dim=0)
    thresholds = []
    for risk in RISKS:
        positions = (share <= risk).nonzero()
        thresholds.append(float(confidences[order][positions[-1, 0]]) if len(positions) else 1.01)
    return torch.tensor(thresholds)
