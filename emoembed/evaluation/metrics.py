"""Metrics, by scikit-learn where it has them; every one says what happens when a label is absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def auc(scores: np.ndarray, bears: np.ndarray) -> float:
    """Area under the ROC curve; NaN when all or none bear the label."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(bears, scores)) if 0 < bears.sum() < len(bears) else float("nan")


def average_precision(scores: np.ndarray, bears: np.ndarray) -> float:
    """Average precision; NaN when none bears the label. Chance is the share that bears it."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(bears, scores)) if bears.sum() else float("nan")


def uar(predicted: np.ndarray, true: np.ndarray, classes: Sequence[int] | None = None) -> float:
    """Unweighted average recall over the classes that occur in `true` (of `classes`, when given); NaN for none."""
    present = [c for c in (np.unique(true) if classes is None else classes) if (true == c).any()]
    return float(np.mean([(predicted[true == c] == c).mean() for c in present])) if present else float("nan")


def harmonic_mean(seen: float, unseen: float) -> float:
    """2SU / (S + U), the summary of generalised zero-shot recognition (Xian et al. 2018, eq. 3)."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0


def macro_f1(predicted: np.ndarray, bears: np.ndarray) -> float:
    """Mean F1 over the columns of boolean `(rows, labels)`; a label neither predicted nor borne counts as 0."""
    hits, named = (predicted & bears).sum(axis=0), predicted.sum(axis=0) + bears.sum(axis=0)
    return float(np.mean(2 * hits / np.maximum(named, 1)))


def best_thresholds(scores: np.ndarray, bears: np.ndarray) -> np.ndarray:
    """For each column of `(rows, labels)`, the threshold with the best F1; to be taken from validation only."""
    from sklearn.metrics import precision_recall_curve

    thresholds = np.full(scores.shape[1], np.inf)
    for column in range(scores.shape[1]):
        if bears[:, column].any():
            precision, recall, cuts = precision_recall_curve(bears[:, column], scores[:, column])
            f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-9)
            thresholds[column] = cuts[int(np.argmax(f1))]
    return thresholds


def score_of(logits: np.ndarray, targets: np.ndarray, multi_label: np.ndarray) -> float:
    """One figure for model selection: UAR of single-label rows and mean average precision of multi-label rows."""
    parts = []
    one = ~multi_label & (targets == 1).any(axis=1)
    if one.any():
        known = ~np.isnan(targets[one])
        predicted = np.where(known, logits[one], -np.inf).argmax(axis=1)
        parts.append(uar(predicted, np.nan_to_num(targets[one]).argmax(axis=1)))
    if multi_label.any():
        each = []
        for column in range(targets.shape[1]):
            rows = multi_label & ~np.isnan(targets[:, column])
            if (targets[rows, column] == 1).any():
                each.append(average_precision(logits[rows, column], targets[rows, column] == 1))
        parts.append(float(np.mean(each)))
    return float(np.mean(parts)) if parts else float("nan")


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    groups: np.ndarray,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of `statistic(row positions)` when whole groups (speakers, dialogues, videos) are redrawn."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    values = [
        statistic(np.concatenate([members[i] for i in generator.integers(len(members), size=len(members))]))
        for _ in range(samples)
    ]
    tail = 100 * (1 - level) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
