"""What could give an unseen emotion away before anything is learned: looked for before every zero-shot evaluation."""

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

SUSPICIOUS = 0.7  # a probe's AUC from which a figure has to be read with care


@dataclass(frozen=True)
class Audit:
    """What was found. `lines` is what is printed."""

    dropped: dict[str, tuple[str, ...]]
    """Modality -> columns left out because they are emotion scores themselves."""
    kept: dict[str, tuple[str, ...]]
    """Modality -> such columns the model reads, because the caller wants their effect shown."""
    probes: dict[str, float]
    """Unseen label -> AUC with which lengths and gaps alone tell its rows from the others; 0.5 is chance."""

    def lines(self) -> list[str]:
        """One sentence a finding."""
        said = []
        for modality, columns in self.dropped.items():
            said.append(f"{modality}: {len(columns)} columns are emotion scores and left out: {', '.join(columns)}")
        for modality, columns in self.kept.items():
            said.append(f"LEAK {modality}: the model reads emotion scores: {', '.join(columns)}")
        said.append("no training label is a synonym of an unseen one")
        for label, value in self.probes.items():
            found = f"AUC {value:.3f}" if value == value else "too few rows"
            warning = ": lengths alone tell it, so read its figure with care" if value >= SUSPICIOUS else ""
            said.append(f"probe of lengths and gaps for {label}: {found}{warning}")
        return said


def audit(fold: Fold, unseen: Sequence[str], split: str = "valid", *, dropped: bool = True) -> Audit:
    """Look a fold over for what gives unseen labels away.

    Args:
        fold: as the models will be given it.
        unseen: canonical names that will be held out.
        split: whose rows are probed; those that will be scored.
        dropped: whether columns that are emotion scores were left out.

    Raises:
        LabelError: a training label is a synonym of an unseen one, and is not held out with it.
        InputError: there are no rows to be scored.
    """
    for label in unseen:
        pairs = leaks([other for other in fold.train.labels if other not in unseen], [label])
        if pairs:
            listed = ", ".join(f"{seen} is a synonym of {hidden}" for seen, hidden in pairs)
            raise LabelError(f"{listed}: such a pair makes the zero-shot figure worthless; hold both out")
    tables = fold.corpus.features if isinstance(fold.corpus, FeatureCorpus) else {}
    scores = {name: feature_names.emotion_columns(table.feature_set.columns) for name, table in tables.items()}
    found = {name: columns for name, columns in scores.items() if columns}
    rows = fold.part(split)
    shape = shape_features(rows)
    probes = {label: probe(shape, rows.targets[:, rows.labels.index(label)] == 1) for label in unseen}
    return Audit(found if dropped else {}, {} if dropped else found, probes)


def audit_study(study: Study) -> list[str]:
    """What is printed before a zero-shot evaluation: the audit of the first fold, for every held-out group.

    Raises:
        LabelError: a training label is a synonym of an unseen one, or a name is not a label of the corpus.
        InputError: the study holds out no emotion.
    """
    audits = [audit(study.folds[0], group, study.split, dropped=study.drop) for group in study.asked()]
    probes = {label: value for one in audits for label, value in one.probes.items()}
    return replace(audits[0], probes=probes).lines()


def shape_features(data: EmotionData) -> np.ndarray:
    """What preprocessing leaves on a row, `(rows, 5 * modalities)`: no value of a feature, only where values are.

    By modality: present, length, share of steps that are all zero, whether the first is, whether the last is.
    """
    rows = []
    for i in data.ids:
        row: list[float] = []
        for store in data.inputs.values():
            blank: np.ndarray = np.zeros(0, bool)
            if i in store:
                blank = np.asarray((store[i] == 0).all(axis=1))
            there = len(blank) > 0
            row += [there, len(blank), blank.mean() if there else 0, there and blank[0], there and blank[-1]]
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def probe(shape: np.ndarray, bears: np.ndarray) -> float:
    """AUC of a logistic regression on shape alone, cross-validated; NaN for fewer than ten rows of either kind."""
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
