"""Calibrated stacking: what is subtracted from the logits of seen labels, so that unseen ones are answered too."""

from __future__ import annotations

import numpy as np

from emoembed import metrics


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
