"""Calibration: turn logits into probabilities, fitted on validation rows of seen labels."""

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
"""Candidate penalties on differences of slope and offset between labels; the largest removes nearly all of them."""
ALIKE = 1e6
"""The penalty that gives all labels the same slope and offset."""


def calibrate(
    model: EmotionModel, modality: str, valid: EmotionData, *, weigh: bool = True, points: Tensor | None = None
) -> None:
    """Calibrate a modality in place on validation rows of its seen labels: curves, thresholds, trust and weight.

    The softmax gets one temperature for all labels (Guo et al. 2017). A slope and offset per label would overfit to
    the people in the validation rows and reduce recall on other people. The sigmoid gets a slope and an offset
    (Platt 1999). Both are linear functions of the label's point, so that unseen labels have them too;
    cross-validation over labels chooses how much they vary. A prior with the weight of one row keeps the slopes near
    1, so that few rows cannot make them extreme.

    If no row has exactly one label, the temperature is 1 and the weight is not changed.

    Args:
        model: trained; its seen labels are set (`with_seen`).
        modality: name of the modality to calibrate.
        valid: rows that were not used in training, with the trained labels.
        weigh: whether to set the modality's weight to the normalised recall (UAR - 1/labels) / (1 - 1/labels). Use
            False for modalities that were trained jointly.
        points: the points of these rows `(rows, point_dim)`, if the caller has them already.

    Raises:
        InputError: no row has a label.
    """
    points = encode_rows(model, valid)[modality] if points is None else points
    label_points = model.label_points(valid.labels)[modality].detach()
    calibration = model.modality(modality).calibration
    seen = model.state.seen_in(modality)
    if seen:
        calibration.familiar.copy_(model.label_points(seen)[modality].detach())
    calibration.curves.zero_()
    logits = model.score({modality: points.clone()}, {modality: label_points})[modality].detach()
    targets = torch.from_numpy(valid.targets)
    single_label = (targets.nansum(dim=1) == 1) & ~targets.isnan().any(dim=1) & ~logits[:, 0].isnan()
    if not bool((targets[~logits[:, 0].isnan()] == 1).any()):
        raise InputError(
            f"calibration of {modality} needs validation rows with a label, but none of {len(valid)} has both "
            f"{modality} and a label; add such rows"
        )
    if bool(single_label.any()):
        calibration.curves[:2] = _fit_curves(
            logits[single_label], targets[single_label], label_points, ALIKE, softmax=True
        )
    calibration.curves[2:] = _smooth(logits, targets, label_points)
    calibration.thresholds.copy_(abstention.fit_thresholds(model, modality, logits, targets, label_points))
    calibration.trust.copy_(_estimate_trust(logits.numpy(), valid, seen))
    if not weigh or not bool(single_label.any()):
        return
    goal = targets[single_label].argmax(dim=1)
    recall = metrics.uar(logits[single_label].argmax(dim=1).numpy(), goal.numpy())
    chance = 1.0 / len(valid.labels)
    with torch.no_grad():
        model.modality(modality).log_weight.copy_(torch.tensor(max((recall - chance) / (1 - chance), 0.01)).log())


