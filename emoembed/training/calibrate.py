"""Probabilities from logits, fitted on validation rows of seen labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from emoembed import metrics
from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training import abstention
from emoembed.training.loop import encode_rows

SMOOTHNESS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Penalties tried on how a label's slope and offset vary with its point; the largest is as good as one for all."""
ALIKE = 1e6
"""The penalty that makes them the same for every label."""


def calibrate(
    model: EmotionModel, modality: str, valid: EmotionData, *, weigh: bool = True, points: Tensor | None = None
) -> None:
    """Fit what is known of a modality's reliability, from validation rows of the labels its training saw.

    The softmax gets one temperature (Guo et al. 2017): slopes and offsets by label fit who is in the validation rows,
    and cost recall on speakers and faces left out. Slope and offset of the sigmoid (Platt 1999) are linear in the
    label's point, so that labels never seen have them too; how smooth they are is chosen on labels left out of the fit
    in turn. A prior as heavy as one row keeps scales near 1, so that few rows do not make them extreme.

    Args:
        model: trained; its `saw` was called.
        modality: to be calibrated.
        valid: rows that no training saw, with the labels it saw.
        weigh: set the modality's weight too, by how far its recall rises above chance:
            (UAR - 1/labels) / (1 - 1/labels); not where it was learned jointly.
        points: of those rows `(rows, point_dim)`, where the caller has them already.

    Where no row bears exactly one label, the temperature stays 1 and the weight as it was.

    Raises:
        InputError: no row bears any.
    """
    points = encode_rows(model, valid)[modality] if points is None else points
    label_points = model.label_points(valid.labels)[modality].detach()
    trust = model.modality(modality).calibration
    seen = model.state.seen_in(modality)
    if seen:
        trust.familiar.copy_(model.label_points(seen)[modality].detach())
    trust.curves.zero_()
    logits = model.score({modality: points.clone()}, {modality: label_points})[modality].detach()
    targets = torch.from_numpy(valid.targets)
    one = (targets.nansum(dim=1) == 1) & ~targets.isnan().any(dim=1) & ~logits[:, 0].isnan()
    if not bool((targets[~logits[:, 0].isnan()] == 1).any()):
        raise InputError(f"calibration of {modality} needs validation rows that bear a label; there are none")
    if bool(one.any()):
        trust.curves[:2] = _fit_curves(logits[one], targets[one], label_points, ALIKE, softmax=True)
    trust.curves[2:] = _smooth(logits, targets, label_points)
    trust.thresholds.copy_(abstention.fit_thresholds(model, modality, logits, targets, label_points))
    trust.trust.copy_(_trusted(logits.numpy(), valid, seen))
    if not weigh or not bool(one.any()):
        return
    goal = targets[one].argmax(dim=1)
    recall = metrics.uar(logits[one].argmax(dim=1).numpy(), goal.numpy())
    chance = 1.0 / len(valid.labels)
    with torch.no_grad():
        model.modality(modality).log_weight.copy_(torch.tensor(max((recall - chance) / (1 - chance), 0.01)).log())


