"""Metrics, from scikit-learn where it has them. Each docstring says what happens when a label is absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FEWEST_GROUPS = 3


def auc(scores: np.ndarray, bears: np.ndarray) -> float:
    """Area under the ROC curve. `bears` marks the rows with the label; NaN when it marks all rows or none."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(bears, scores)) if 0 < bears.sum() < len(bears) else float("nan")


def average_precision(scores: np.ndarray, bears: np.ndarray) -> float:
    """Average precision; NaN when no row has the label. The chance level is the share of rows with the label."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(bears, scores)) if bears.sum() else float("nan")


def uar(predicted: np.ndarray, true: np.ndarray, classes: Sequence[int] | None = None) -> float:
    """Unweighted average recall (UAR) over the classes that occur in `true`; NaN if there are none.

    With `classes`, only these classes count.
    """
    present = [c for c in (np.unique(true) if classes is None else classes) if (true == c).any()]
    return float(np.mean([(predicted[true == c] == c).mean() for c in present])) if present else float("nan")


def harmonic_mean(seen: float, unseen: float) -> float:
    """2SU / (S + U), which summarises generalised zero-shot recognition (Xian et al. 2018, eq. 3).

    NaN if `seen` or `unseen` is NaN; 0 if both are 0.
    """
    return 2 * seen * unseen / (seen + unseen) if seen + unseen != 0 else 0.0


def ausuc(logits: np.ndarray, true: np.ndarray, seen: np.ndarray) -> float:
    """Area under the curve of seen UAR against unseen UAR (Chao et al. 2016, section 3.3).

    Each point of the curve subtracts another offset from the logits of the seen labels.

    Args:
        logits: `(rows, labels)`.
        true: `(rows,)` columns of the rows' labels.
        seen: boolean `(labels,)`. NaN is returned unless there are rows of seen and of unseen labels.
    """
    rows_seen = seen[true]
    if rows_seen.all() or not rows_seen.any():
        return float("nan")
    gaps = np.where(seen, logits, -np.inf).max(axis=1) - np.where(seen, -np.inf, logits).max(axis=1)
    offsets = np.concatenate([[gaps.min() - 1], np.quantile(gaps, np.linspace(0, 1, 201)), [gaps.max() + 1]])
    points = []
    for offset in offsets:
        predicted = (logits - offset * seen).argmax(axis=1)
        points.append((uar(predicted[~rows_seen], true[~rows_seen]), uar(predicted[rows_seen], true[rows_seen])))
    unseen_uar, seen_uar = np.array(sorted(points, key=lambda point: (point[0], -point[1]))).T
    return float(np.trapezoid(seen_uar, unseen_uar))


def balanced_accuracy(predicted: np.ndarray, bears: np.ndarray) -> float:
    """Mean of the recall of a label and the recall of its absence; called WAcc in the MOSEI tables.

    If only one of the two occurs, its recall is returned; NaN if there are no rows. A model that always or never
    predicts the label gets 0.5, however rare the label is.
    """
    return uar(predicted.astype(int), bears.astype(int))


def f1(predicted: np.ndarray, bears: np.ndarray, absent: float = 0.0) -> float:
    """F1 of a label from `(rows,)` booleans; `absent` if no row has the label and none predicts it."""
    return macro_f1(predicted[:, None], bears[:, None], absent)


def weighted_f1(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean F1 of the classes, weighted by their number of rows, as papers on conversations report it."""
    from sklearn.metrics import f1_score

    return float(f1_score(true, predicted, average="weighted", zero_division=0))


