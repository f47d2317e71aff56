"""What a model expects of labels it never saw, from labels held out in turn (pseudo-unseen)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emoembed.errors import InputError
from emoembed.model.calibration import newness
from emoembed.model.model import EmotionModel

FILE = "held-out.csv"
"""Where held-out labels are kept, in a modality's folder of reports: written by `benchmarks/report.py`."""
PRIOR_LABELS = 8
"""How many labels that lack nothing count beside those held out: a user may name what no item bears."""


@dataclass(frozen=True)
class HeldOut:
    """One label held out of one model."""

    label: str
    nearest: float
    """Cosine with the nearest label the model saw."""
    auc: float
    softmax_offset: float
    """What its logit lacks among the labels seen, for the likeliest probabilities."""
    sigmoid_offset: float
    """The same of the probability of its own."""
    softmax_certainty: float = 1.0
    """How sharply the likelihood falls beside that offset: its curvature."""
    sigmoid_certainty: float = 1.0

    @property
    def newness(self) -> float:
        """How new it was to the model, 0 to 1."""
        return float(newness(torch.tensor(self.nearest)))


def lacking(found: Sequence[HeldOut], kind: str) -> float:
    """What the logit of a quite new label lacks; of others, their newness's share of it.

    Least squares through zero, each label counting by how certain its offset is: the likeliest for all of their rows
    together, to second order. `PRIOR_LABELS` keep it low where few labels were held out, for what is right of eight
    labels that all occur lets any far name win.

    Args:
        found: the labels held out.
        kind: `softmax` or `sigmoid`.
    """
    new = np.array([one.newness for one in found])
    off, certain = (np.array([getattr(one, f"{kind}_{name}") for one in found]) for name in ("offset", "certainty"))
    labels = len({one.label for one in found})
    return labels / (labels + PRIOR_LABELS) * float((certain * new) @ off / max((certain * new) @ new, 1e-9))


def apply(model: EmotionModel, modality: str, found: Sequence[HeldOut]) -> None:
    """Set what a model expects of labels its modality never saw.

    Raises:
        InputError: fewer than three labels were held out.
    """
    labels = {one.label for one in found}
    if len(labels) < 3:
        raise InputError(f"three held-out labels at least tell what to expect of new ones; given {len(labels)}")
    trust = model.modality(modality).calibration
    for place, kind in ((1, "softmax"), (3, "sigmoid")):
        trust.novelty[place] = lacking(found, kind)
    nearest, aucs = (np.array([getattr(one, name) for one in found]) for name in ("nearest", "auc"))
    centred = nearest - nearest.mean()
    # a prior as heavy as three labels keeps the line level where the cosines hardly differ
    slope = float(centred @ aucs / (centred @ centred + 3 * 0.1**2))
    start = float(aucs.mean() - slope * nearest.mean())
    error = float(np.sqrt(np.mean((aucs - start - slope * nearest) ** 2) * len(found) / (len(found) - 2)))
    trust.expected.copy_(torch.tensor([start, slope, error]))
    trust.trust[-1] = max(2.0 * float(aucs.mean()) - 1.0, 0.05)
