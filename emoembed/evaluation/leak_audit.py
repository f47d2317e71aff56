"""Audit a corpus for leaks of unseen emotions, before every zero-shot evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from emoembed import metrics
from emoembed.corpora import feature_names
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.errors import LabelError
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.study import Study
from emoembed.labels.emotion import leaks
from emoembed.reading.rows import EmotionData

SUSPICIOUS = 0.7  # from this AUC of a probe, a zero-shot result may come from preprocessing alone


@dataclass(frozen=True)
class Audit:
    """The findings of a leak audit. `lines` returns them for printing."""

    dropped: dict[str, tuple[str, ...]]
    """Modality -> columns that are left out because they are themselves emotion scores."""
    kept: dict[str, tuple[str, ...]]
    """Modality -> columns of emotion scores that the model reads, because the caller asked for them."""
    probes: dict[str, float]
    """Unseen label -> AUC of a classifier that reads only lengths and gaps; 0.5 is chance."""

    def lines(self) -> list[str]:
        """The findings as text, one line each."""
        lines = []
        for modality, columns in self.dropped.items():
            lines.append(f"{modality}: {len(columns)} columns are emotion scores and left out: {', '.join(columns)}")
        for modality, columns in self.kept.items():
            lines.append(f"LEAK {modality}: the model reads emotion scores: {', '.join(columns)}")
        lines.append("no training label is a synonym of an unseen one")
        for label, value in self.probes.items():
            result = f"AUC {value:.3f}" if value == value else "too few rows"
            warning = (
                ": lengths alone predict it, so its zero-shot result may be inflated" if value >= SUSPICIOUS else ""
            )
            lines.append(f"probe of lengths and gaps for {label}: {result}{warning}")
        return lines


def audit(fold: Fold, unseen: Sequence[str], split: str = "valid", *, dropped: bool = True) -> Audit:
    """Search a fold for leaks of the unseen labels.

    Args:
        fold: the rows on which the models will train.
        unseen: canonical names that will be held out.
        split: the split that will be scored; its rows are probed.
        dropped: whether columns that are emotion scores were left out.

    Raises:
        LabelError: a training label is a synonym of an unseen one and is not held out with it.
        InputError: the split has no rows.
    """
    for label in unseen:
        pairs = leaks([other for other in fold.train.labels if other not in unseen], [label])
        if pairs:
            listed = ", ".join(f"{seen} is a synonym of {hidden}" for seen, hidden in pairs)
            raise LabelError(f"{listed}: a zero-shot result with such a pair is worthless; hold both out")
    tables = fold.corpus.features if isinstance(fold.corpus, FeatureCorpus) else {}
    scores = {name: feature_names.emotion_columns(table.feature_set.columns) for name, table in tables.items()}
    emotion_scores = {name: columns for name, columns in scores.items() if columns}
    rows = fold.part(split)
    shape = shape_features(rows)
    probes = {label: probe(shape, rows.targets[:, rows.labels.index(label)] == 1) for label in unseen}
    return Audit(emotion_scores if dropped else {}, {} if dropped else emotion_scores, probes)


def audit_study(study: Study) -> list[str]:
    """Audit the first fold of a study for every held-out group; return the lines to print.

    Raises:
        LabelError: a training label is a synonym of an unseen one, or the corpus has no label of that name.
        InputError: the study holds out no emotion.
    """
    audits = [
        audit(study.folds[0], group, study.split, dropped=study.drop_emotion_columns)
        for group in study.held_out_groups()
    ]
    probes = {label: value for result in audits for label, value in result.probes.items()}
    return replace(audits[0], probes=probes).lines()


def shape_features(data: EmotionData) -> np.ndarray:
    """Traces of preprocessing in each row, `(rows, 5 * modalities)`.

    They depend only on where values are, not on the values.

    The columns of a modality: whether it is present, its length, the share of time steps that are all zero, whether
    the first step is all zero, whether the last step is all zero.
    """
    rows = []
    for i in data.ids:
        row: list[float] = []
        for store in data.inputs.values():
            blank: np.ndarray = np.zeros(0, bool)
            if i in store:
                blank = np.asarray((store[i] == 0).all(axis=1))
            has_steps = len(blank) > 0
            row += [
                has_steps,
                len(blank),
                blank.mean() if has_steps else 0,
                has_steps and blank[0],
                has_steps and blank[-1],
            ]
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def probe(shape: np.ndarray, bears: np.ndarray) -> float:
    """Cross-validated AUC of a logistic regression on `shape`. NaN with fewer than ten positive or negative rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if min(bears.sum(), (~bears).sum()) < 10:
        return float("nan")
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, shape, bears, cv=folds, method="decision_function")
    return metrics.auc(scores, bears)
