"""Probabilities from logits, fitted on validation rows of seen labels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from emoembed.data import EmotionData
from emoembed.errors import InputError
from emoembed.evaluation import metrics
from emoembed.model import EmotionModel
from emoembed.train import predict_logits


def calibrate(model: EmotionModel, modality: str, valid: EmotionData, *, weigh: bool = True) -> None:
    """Set a modality's temperature, slope, offset and, unless it was learned jointly, weight from validation rows.

    Each fit has a prior as heavy as one row that keeps scales near 1, so that few rows do not make them extreme.
    The temperature minimises the likelihood loss of the softmax (Guo et al. 2017), slope and offset that of the
    sigmoid (Platt 1999), the same for every label, so that labels never seen have them too. The weight is how far
    recall rises above chance: (UAR - 1/labels) / (1 - 1/labels).
    """
    logits = torch.from_numpy(predict_logits(model, valid)[modality])
    targets = torch.from_numpy(valid.targets)
    rows = (targets.nansum(dim=1) == 1) & ~targets.isnan().any(dim=1)
    if not bool(rows.any()):
        raise InputError(f"calibration of {modality} needs validation rows of exactly one label; there are none")
    goal = targets[rows].argmax(dim=1)
    temperature = _temperature(logits[rows], goal)
    slope, offset = _platt(logits, targets)
    model.calibration(modality).copy_(torch.tensor([temperature, slope, offset]))
    if not weigh:
        return
    recall = metrics.uar(logits[rows].argmax(dim=1).numpy(), goal.numpy())
    chance = 1.0 / len(valid.labels)
    with torch.no_grad():
        model.log_weight[modality].copy_(torch.tensor(max((recall - chance) / (1 - chance), 0.01)).log())


def seen_offset(logits: np.ndarray, true: np.ndarray, seen: np.ndarray, allowed_loss: float = 0.2) -> float:
    """What calibrated stacking subtracts from seen labels' logits (Chao et al. 2016), chosen without an unseen example.

    The largest offset at which validation rows, all of seen labels, keep at least `1 - allowed_loss` of the UAR
    they have when unseen labels cannot be answered.

    Args:
        logits: `(rows, labels)` of validation rows.
        true: `(rows,)` columns of their labels.
        seen: boolean `(labels,)`.
        allowed_loss: share of seen UAR given up so that unseen labels can be answered at all.
    """
    closed = np.where(seen, logits, -np.inf)
    floor = (1 - allowed_loss) * metrics.uar(closed.argmax(axis=1), true)
    gaps = closed.max(axis=1) - np.where(seen, -np.inf, logits).max(axis=1)
    best = float(gaps.min()) - 1e-6
    for offset in np.quantile(gaps, np.linspace(0, 1, 101)):
        if metrics.uar((logits - offset * seen).argmax(axis=1), true) >= floor:
            best = max(best, float(offset))
    return best


def best_offset(logits: np.ndarray, true: np.ndarray, seen: np.ndarray) -> float:
    """What calibrated stacking subtracts from seen labels' logits, where pseudo-unseen labels are there to choose by.

    The offset with the best harmonic mean of seen and unseen UAR on validation rows of a model trained without the
    pseudo-unseen labels, which are seen labels of the question at hand (Chao et al. 2016, section 3.3).

    Args:
        logits: `(rows, labels)`.
        true: `(rows,)` columns of their labels.
        seen: boolean `(labels,)`, False for the pseudo-unseen.
    """
    rows_seen = seen[true]
    gaps = np.where(seen, logits, -np.inf).max(axis=1) - np.where(seen, -np.inf, logits).max(axis=1)
    scored = []
    for offset in np.quantile(gaps, np.linspace(0, 1, 101)):
        answered = (logits - offset * seen).argmax(axis=1)
        on_seen, on_unseen = (metrics.uar(answered[rows], true[rows]) for rows in (rows_seen, ~rows_seen))
        scored.append((metrics.harmonic_mean(on_seen, on_unseen), float(offset)))
    return max(scored)[1]


def _temperature(logits: Tensor, goal: Tensor) -> float:
    grid = torch.logspace(-1.5, 1.5, 121)
    losses = [float(torch.nn.functional.cross_entropy(logits / t, goal) + t.log().square() / len(goal)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def _platt(logits: Tensor, targets: Tensor) -> tuple[float, float]:
    known = ~targets.isnan() & ~logits.isnan()
    inputs, goal = logits[known].double(), targets[known].double()
    rows = len(logits)
    parameters = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        # a slope above 0 keeps the order of the scores; the prior of one row keeps few rows from extremes
        loss = binary_cross_entropy_with_logits(parameters[0].exp() * inputs + parameters[1], goal)
        loss = loss + (parameters[0].square() + (parameters[1] / 10).square()) / rows
        loss.backward()
        return loss

    optimizer.step(closure)
    log_slope, offset = parameters.detach()
    return float(log_slope.exp()), float(offset)
