"""Metrics, by scikit-learn where it has them; every one says what happens when a label is absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FEWEST_GROUPS = 3


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
    """2SU / (S + U), the summary of generalised zero-shot recognition (Xian et al. 2018, eq. 3); NaN where one is."""
    return 2 * seen * unseen / (seen + unseen) if seen + unseen != 0 else 0.0


def ausuc(logits: np.ndarray, true: np.ndarray, seen: np.ndarray) -> float:
    """Area under the curve of seen against unseen UAR as seen labels' logits fall (Chao et al. 2016, section 3.3).

    Args:
        logits: `(rows, labels)`.
        true: `(rows,)` columns of the rows' labels.
        seen: boolean `(labels,)`; rows of both kinds are needed, or the result is NaN.
    """
    rows_seen = seen[true]
    if rows_seen.all() or not rows_seen.any():
        return float("nan")
    gaps = np.where(seen, logits, -np.inf).max(axis=1) - np.where(seen, -np.inf, logits).max(axis=1)
    offsets = np.concatenate([[gaps.min() - 1], np.quantile(gaps, np.linspace(0, 1, 201)), [gaps.max() + 1]])
    points = []
    for offset in offsets:
        answered = (logits - offset * seen).argmax(axis=1)
        points.append((uar(answered[~rows_seen], true[~rows_seen]), uar(answered[rows_seen], true[rows_seen])))
    unseen_uar, seen_uar = np.array(sorted(points, key=lambda point: (point[0], -point[1]))).T
    return float(np.trapezoid(seen_uar, unseen_uar))


def balanced_accuracy(predicted: np.ndarray, bears: np.ndarray) -> float:
    """Mean of the recalls of a label and of its absence, over those that occur: the WAcc of the MOSEI tables.

    Always or never answering a label gives 0.5, however rare it is; NaN where there is no row.
    """
    return uar(predicted.astype(int), bears.astype(int))


def f1(predicted: np.ndarray, bears: np.ndarray, absent: float = 0.0) -> float:
    """F1 of a label, `(rows,)` booleans; `absent` where it is neither answered nor borne."""
    return macro_f1(predicted[:, None], bears[:, None], absent)


def weighted_f1(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean F1 of the classes, weighted by their rows: what conversation papers print."""
    from sklearn.metrics import f1_score

    return float(f1_score(true, predicted, average="weighted", zero_division=0))


def expected_calibration_error(probabilities: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Mean gap of confidence and accuracy over bins of confidence of equal width (Guo et al. 2017, eq. 3)."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        (place == b).mean() * abs(probabilities[place == b].mean() - correct[place == b].mean())
        for b in np.unique(place)
    ]
    return float(np.sum(gaps))


def chance_calibration_error(probabilities: np.ndarray, samples: int = 200, seed: int = 0, bins: int = 15) -> float:
    """The mean calibration error of as many rows whose probabilities were right: what is left to chance.

    What comes true is drawn from the probabilities `(n,)` themselves (consistency resampling: Bröcker & Smith 2007).
    """
    generator = np.random.default_rng(seed)
    drawn = (generator.random(len(probabilities)) < probabilities for _ in range(samples))
    return float(np.mean([expected_calibration_error(probabilities, one, bins) for one in drawn]))


def macro_f1(predicted: np.ndarray, bears: np.ndarray, absent: float = 0.0) -> float:
    """Mean F1 over the columns of boolean `(rows, labels)`.

    A label neither predicted nor borne counts as `absent`: 0, or NaN to leave it out, as where rows are redrawn for an
    interval and miss a rare one.
    """
    hits, named = (predicted & bears).sum(axis=0), predicted.sum(axis=0) + bears.sum(axis=0)
    each = np.where(named > 0, 2 * hits / np.maximum(named, 1), absent)
    return float("nan") if np.isnan(each).all() else float(np.nanmean(each))


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


def balanced_thresholds(scores: np.ndarray, bears: np.ndarray) -> np.ndarray:
    """For each column the threshold with the best balanced accuracy; to be taken from validation only."""
    from sklearn.metrics import roc_curve

    thresholds = np.full(scores.shape[1], np.inf)
    for column in range(scores.shape[1]):
        if 0 < bears[:, column].sum() < len(bears):
            false, true, cuts = roc_curve(bears[:, column], scores[:, column])
            thresholds[column] = cuts[int(np.argmax(true - false))]
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
    """Percentile interval of `statistic(row positions)` when whole groups (speakers, dialogues, videos) are redrawn.

    NaN for fewer than `FEWEST_GROUPS`: two speakers have three ways to be redrawn.
    """
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    if len(members) < FEWEST_GROUPS:
        return float("nan"), float("nan")
    values = [
        statistic(np.concatenate([members[i] for i in generator.integers(len(members), size=len(members))]))
        for _ in range(samples)
    ]
    if np.isnan(values).all():
        return float("nan"), float("nan")
    tail = 100 * (1 - level) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


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
    floor = (1 - allowed_loss) * uar(closed.argmax(axis=1), true)
    gaps = closed.max(axis=1) - np.where(seen, -np.inf, logits).max(axis=1)
    best = float(gaps.min()) - 1e-6
    for offset in np.quantile(gaps, np.linspace(0, 1, 101)):
        if uar((logits - offset * seen).argmax(axis=1), true) >= floor:
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
        on_seen, on_unseen = (uar(answered[rows], true[rows]) for rows in (rows_seen, ~rows_seen))
        scored.append((harmonic_mean(on_seen, on_unseen), float(offset)))
    return max(scored)[1]
