"""When to answer "none of these": thresholds of confidence for a share of wrong answers one can live with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from emoembed.model.calibration import RISKS, confidence
from emoembed.model.model import EmotionModel

LISTS = 64
"""Random lists of labels each validation row is asked with: of eight labels a few are told far better than others, and
with few lists the thresholds went by which of them were drawn."""


def fit_thresholds(model: EmotionModel, modality: str, logits: Tensor, targets: Tensor, label_points: Tensor) -> Tensor:
    """The confidence from which on answers are wrong no more often than each of `RISKS`.

    Rows are asked with random lists of labels, and those that hold none they bear count as much in all as the others:
    an answer to such a list is wrong (selective classification, Geifman & El-Yaniv 2017, with lists that may lack the
    right answer).
    """
    known = model.label_trust({modality: label_points})
    scaled = {
        several: model.calibrated({modality: logits}, known, multi_label=several)[modality] for several in (False, True)
    }
    rows = (~targets.isnan()).all(dim=1) & (targets == 1).any(dim=1) & ~logits[:, 0].isnan()
    confidences, wrong, there = [], [], []
    for asked in map(torch.from_numpy, lists(targets.shape[1], seed=0)):
        softmax, sigmoid = scaled[False][rows][:, asked].softmax(dim=1), scaled[True][rows][:, asked].sigmoid()
        answered = softmax.argmax(dim=1, keepdim=True)
        confidences.append(confidence(softmax, sigmoid))
        wrong.append(targets[rows][:, asked].gather(1, answered)[:, 0] != 1)
        there.append((targets[rows][:, asked] == 1).any(dim=1))
    return risk_thresholds(torch.cat(confidences), torch.cat(wrong), halves(torch.cat(there)))


def lists(labels: int, seed: int) -> Iterator[np.ndarray]:
    """Columns of so many labels, in `LISTS` random lists of at most half of them, or of two."""
    draw = np.random.default_rng(seed)
    for _ in range(LISTS):
        size = int(draw.integers(max(min(2, labels - 1), 1), max(labels // 2, 2) + 1))
        yield draw.permutation(labels)[:size]


def halves(there: Tensor) -> Tensor:
    """How much each question counts, `(questions,)`: those whose list holds a right answer half in all, others half."""
    share = there.double().mean().clamp(1e-9, 1 - 1e-9)
    return torch.where(there, 0.5 / share, 0.5 / (1 - share))


def risk_thresholds(confidences: Tensor, wrong: Tensor, counts: Tensor | None = None) -> Tensor:
    """For each of `RISKS` the least confidence from which on at most that share of answers is wrong, `(risks,)`.

    Above 1, so that nothing is answered, where no confidence is high enough.

    Args:
        confidences: `(answers,)`.
        wrong: boolean `(answers,)`.
        counts: how much each answer counts `(answers,)`; all alike by default.
    """
    order = confidences.argsort(descending=True, stable=True)
    counts = torch.ones(len(order)).double() if counts is None else counts.double()
    share = (wrong * counts)[order].cumsum(dim=0) / counts[order].cumsum(dim=0)
    found = []
    for risk in RISKS:
        kept = (share <= risk).nonzero()
        found.append(float(confidences[order][kept[-1, 0]]) if len(kept) else 1.01)
    return torch.tensor(found)