def calibrate_jointly(model: EmotionModel, valid: EmotionData) -> None:
    """Fit what is known of modalities learned together: as `calibrate` does, but with one temperature for all of them.

    Their logits were learned to be added; a temperature each would weigh them anew, which on validation clips of
    RAVDESS's four folds answers worse. It is the likeliest for rows as they are and for each modality alone.

    Args:
        model: trained; its `saw` was called.
        valid: rows that no training saw, with the labels it saw.
    """
    points = encode_rows(model, valid)
    for name in model.modalities:
        calibrate(model, name, valid, weigh=False, points=points[name])
    label_points = {name: matrix.detach() for name, matrix in model.label_points(valid.labels).items()}
    known = model.label_trust(label_points)
    logits = {name: matrix.detach() for name, matrix in model.score(points, label_points, known).items()}
    targets = torch.from_numpy(valid.targets)
    views = torch.cat([model.fuse(logits, known, among=True).detach(), *logits.values()])
    goals = targets.repeat(len(views) // len(targets), 1)
    one = (goals.nansum(dim=1) == 1) & ~goals.isnan().any(dim=1) & ~views[:, 0].isnan()
    alike = torch.zeros(len(valid.labels), 0)
    for name in model.modalities if bool(one.any()) else ():
        trust = model.modality(name).calibration
        trust.curves[:2] = 0.0
        trust.curves[:2, -1:] = _fit_curves(views[one], goals[one], alike, ALIKE, softmax=True)
        fitted = abstention.fit_thresholds(model, name, logits[name], targets, label_points[name])
        trust.thresholds.copy_(fitted)


def _trusted(logits: np.ndarray, valid: EmotionData, seen: Sequence[str]) -> Tensor:
    """Trust in each seen label, `2 AUC - 1` on validation rows, and in an unknown one, half their mean.

    A label that validation rows lack gets the mean of the others.
    """
    measured = np.full(len(seen), np.nan)
    for i, label in enumerate(seen):
        if label in valid.labels:
            column = valid.labels.index(label)
            known = ~np.isnan(valid.targets[:, column]) & ~np.isnan(logits[:, column])
            measured[i] = metrics.auc(logits[known, column], valid.targets[known, column] == 1)
    trust = np.maximum(2 * measured - 1, 0.05)
    usual = 1.0 if np.isnan(trust).all() else float(np.nanmean(trust))
    return torch.tensor([*np.nan_to_num(trust, nan=usual), usual / 2 if len(seen) else 1.0])


def _smooth(logits: Tensor, targets: Tensor, label_points: Tensor) -> Tensor:
    """Slope and offset of the sigmoid as linear functions of the label's point, `(2, embed_dim + 1)`.

    They are as smooth as serves labels left out of the fit best.
    """
    groups = np.arange(len(label_points)) % 5
    if len(label_points) < 5:
        return _fit_curves(logits, targets, label_points, ALIKE, softmax=False)
    losses = []
    for penalty in SMOOTHNESS:
        total = 0.0
        for group in range(5):
            kept = torch.from_numpy(groups != group)
            out = ~kept
            curves = _fit_curves(logits[:, kept], targets[:, kept], label_points[kept], penalty, softmax=False)
            loss = _calibration_loss(curves, logits[:, out], targets[:, out], label_points[out], softmax=False)
            total += float(loss) * int(out.sum())
        losses.append(total)
    return _fit_curves(logits, targets, label_points, SMOOTHNESS[int(np.argmin(losses))], softmax=False)


def _fit_curves(logits: Tensor, targets: Tensor, label_points: Tensor, penalty: float, *, softmax: bool) -> Tensor:
    curves = torch.zeros(2, label_points.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([curves], max_iter=60, line_search_fn="strong_wolfe")
    rows = len(logits)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _calibration_loss(curves, logits.double(), targets.double(), label_points.double(), softmax=softmax)
        constants = curves[0, -1].square() + (curves[1, -1] / 10).square()
        loss = loss + constants / rows + penalty * curves[:, :-1].square().sum() / len(label_points)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return curves.detach().float()


def _calibration_loss(
    curves: Tensor, logits: Tensor, targets: Tensor, label_points: Tensor, *, softmax: bool
) -> Tensor:
    """Cross-entropy of rows of one label among those there, or of every label by itself."""
    curves = curves.to(logits)
    linear = label_points.to(logits) @ curves[:, :-1].T + curves[:, -1]
    scaled = linear[:, 0].exp() * logits.nan_to_num(0.0) + linear[:, 1]  # a NaN left out of the loss has a gradient
    if softmax:
        bears = (targets == 1).any(dim=1)
        return torch.nn.functional.cross_entropy(scaled[bears], targets[bears].argmax(dim=1))
    known = ~targets.isnan() & ~logits.isnan()
    return binary_cross_entropy_with_logits(scaled[known], targets[known])
