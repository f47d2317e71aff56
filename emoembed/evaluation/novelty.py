"""What to expect of labels never seen, from seen ones held out in turn (pseudo-unseen).

A label held out is one no part of its model saw. How well it is told and how its scores are off are set against how
near the nearest label seen is; the straight lines through them go into the shipped model (`reliability.Reliability`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from emoembed.errors import InputError
from emoembed.evaluation import metrics
from emoembed.evaluation.calibration import calibrate
from emoembed.evaluation.held_out import Fold
from emoembed.features.store import write_atomically
from emoembed.model import EmotionModel
from emoembed.train import encode_rows

FILE = "held-out-{}.csv"
"""Where a modality's held-out labels are kept, in the cache folder: written by `benchmarks/report.py --full`."""
OFFSETS = torch.linspace(-6.0, 6.0, 121)


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


def measure(model: EmotionModel, fold: Fold, label: str) -> HeldOut:
    """Calibrate a model trained without a label on validation rows without it, and look at those with it."""
    (modality,) = model.modalities
    seen = [other for other in fold.train.labels if other != label]
    model.saw({modality: seen})
    calibrate(model, modality, fold.valid.without((label,)))
    labels = (*seen, label)
    points = model.label_points(labels)
    rows = fold.valid.columns(labels)
    encoded = {modality: encode_rows(model, rows)[modality].clone()}
    raw = model.score(encoded, points)
    bears = torch.from_numpy(rows.targets)
    softmax, sigmoid = (
        model.calibrated(raw, points, multi_label=several)[modality].detach() for several in (False, True)
    )
    several = bool(rows.multi_label.all())
    ranks = sigmoid if several else softmax.log_softmax(dim=1)
    return HeldOut(
        label,
        float(model.trust(modality).nearest(points[modality][-1:])),
        metrics.auc(ranks[:, -1].numpy(), rows.targets[:, -1] == 1),
        _missing(softmax, bears, softmax=True),
        _missing(sigmoid, bears, softmax=False),
    )


def apply(model: EmotionModel, modality: str, found: Sequence[HeldOut]) -> None:
    """Set what a model expects of labels its modality never saw.

    Raises:
        InputError: fewer than three labels were held out.
    """
    if len(found) < 3:
        raise InputError(f"three held-out labels at least tell what to expect of new ones; given {len(found)}")
    distance = np.array([1.0 - one.nearest for one in found])
    trust = model.trust(modality)
    for place, name in ((1, "softmax_offset"), (3, "sigmoid_offset")):
        off = np.array([getattr(one, name) for one in found])
        trust.novelty[place] = float(distance @ off / max(distance @ distance, 1e-9))
    nearest, aucs = 1.0 - distance, np.array([one.auc for one in found])
    centred = nearest - nearest.mean()
    # a prior as heavy as three labels keeps the line level where the cosines hardly differ
    slope = float(centred @ aucs / (centred @ centred + 3 * 0.1**2))
    start = float(aucs.mean() - slope * nearest.mean())
    error = float(np.sqrt(np.mean((aucs - start - slope * nearest) ** 2) * len(found) / (len(found) - 2)))
    trust.expected.copy_(torch.tensor([start, slope, error]))
    trust.trust[-1] = max(2.0 * float(aucs.mean()) - 1.0, 0.05)


def write(found: Sequence[HeldOut], folder: Path, modality: str) -> None:
    """Keep what was found for `build`."""
    table = pd.DataFrame([asdict(one) for one in found])
    write_atomically(folder / FILE.format(modality), table.to_csv(index=False).encode())


def read(folder: Path, modality: str) -> list[HeldOut]:
    """What `write` kept; nothing where there is nothing."""
    path = folder / FILE.format(modality)
    if not path.is_file():
        return []
    table = pd.read_csv(path)
    numbers = table[["nearest", "auc", "softmax_offset", "sigmoid_offset"]].to_numpy(np.float64).tolist()
    return [HeldOut(str(label), *row) for label, row in zip(table["label"], numbers, strict=True)]


def _missing(logits: Tensor, bears: Tensor, *, softmax: bool) -> float:
    """The offset of the last label with the likeliest probabilities, a prior as heavy as one row keeping it near 0."""
    losses = []
    for offset in OFFSETS:
        moved = torch.cat([logits[:, :-1], logits[:, -1:] + offset], dim=1)
        if softmax:
            one = bears.sum(dim=1) == 1
            loss = cross_entropy(moved[one], bears[one].argmax(dim=1))
        else:
            loss = binary_cross_entropy_with_logits(moved[:, -1], bears[:, -1])
        losses.append(float(loss + (offset / 10).square() / len(logits)))
    return float(OFFSETS[int(np.argmin(losses))])
