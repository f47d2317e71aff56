"""Measures of answers to the turns of dialogues, with their intervals over dialogues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from emoembed import metrics

NEUTRAL = "neutral"
Measure = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Answers:
    """Calibrated logits of labelled turns `(rows, labels)`, their labels `(rows,)`, and their dialogues `(rows,)`."""

    logits: np.ndarray
    true: np.ndarray
    dialogues: np.ndarray
    probabilities: np.ndarray

    @property
    def targets(self) -> np.ndarray:
        return np.eye(self.logits.shape[1], dtype=bool)[self.true]


def weighted_f1(logits: np.ndarray, true: np.ndarray) -> float:
    """Weighted F1 in per cent."""
    return 100 * metrics.weighted_f1(logits.argmax(axis=1), true)


def mean_auc(logits: np.ndarray, true: np.ndarray) -> float:
    """Mean over the labels that occur of the AUC of their scores, in per cent."""
    ranks = rankdata(logits, axis=0)
    with_label = true[:, None] == np.arange(logits.shape[1])
    count = with_label.sum(axis=0)
    occurs = (count > 0) & (count < len(true))
    wins = (ranks * with_label).sum(axis=0) - count * (count + 1) / 2
    return 100 * float((wins[occurs] / (count * (len(true) - count))[occurs]).mean())


def micro_f1_without(label: int) -> Measure:
    """Micro F1 of the other labels in per cent, as DailyDialog is measured without neutral."""

    def measure(logits: np.ndarray, true: np.ndarray) -> float:
        answers = logits.argmax(axis=1)
        hits = int(((answers == true) & (true != label)).sum())
        return 100 * 2 * hits / max(int((answers != label).sum()) + int((true != label).sum()), 1)

    return measure


def of_label(measure: Callable[[np.ndarray, np.ndarray], float], column: int) -> Measure:
    """A measure of the scores of one label, such as its AUC, in per cent."""
    return lambda logits, true: 100 * measure(logits[:, column], true == column)


def calibration_error(answers: Answers) -> float:
    """Expected calibration error of the most probable label."""
    best = answers.probabilities.argmax(axis=1)
    return metrics.expected_calibration_error(answers.probabilities.max(axis=1), best == answers.true)


def interval(answers: Answers, measure: Measure) -> tuple[float, float]:
    """Bootstrap interval of a measure, over dialogues."""
    return metrics.bootstrap(lambda rows: measure(answers.logits[rows], answers.true[rows]), answers.dialogues)


def gain(answers: Answers, other: Answers, measure: Measure) -> tuple[float, float, float]:
    """By how much a measure of the answers is above that of others to the same turns, with its interval."""

    def difference(rows: np.ndarray) -> float:
        true = answers.true[rows]
        return measure(answers.logits[rows], true) - measure(other.logits[rows], true)

    return difference(np.arange(len(answers.true))), *metrics.bootstrap(difference, answers.dialogues)


def mean_gain(
    answers: Sequence[Answers], others: Sequence[Answers], measure: Measure, samples: int = 200
) -> tuple[float, float, float]:
    """Mean difference between two groups of models, with a bootstrap interval over dialogues."""
    true = answers[0].true

    def difference(rows: np.ndarray) -> float:
        means = [np.mean([measure(each.logits[rows], true[rows]) for each in group]) for group in (answers, others)]
        return float(means[0] - means[1])

    interval = metrics.bootstrap(difference, answers[0].dialogues, samples=samples)
    return difference(np.arange(len(true))), *interval


def row_of(answers: Answers, alone: Answers, measures: Mapping[str, Measure]) -> dict[str, str]:
    """A row of a table: each measure with its interval, and how much it is above the answers without context."""
    cells = {}
    for name, measure in measures.items():
        low, high = interval(answers, measure)
        cells[name] = f"{measure(answers.logits, answers.true):.1f} ({low:.1f} to {high:.1f})"
        above, low, high = gain(answers, alone, measure)
        cells[f"{name} above no context"] = f"{above:+.1f} ({low:+.1f} to {high:+.1f})"
    return cells
