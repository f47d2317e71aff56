"""Zero-shot evaluation: hold emotions out of training, then score rows for them.

There are two kinds of measures:

- Ranking: AUC and average precision of each unseen label's score over all rows. For single-label corpora the score is
  the label's uncalibrated probability among all labels; for multi-label corpora it is the logit.
- Generalised zero-shot (Xian et al. 2018; Chao et al. 2016): seen and unseen labels compete for every row. S is the UAR
  of rows with seen labels, U that of rows with unseen labels, and H their harmonic mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from emoembed import metrics
from emoembed.evaluation.folds import Fold, phrases_for
from emoembed.evaluation.study import Study
from emoembed.labels.emotion import leaks
from emoembed.metrics import best_offset, seen_offset
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training.build import build
from emoembed.training.loop import encode_rows, picked, predict_logits, score_rows

MEASURES = (
    *("seen_uar", "unseen_uar", "harmonic", "ausuc", "auc", "ap", "wacc", "f1"),
    *("macro_f1_seen", "macro_f1_unseen"),
)

Encoded = Mapping[str, Mapping[str, Tensor]]
"""Split -> modality -> points of the rows, `(rows, point_dim)`."""


def evaluate(study: Study, *, pseudo_unseen: bool = False) -> pd.DataFrame:
    """Train with held-out emotions and measure. One row per seed, fold and unseen label.

    Args:
        study: the corpus, the method and the held-out emotions.
        pseudo_unseen: choose the offset of calibrated stacking with a second model, which also holds out a seen label.
            By default the validation rows of the seen labels give the offset, without a second training.
    """
    rows: list[dict[str, object]] = []
    for fold, group, seed in study.runs():
        model = study.model(fold, group, seed)
        offset = pseudo_offset(study, fold, group, seed) if pseudo_unseen else None
        rows += measure(model, fold, group, study.split, {"seed": seed, "fold": fold.name}, offset=offset)
    return pd.DataFrame(rows)


def pseudo_offset(
    study: Study, fold: Fold, unseen: Sequence[str], seed: int, *, untrained: bool = False
) -> float | None:
    """The best offset of calibrated stacking for a seen label that is held out as well (a pseudo-unseen label).

    The seed picks the pseudo-unseen label from the seen labels that have validation rows and no synonym in training.
    Returns None if no label qualifies, too few labels would be left to train on, or the corpus is multi-label.

    With `untrained`, the untrained sentence encoder gives the logits. It knows every label only by its name.
    """
    if bool(fold.valid.multi_label.all()):
        return None
    seen = [label for label in fold.train.labels if label not in unseen]
    with_rows = {label for label in seen if (fold.valid.targets[:, fold.valid.labels.index(label)] == 1).any()}
    candidates = [
        label
        for label in seen
        if label in with_rows and not leaks([other for other in seen if other != label], [label])
    ]
    if not candidates:
        return None
    pseudo = candidates[seed % len(candidates)]
    model = untrained_model(fold, study.base) if untrained else None
    if model is None and len(seen) < 3:  # without the pseudo-unseen label, one label would be left to train on
        return None
    if model is None:
        model = study.model(fold, (*unseen, pseudo), seed)
    rows = fold.valid.without(unseen)
    logits = predict_logits(model, rows)["fused"]
    return best_offset(logits, rows.targets.argmax(axis=1), np.array([label != pseudo for label in rows.labels]))


def encode(model: EmotionModel, fold: Fold, split: str) -> Encoded:
    """Encode the validation rows and the rows of the scored split."""
    return {name: encode_rows(model, fold.part(name)) for name in dict.fromkeys(("valid", split))}


def measure(
    model: EmotionModel,
    fold: Fold,
    unseen: Sequence[str],
    split: str,
    facts: dict[str, object],
    encoded: Encoded | None = None,
    offset: float | None = None,
) -> list[dict[str, object]]:
    """The measures of one model. One row per unseen label.

    Args:
        model: trained without the unseen labels.
        fold: one division of the corpus.
        unseen: canonical names.
        split: the split that is scored.
        facts: values added to each row (seed, fold, shots).
        encoded: the result of `encode`, if the caller has it already.
        offset: offset of calibrated stacking. None: the validation rows of the seen labels give it.
    """
    scored = fold.part(split)
    valid_data = fold.valid.without(unseen)
    encoded = encoded or encode(model, fold, split)
    points, valid_points = encoded[split], picked(encoded["valid"], fold.valid, valid_data)
    logits = score_rows(model, points, scored.labels)["fused"]
    valid = score_rows(model, valid_points, scored.labels)["fused"]
    multi_label = bool(scored.multi_label.all())
    if multi_label:
        shared, answered = _multi_label(logits, scored, valid, valid_data, unseen)
    else:
        shared, answered = _single_label(logits, scored, valid, valid_data, unseen, offset)
    ranks = ranked(logits, scored)
    rows = []
    for label in unseen:
        column = scored.labels.index(label)
        bears = scored.targets[:, column] == 1
        rows.append(
            {
                **facts,
                "unseen": label,
                "group": "+".join(unseen),
                "auc": metrics.auc(ranks[:, column], bears),
                "ap": metrics.average_precision(ranks[:, column], bears),
                "chance_ap": float(bears.mean()),
                "wacc": metrics.balanced_accuracy(answered[:, column], bears),
                "f1": metrics.f1(answered[:, column], bears),
                **shared,
            }
        )
    return rows


def ranked(logits: np.ndarray, rows: EmotionData) -> np.ndarray:
    """Scores that rank the rows for each label: logits for multi-label rows, else log-probabilities over labels."""
    if bool(rows.multi_label.all()):
        return logits
    return torch.from_numpy(logits).log_softmax(dim=1).numpy()


def untrained_similarity(
    folds: Sequence[Fold], base: EmotionModel, labels: Sequence[str], split: str
) -> dict[str, dict[str, float]]:
    """AUC and average precision of the untrained sentence encoder. Mean over folds; NaN without raw texts."""
    similarity: dict[str, dict[str, float]] = {label: {"auc": float("nan"), "ap": float("nan")} for label in labels}
    model = untrained_model(folds[0], base)
    if model is None:
        return similarity
    measured: dict[str, list[tuple[float, float]]] = {label: [] for label in labels}
    for fold in folds:
        scored = fold.part(split)
        ranks = ranked(predict_logits(model, scored)["fused"], scored)
        for label in labels:
            column = scored.labels.index(label)
            scores, bears = ranks[:, column], scored.targets[:, column] == 1
            measured[label].append((metrics.auc(scores, bears), metrics.average_precision(scores, bears)))
    for label, pairs in measured.items():
        similarity[label] = dict(zip(("auc", "ap"), np.mean(pairs, axis=0).tolist(), strict=True))
    return similarity


def untrained_model(fold: Fold, base: EmotionModel) -> EmotionModel | None:
    """A model with the untrained sentence encoder. None if the fold reads anything but raw texts."""
    if [config.encoder for config in fold.modalities.values()] != ["transformer"]:
        return None
    return build(fold.modalities, phrases_for("text", base), base=base).eval()


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over labels and folds for each seed, then mean and standard deviation over seeds."""
    measures = [name for name in (*MEASURES, "chance_uar", "majority_uar", "chance_ap") if name in table]
    by_seed = table.groupby(["seed", "fold", "group"])[measures].mean().groupby("seed").mean()
    return pd.DataFrame({"mean": by_seed.mean(), "sd over seeds": by_seed.std(ddof=1)})