def expected_calibration_error(probabilities: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Mean absolute difference between confidence and accuracy (Guo et al. 2017, eq. 3).

    The bins of confidence have equal width and are weighted by their number of rows.
    """
    bin_of_row = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = [
        (bin_of_row == b).mean() * abs(probabilities[bin_of_row == b].mean() - correct[bin_of_row == b].mean())
        for b in np.unique(bin_of_row)
    ]
    return float(np.sum(gaps))


def chance_calibration_error(probabilities: np.ndarray, samples: int = 200, seed: int = 0, bins: int = 15) -> float:
    """The mean calibration error of these probabilities if they were perfectly calibrated (chance level).

    The outcomes are sampled from the probabilities `(n,)` themselves (consistency resampling: Bröcker & Smith 2007).
    """
    generator = np.random.default_rng(seed)
    outcomes = (generator.random(len(probabilities)) < probabilities for _ in range(samples))
    return float(np.mean([expected_calibration_error(probabilities, outcome, bins) for outcome in outcomes]))


def macro_f1(predicted: np.ndarray, bears: np.ndarray, absent: float = 0.0) -> float:
    """Mean F1 over the columns of boolean `(rows, labels)`.

    `absent` is the F1 of a label that no row has and none predicts: 0, or NaN to leave the label out. Use NaN in a
    bootstrap, because a resample may contain no row of a rare label.
    """
    hits, counts = (predicted & bears).sum(axis=0), predicted.sum(axis=0) + bears.sum(axis=0)
    scores = np.where(counts > 0, 2 * hits / np.maximum(counts, 1), absent)
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))


def best_thresholds(scores: np.ndarray, bears: np.ndarray) -> np.ndarray:
    """For each column of `(rows, labels)`, the threshold with the best F1. Use validation rows only."""
    from sklearn.metrics import precision_recall_curve

    thresholds = np.full(scores.shape[1], np.inf)
    for column in range(scores.shape[1]):
        if bears[:, column].any():
            precision, recall, cuts = precision_recall_curve(bears[:, column], scores[:, column])
            f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-9)
            thresholds[column] = cuts[int(np.argmax(f1))]
    return thresholds


def balanced_thresholds(scores: np.ndarray, bears: np.ndarray) -> np.ndarray:
    """For each column, the threshold with the best balanced accuracy. Use validation rows only."""
    from sklearn.metrics import roc_curve

    thresholds = np.full(scores.shape[1], np.inf)
    for column in range(scores.shape[1]):
        if 0 < bears[:, column].sum() < len(bears):
            false, true, cuts = roc_curve(bears[:, column], scores[:, column])
            thresholds[column] = cuts[int(np.argmax(true - false))]
    return thresholds


def score_of(logits: np.ndarray, targets: np.ndarray, multi_label: np.ndarray) -> float:
    """The score for model selection: UAR of single-label rows, mean average precision of multi-label rows.

    With rows of both kinds, it is the mean of the two.
    """
    parts = []
    single_label = ~multi_label & (targets == 1).any(axis=1)
    if single_label.any():
        annotated = ~np.isnan(targets[single_label])
        predicted = np.where(annotated, logits[single_label], -np.inf).argmax(axis=1)
        parts.append(uar(predicted, np.nan_to_num(targets[single_label]).argmax(axis=1)))
    if multi_label.any():
        precisions = []
        for column in range(targets.shape[1]):
            rows = multi_label & ~np.isnan(targets[:, column])
            if (targets[rows, column] == 1).any():
                precisions.append(average_precision(logits[rows, column], targets[rows, column] == 1))
        parts.append(float(np.mean(precisions)))
    return float(np.mean(parts)) if parts else float("nan")


def bootstrap(
    statistic: Callable[[np.ndarray], float],
    groups: np.ndarray,
    *,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Bootstrap percentile interval of `statistic(row positions)`, resampling groups (speakers, dialogues, videos).

    NaN for fewer than `FEWEST_GROUPS` groups: two speakers have only three different resamples.
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
    """The offset of calibrated stacking (Chao et al. 2016), chosen without examples of unseen labels.

    Calibrated stacking subtracts the offset from the logits of the seen labels. All validation rows have seen labels.
    This function returns the largest offset at which they keep at least `1 - allowed_loss` of their UAR. The reference
    is the UAR with the seen labels as the only candidates.

    Args:
        logits: `(rows, labels)` of validation rows.
        true: `(rows,)` columns of their labels.
        seen: boolean `(labels,)`.
        allowed_loss: share of seen UAR that may be lost so that unseen labels can be predicted at all.
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
    """The offset of calibrated stacking, chosen with pseudo-unseen labels (Chao et al. 2016, section 3.3).

    Calibrated stacking subtracts the offset from the logits of the seen labels. Pseudo-unseen labels are seen labels
    that this model was not trained on. The chosen offset has the best harmonic mean of seen and unseen UAR on the
    validation rows.

    Args:
        logits: `(rows, labels)`.
        true: `(rows,)` columns of their labels.
        seen: boolean `(labels,)`, False for the pseudo-unseen labels.
    """
    rows_seen = seen[true]
    gaps = np.where(seen, logits, -np.inf).max(axis=1) - np.where(seen, -np.inf, logits).max(axis=1)
    candidates = []
    for offset in np.quantile(gaps, np.linspace(0, 1, 101)):
        predicted = (logits - offset * seen).argmax(axis=1)
        seen_uar, unseen_uar = (uar(predicted[rows], true[rows]) for rows in (rows_seen, ~rows_seen))
        candidates.append((harmonic_mean(seen_uar, unseen_uar), float(offset)))
    return max(candidates)[1]
