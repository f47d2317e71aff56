"""Expected AUC and logit offsets of unseen labels, estimated from labels held out in turn (pseudo-unseen)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emoembed.errors import InputError
from emoembed.model.calibration import newness
from emoembed.model.model import EmotionModel

FILE = "held-out.csv"
"""File of held-out results in the report folder of a modality. `benchmarks/report.py` writes it."""
PRIOR_LABELS = 8
"""Number of imaginary held-out labels with offset 0, because a user may give labels that no item has."""


@dataclass(frozen=True)
class HeldOut:
    """One label held out of the training of one model."""

    label: str
    nearest: float
    """Cosine with the nearest seen label of the model."""
    auc: float
    softmax_offset: float
    """Offset of its logit that maximises the softmax likelihood, with the seen labels as the other labels."""
    sigmoid_offset: float
    """Offset of its logit that maximises the sigmoid likelihood."""
    softmax_certainty: float = 1.0
    """Curvature of the log likelihood at `softmax_offset`: how sharply the likelihood falls around it."""
    sigmoid_certainty: float = 1.0

    @property
    def newness(self) -> float:
        """How new the label was to the model, 0 to 1."""
        return float(newness(torch.tensor(self.nearest)))


def lacking(found: Sequence[HeldOut], kind: str) -> float:
    """Logit offset of an entirely new label. Other labels get a share of it, proportional to their newness.

    The estimate is a least-squares line through zero. The weight of a held-out label is the certainty of its offset. To
    second order, this is the maximum likelihood estimate from all rows together. `PRIOR_LABELS` shrink the estimate if
    few labels were held out. Without this prior, eight labels that all occur would give an offset with which any
    distant name wins.

    Args:
        found: the labels held out.
        kind: `softmax` or `sigmoid`.
    """
    shares = np.array([held_out.newness for held_out in found])
    offsets, certainties = (
        np.array([getattr(held_out, f"{kind}_{name}") for held_out in found]) for name in ("offset", "certainty")
    )
    labels = len({held_out.label for held_out in found})
    offset = float((certainties * shares) @ offsets / max((certainties * shares) @ shares, 1e-9))
    return labels / (labels + PRIOR_LABELS) * offset


def apply(model: EmotionModel, modality: str, found: Sequence[HeldOut]) -> None:
    """Set the expected AUC and logit offsets of unseen labels in one modality of a model.

    Raises:
        InputError: fewer than three labels were held out.
    """
    labels = {held_out.label for held_out in found}
    if len(labels) < 3:
        raise InputError(f"estimating unseen labels needs at least three held-out labels; given {len(labels)}")
    calibration = model.modality(modality).calibration
    calibration.novelty.copy_(torch.tensor([lacking(found, kind) for kind in ("softmax", "sigmoid")]))
    nearest, aucs = (np.array([getattr(held_out, name) for held_out in found]) for name in ("nearest", "auc"))
    centred = nearest - nearest.mean()
    # a prior with the weight of three labels keeps the slope near 0 if the cosines hardly differ
    slope = float(centred @ aucs / (centred @ centred + 3 * 0.1**2))
    intercept = float(aucs.mean() - slope * nearest.mean())
    error = float(np.sqrt(np.mean((aucs - intercept - slope * nearest) ** 2) * len(found) / (len(found) - 2)))
    calibration.expected.copy_(torch.tensor([intercept, slope, error]))
    calibration.trust[-1] = max(2.0 * float(aucs.mean()) - 1.0, 0.05)
