"""Estimate how well unseen labels will work, from seen labels held out in turn (pseudo-unseen labels).

No part of a model has seen its held-out label. The study relates two measures of each held-out label, its AUC and the
offset of its scores, to the cosine with the nearest seen label. The shipped model stores the result
(`model.calibration.Reliability`).
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

from emoembed import metrics
from emoembed.evaluation import zero_shot
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.zero_shot import Encoded
from emoembed.features.atomic import write_file
from emoembed.model.expectation import FILE, HeldOut, lacking
from emoembed.model.model import EmotionModel
from emoembed.training.calibrate import calibrate
from emoembed.training.loop import picked

OFFSETS = torch.linspace(-6.0, 6.0, 121)
STEP = 5
"""Places of `OFFSETS` to either side by which the curvature of a loss is measured."""


@dataclass(frozen=True)
class Scores:
    """What a model trained without a label says of rows, calibrated on the labels it saw."""

    softmax: Tensor
    """Logits among the labels `(rows, labels)`, the label held out last."""
    sigmoid: Tensor
    """Logits of each label by itself, likewise."""
    bears: Tensor
    """Which labels the rows bear, likewise."""
    several: bool
    """Whether labels occur together."""


def score(
    model: EmotionModel, fold: Fold, label: str, modality: str, split: str = "valid", encoded: Encoded | None = None
) -> Scores:
    """Calibrate one modality of a model trained without a label on validation rows without it, and score rows.

    `encoded` is what `zero_shot.encode` says of the fold, where the caller has it already.
    """
    encoded = encoded or zero_shot.encode(model, fold, split)
    seen = [other for other in fold.train.labels if other != label]
    model = model.with_seen({modality: seen})
    without = fold.valid.without((label,))
    calibrate(model, modality, without, points=picked(encoded["valid"], fold.valid, without)[modality])
    labels = (*seen, label)
    points = model.label_points(labels)
    rows = fold.part(split).columns(labels)
    trust = model.label_trust(points)
    raw = model.score({modality: encoded[split][modality].clone()}, points, trust)
    softmax, sigmoid = (
        model.calibrated(raw, trust, multi_label=several)[modality].detach() for several in (False, True)
    )
    return Scores(softmax, sigmoid, torch.from_numpy(rows.targets), bool(rows.multi_label.all()))


def measure(model: EmotionModel, fold: Fold, label: str, modality: str, encoded: Encoded | None = None) -> HeldOut:
    """Compare the scores of a held-out label on validation rows with the calibration fitted on the other labels."""
    scores = score(model, fold, label, modality, encoded=encoded)
    ranks = scores.sigmoid if scores.several else scores.softmax.log_softmax(dim=1)
    softmax = _missing(scores.softmax, scores.bears, softmax=True)
    sigmoid = _missing(scores.sigmoid, scores.bears, softmax=False)
    return HeldOut(
        label,
        float(model.modality(modality).calibration.nearest(model.label_points((label,))[modality].detach())),
        metrics.auc(ranks[:, -1].numpy(), scores.bears[:, -1].numpy() == 1),
        softmax[0],
        sigmoid[0],
        softmax[1],
        sigmoid[1],
    )


Pooled = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Probabilities, whether they came true, and of which label they are, `(n,)` each."""


def pooled(held_out: Sequence[HeldOut], all_scores: Sequence[Scores]) -> dict[str, Pooled]:
    """Probabilities of labels never seen, which rows bear them, and those labels, pooled over labels held out in turn.

    The offset of a label is estimated from the other held-out labels, never from the label itself.

    Args:
        held_out: the labels held out, each once or once a fold.
        all_scores: what the same models say of rows, in the same order.

    Returns:
        `among labels` (softmax) and `by itself` (sigmoid), each `calibrated` with that or `as seen labels are`.
    """
    parts: dict[str, list[Pooled]] = {}
    for left_out, scores in zip(held_out, all_scores, strict=True):
        others = [other for other in held_out if other.label != left_out.label]
        bears = scores.bears[:, -1].numpy() == 1
        named = np.full(len(bears), left_out.label)
        for measured in (others, []):
            way = "calibrated" if measured else "as seen labels are"
            add = [lacking(measured, kind) * left_out.newness for kind in ("softmax", "sigmoid")]
            moved = torch.cat([scores.softmax[:, :-1], scores.softmax[:, -1:] + add[0]], dim=1)
            parts.setdefault(f"by itself, {way}", []).append(
                ((scores.sigmoid[:, -1] + add[1]).sigmoid().numpy(), bears, named)
            )
            if not scores.several:
                parts.setdefault(f"among labels, {way}", []).append((moved.softmax(dim=1)[:, -1].numpy(), bears, named))
    together: dict[str, Pooled] = {}
    for name, each in parts.items():
        shares, bore, labels = (np.concatenate(column) for column in zip(*each, strict=True))
        together[name] = (shares, bore, labels)
    return together


def _missing(logits: Tensor, bears: Tensor, *, softmax: bool) -> tuple[float, float]:
    """The offset of the last label with the likeliest probabilities, and the curvature of the loss there.

    A prior as heavy as one row keeps the offset near 0.
    """
    losses = []
    for offset in OFFSETS:
        moved = torch.cat([logits[:, :-1], logits[:, -1:] + offset], dim=1)
        if softmax:
            one = bears.sum(dim=1) == 1
            loss = cross_entropy(moved[one], bears[one].argmax(dim=1))
        else:
            loss = binary_cross_entropy_with_logits(moved[:, -1], bears[:, -1])
        losses.append(float(loss + (offset / 10).square() / len(logits)))
    best = int(np.argmin(losses))
    beside = min(max(best, STEP), len(losses) - 1 - STEP)
    bend = losses[beside - STEP] - 2 * losses[beside] + losses[beside + STEP]
    return float(OFFSETS[best]), max(bend, 0.0) * len(logits)


def write(held_out: Sequence[HeldOut], folder: Path) -> None:
    """Keep what was found of a modality, for `checkpoints/build`."""
    table = pd.DataFrame([asdict(one) for one in held_out])
    write_file(folder / FILE, table.to_csv(index=False).encode())