def by_label(table: pd.DataFrame) -> pd.DataFrame:
    """AUC, average precision and chance level of each unseen label. Mean over seeds and folds."""
    return table.groupby("unseen", sort=False)[["auc", "ap", "chance_ap"]].mean()


def _single_label(
    logits: np.ndarray,
    scored: EmotionData,
    valid: np.ndarray,
    valid_data: EmotionData,
    unseen: Sequence[str],
    offset: float | None = None,
) -> tuple[dict[str, float], np.ndarray]:
    """The generalised measures, and the answer for each row as booleans `(rows, labels)`."""
    seen = np.array([label not in unseen for label in scored.labels])
    true = scored.targets.argmax(axis=1)
    columns = np.array([scored.labels.index(label) for label in valid_data.labels])
    if offset is None:
        offset = seen_offset(valid, columns[valid_data.targets.argmax(axis=1)], seen)
    answered = (logits - offset * seen).argmax(axis=1)
    rows_seen = seen[true]
    on_seen = metrics.uar(answered[rows_seen], true[rows_seen])
    on_unseen = metrics.uar(answered[~rows_seen], true[~rows_seen])
    closed = np.where(seen, logits, -np.inf)[rows_seen].argmax(axis=1)
    shared = {
        "seen_uar": on_seen,
        "unseen_uar": on_unseen,
        "harmonic": metrics.harmonic_mean(on_seen, on_unseen),
        "ausuc": metrics.ausuc(logits, true, seen),
        "seen_uar_closed": metrics.uar(closed, true[rows_seen]),
        "chance_uar": 1.0 / len(seen),
        "majority_uar": 1.0 / seen.sum(),
    }
    return shared, np.eye(len(seen), dtype=bool)[answered]


def _multi_label(
    logits: np.ndarray, scored: EmotionData, valid: np.ndarray, valid_data: EmotionData, unseen: Sequence[str]
) -> tuple[dict[str, float], np.ndarray]:
    """Macro-F1 of seen and unseen labels, and the answers as booleans `(rows, labels)`.

    Thresholds of seen labels come from the validation rows. The threshold of an unseen label is chosen so that the
    label is predicted as often as the average seen label on the validation rows.
    """
    seen = [i for i, label in enumerate(scored.labels) if label not in unseen]
    hidden = [i for i, label in enumerate(scored.labels) if label in unseen]
    bears = scored.targets == 1
    thresholds = metrics.best_thresholds(valid[:, seen], valid_data.targets == 1)
    rate = float((valid[:, seen] >= thresholds).mean())
    unseen_thresholds = np.quantile(valid[:, hidden], 1 - rate, axis=0)
    answered = np.zeros_like(bears)
    answered[:, seen], answered[:, hidden] = logits[:, seen] >= thresholds, logits[:, hidden] >= unseen_thresholds
    shared = {
        "macro_f1_seen": metrics.macro_f1(answered[:, seen], bears[:, seen]),
        "macro_f1_unseen": metrics.macro_f1(answered[:, hidden], bears[:, hidden]),
    }
    return shared, answered
