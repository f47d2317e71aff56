"""When to answer "none of these": thresholds of confidence for a share of wrong answers one can live with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from emoembed.model import EmotionModel
from emoembed.reliability import RISKS, confidence

LISTS = 8
"""Random lists of labels each validation row is asked with."""


def fit_thresholds(model: EmotionModel, modality: str, logits: Tensor, targets: Tensor, label_points: Tensor) -> Tensor:
    """The confidence from which on answers are wrong no more often than each of `RISKS`.

    Rows are asked with random lists of labels, half of which hold none they bear: an answer to such a list is wrong
    (selective classification, Geifman & El-Yaniv 2017, with lists that may lack the right answer).
    """
    draw = np.random.default_rng(0)
    known = model.label_trust({modality: label_points})
    scaled = {
        several: model.calibrated({modality: logits}, known, multi_label=several)[modality] for several in (False, True)
    }
    rows = (~targets.isnan()).all(dim=1) & (targets == 1).any(dim=1) & ~logits[:, 0].isnan()
    confidences, wrong = [], []
    for _ in range(LISTS):
        size = int(draw.integers(2, max(targets.shape[1] // 2, 2) + 1))
        asked = torch.from_numpy(draw.permutation(targets.shape[1])[:size])
        softmax, sigmoid = scaled[False][rows][:, asked].softmax(dim=1), scaled[True][rows][:, asked].sigmoid()
        answered = softmax.argmax(dim=1, keepdim=True)
        confidences.append(confidence(softmax, sigmoid))
        wrong.append(targets[rows][:, asked].gather(1, answered)[:, 0] != 1)
    return risk_thresholds(torch.cat(confidences), torch.cat(wrong))


def risk_thresholds(confidences: Tensor, wrong: Tensor) -> Tensor:
    """For each of `RISKS` the least confidence from which on at most that share of answers is wrong, `(risks,)`.

    Above 1, so that nothing is answered, where no confidence is high enough.
    """
    order = confidences.argsort(descending=True, stable=True)
    share = wrong[order].float().cumsum(dim=0) / torch.arange(1, len(order) + 1)
    found = []
    for risk in RISKS:
        kept = (share <= risk).nonzero()
        found.append(float(confidences[order][kept[-1, 0]]) if len(kept) else 1.01)
    return torch.tensor(found)
