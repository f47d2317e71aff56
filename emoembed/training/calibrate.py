"""Calibration: turn logits into probabilities, fitted on validation rows of seen labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from emoembed import metrics
from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training import abstention
from emoembed.training.abstention import Scored
from emoembed.training.loop import encode_rows


def calibrate(
    model: EmotionModel,
    modality: str,
    valid: EmotionData,
    *,
    weigh: bool = True,
    points: Tensor | None = None,
    others: Sequence[EmotionData] = (),
) -> None:
    """Calibrate a modality in place on validation rows of its seen labels: scaling, thresholds, trust and weight.

    The softmax gets a temperature (Guo et al. 2017), and the sigmoid a slope and an offset (Platt 1999). All labels
    share them. A slope and offset per label would overfit to the people in the validation rows and reduce recall on
    other people. A prior with the weight of one row keeps the slopes near 1, so that few rows cannot make them
    extreme.

    If no row has exactly one label, the temperature is 1 and the weight is not changed.

    Args:
        model: trained; its seen labels are set (`with_seen`).
        modality: name of the modality to calibrate.
        valid: rows that were not used in training, with the trained labels.
        weigh: whether to set the modality's weight to the normalised recall (UAR - 1/labels) / (1 - 1/labels). Use
            False for modalities that were trained jointly.
        points: the points of these rows `(rows, point_dim)`, if the caller has them already.
        others: rows of corpora that were not used in training, each with labels of its own. The scaling and the
            thresholds are then fitted on all corpora, each with the same weight, so that they hold for other corpora
            too. Trust and weight are fitted on `valid` alone.

    Raises:
        InputError: no row has a label.
    """
    calibration = model.modality(modality).calibration
    seen = model.state.seen_in(modality)
    if seen:
        calibration.familiar.copy_(model.label_points(seen)[modality].detach())
    calibration.slopes.fill_(1.0)
    calibration.offsets.zero_()
    own = _score(model, modality, valid, points)
    if not bool((own.targets[~own.logits[:, 0].isnan()] == 1).any()):
        raise InputError(
            f"calibration of {modality} needs validation rows with a label, but none of {len(valid)} has both "
            f"{modality} and a label; add such rows"
        )
    scored = [own, *(_score(model, modality, rows) for rows in others)]
    of_one_label = [part for part in (corpus.of_one_label() for corpus in scored) if len(part[0])]
    if of_one_label:
        calibration.slopes[0], _ = _fit_scaling(of_one_label, softmax=True)
    each = [(part.logits, part.targets) for part in scored]
    calibration.slopes[1], calibration.offsets[1] = _fit_scaling(each, softmax=False)
    calibration.thresholds.copy_(abstention.fit_thresholds(model, modality, scored))
    calibration.trust.copy_(_estimate_trust(own.logits.numpy(), valid, seen))
    logits, targets = own.of_one_label()
    if weigh and len(logits):
        recall = metrics.uar(logits.argmax(dim=1).numpy(), targets.argmax(dim=1).numpy())
        chance = 1.0 / len(valid.labels)
        with torch.no_grad():
            skill = (recall - chance) / (1 - chance) if chance < 1 else 0.0
            model.modality(modality).log_weight.copy_(torch.tensor(max(skill, 0.01)).log())


def _score(model: EmotionModel, modality: str, rows: EmotionData, points: Tensor | None = None) -> Scored:
    """Score rows in a modality with the labels of their corpus, from their points if they are known."""
    points = encode_rows(model, rows)[modality] if points is None else points
    label_points = model.label_points(rows.labels)[modality].detach()
    logits = model.score({modality: points.clone()}, {modality: label_points})[modality].detach()
    return Scored(logits, torch.from_numpy(rows.targets), label_points)


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
    for name in model.modalities if bool(single_label.any()) else ():
        calibration = model.modality(name).calibration
        calibration.slopes[0], _ = _fit_scaling([(views[single_label], goals[single_label])], softmax=True)
        thresholds = abstention.fit_thresholds(model, name, [Scored(logits[name], targets, label_points[name])])
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


def _fit_scaling(parts: Sequence[tuple[Tensor, Tensor]], *, softmax: bool) -> Tensor:
    """Slope and offset with the maximum likelihood, `(2,)`. A prior with the weight of one row keeps them near 1 and 0.

    Args:
        parts: for each corpus, logits `(rows, labels)` with NaN where a row lacks the modality, and targets
            `(rows, labels)`: 1, 0, or NaN if the label was not annotated. Every corpus has the same weight.
        softmax: fit the softmax over the labels of single-label rows, else the sigmoid of each label. An offset does
            not change a softmax, so it stays 0.
    """
    goals, logits, rows = [], [], 0
    for part_logits, targets in parts:
        annotated = ~targets.isnan() & ~part_logits.isnan()
        goals.append(targets.argmax(dim=1) if softmax else targets[annotated].double())
        logits.append((part_logits if softmax else part_logits[annotated]).double())
        rows += len(targets) if softmax else int(annotated.any(dim=1).sum())
    parameters = torch.zeros(2, dtype=torch.float64, requires_grad=True)  # log slope, offset
    optimizer = torch.optim.LBFGS([parameters], max_iter=60, line_search_fn="strong_wolfe")
    loss_of = cross_entropy if softmax else binary_cross_entropy_with_logits

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = [
            loss_of(parameters[0].exp() * part + parameters[1], goal) for part, goal in zip(logits, goals, strict=True)
        ]
        loss = torch.stack(losses).mean() + (parameters[0].square() + (parameters[1] / 10).square()) / rows
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    log_slope, offset = parameters.detach().float()
    return torch.stack([log_slope.exp(), offset])