def calibrate_jointly(model: EmotionModel, valid: EmotionData) -> None:
    """Calibrate jointly trained modalities in place: like `calibrate`, but with one temperature for all of them.

    Joint training learns logits that are added. One temperature per modality would change their weights; this gave
    worse predictions on the validation clips of RAVDESS's four folds. The temperature is the maximum likelihood
    estimate over the fused logits and the logits of each modality alone.

    Args:
        model: trained; its seen labels are set (`with_seen`).
        valid: rows that were not used in training, with the trained labels.
    """
    points = encode_rows(model, valid)
    for name in model.modalities:
        calibrate(model, name, valid, weigh=False, points=points[name])
    label_points = {name: matrix.detach() for name, matrix in model.label_points(valid.labels).items()}
    trust = model.label_trust(label_points)
    logits = {name: matrix.detach() for name, matrix in model.score(points, label_points, trust).items()}
    targets = torch.from_numpy(valid.targets)
    views = torch.cat([model.fuse(logits, trust, among=True).detach(), *logits.values()])
    goals = targets.repeat(len(views) // len(targets), 1)
    single_label = (goals.nansum(dim=1) == 1) & ~goals.isnan().any(dim=1) & ~views[:, 0].isnan()
    empty_points = torch.zeros(len(valid.labels), 0)
    for name in model.modalities if bool(single_label.any()) else ():
        calibration = model.modality(name).calibration
        calibration.curves[:2] = 0.0
        calibration.curves[:2, -1:] = _fit_curves(
            views[single_label], goals[single_label], empty_points, ALIKE, softmax=True
        )
        thresholds = abstention.fit_thresholds(model, name, logits[name], targets, label_points[name])
        calibration.thresholds.copy_(thresholds)


def _estimate_trust(logits: np.ndarray, valid: EmotionData, seen: Sequence[str]) -> Tensor:
    """Trust in each seen label, `2 AUC - 1` on validation rows, and in an unseen label, half of their mean.

    A seen label without an AUC on the validation rows gets the mean of the others. Returns `(seen + 1,)`.
    """
    aucs = np.full(len(seen), np.nan)
    for i, label in enumerate(seen):
        if label in valid.labels:
            column = valid.labels.index(label)
            rows = ~np.isnan(valid.targets[:, column]) & ~np.isnan(logits[:, column])
            aucs[i] = metrics.auc(logits[rows, column], valid.targets[rows, column] == 1)
    trust = np.maximum(2 * aucs - 1, 0.05)
    mean = 1.0 if np.isnan(trust).all() else float(np.nanmean(trust))
    return torch.tensor([*np.nan_to_num(trust, nan=mean), mean / 2 if len(seen) else 1.0])


def _smooth(logits: Tensor, targets: Tensor, label_points: Tensor) -> Tensor:
    """Slope and offset of the sigmoid as linear functions of the label's point, `(2, embed_dim + 1)`.

    Five-fold cross-validation over labels chooses the penalty. With fewer than five labels, all share one slope and
    offset.
    """
    groups = np.arange(len(label_points)) % 5
    if len(label_points) < 5:
        return _fit_curves(logits, targets, label_points, ALIKE, softmax=False)
    losses = []
    for penalty in SMOOTHNESS:
        total = 0.0
        for group in range(5):
            train = torch.from_numpy(groups != group)
            test = ~train
            curves = _fit_curves(logits[:, train], targets[:, train], label_points[train], penalty, softmax=False)
            loss = _calibration_loss(curves, logits[:, test], targets[:, test], label_points[test], softmax=False)
            total += float(loss) * int(test.sum())
        losses.append(total)
    return _fit_curves(logits, targets, label_points, SMOOTHNESS[int(np.argmin(losses))], softmax=False)


def _fit_curves(logits: Tensor, targets: Tensor, label_points: Tensor, penalty: float, *, softmax: bool) -> Tensor:
    """Log slope and offset as linear functions of the label's point, `(2, point_dim + 1)`, by penalised likelihood."""
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
    """Cross-entropy over the labels if `softmax`, otherwise binary cross-entropy of each label."""
    curves = curves.to(logits)
    linear = label_points.to(logits) @ curves[:, :-1].T + curves[:, -1]
    scaled = linear[:, 0].exp() * logits.nan_to_num(0.0) + linear[:, 1]  # even a masked NaN makes the gradient NaN
    if softmax:
        rows = (targets == 1).any(dim=1)
        return torch.nn.functional.cross_entropy(scaled[rows], targets[rows].argmax(dim=1))
    annotated = ~targets.isnan() & ~logits.isnan()
    return binary_cross_entropy_with_logits(scaled[annotated], targets[annotated])
