"""Zero-shot evaluation: emotions held out of training, then answered for.

Two readings side by side. Per unseen label, AUC and average precision of its score over all rows: does the score
rank? Where labels exclude each other the score is its probability among all labels, before calibration; where they
do not, its logit. Generalised (Xian et al. 2018; Chao et al. 2016): seen and unseen labels compete for every row; S
and U are the UAR of rows with seen and with unseen labels, H their harmonic mean.
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
"""Points of rows `(rows, point_dim)` by split and modality."""


def evaluate(study: Study, *, pseudo_unseen: bool = False) -> pd.DataFrame:
    """Train with emotions held out and measure; one row per seed, fold and held-out group (and unseen label).

    Args:
        study: what is held out, trained and scored.
        pseudo_unseen: choose the offset of calibrated stacking by a second model from which a seen label is held out
            as well; by default from the seen labels' own validation rows, which costs nothing.
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
    """The offset that serves a seen label best when it too is held out.

    The seed picks the seen label that plays the part of an unseen one, among those that validation rows bear and that
    have no synonym left in training. None where there is none, and where labels do not exclude each other.

    `untrained` asks the untouched sentence encoder, which knows every label by its name alone.
    """
    if bool(fold.valid.multi_label.all()):
        return None
    seen = [label for label in fold.train.labels if label not in unseen]
    borne = {label for label in seen if (fold.valid.targets[:, fold.valid.labels.index(label)] == 1).any()}
    free = [
        label for label in seen if label in borne and not leaks([other for other in seen if other != label], [label])
    ]
    if not free:
        return None
    pseudo = free[seed % len(free)]
    model = untrained_model(fold, study.base) if untrained else None
    if model is None:
        model = study.model(fold, (*unseen, pseudo), seed)
    rows = fold.valid.without(unseen)
    logits = predict_logits(model, rows)["fused"]
    return best_offset(logits, rows.targets.argmax(axis=1), np.array([label != pseudo for label in rows.labels]))


def encode(model: EmotionModel, fold: Fold, split: str) -> Encoded:
    """Points of all that is asked of one model: validation rows, and those of the split that is scored."""
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
    """The measures of one model, a row per unseen label.

    Args:
        model: trained without the unseen labels.
        fold: of the corpus.
        unseen: canonical names.
        split: what is scored.
        facts: go into each row (seed, fold, shots).
        encoded: what `encode` says of the fold, where the caller has it already.
        offset: of calibrated stacking; from the seen labels' validation rows by default.
    """
    scored = fold.part(split)
    valid_data = fold.valid.without(unseen)
    encoded = encoded or encode(model, fold, split)
    points, valid_points = encoded[split], picked(encoded["valid"], fold.valid, valid_data)
    logits = score_rows(model, points, scored.labels)["fused"]
    valid = score_rows(model, valid_points, scored.labels)["fused"]
    several = bool(scored.multi_label.all())
    if several:
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
    """What rows are ranked by for a label: its logit, or its probability among all where labels exclude each other."""
    if bool(rows.multi_label.all()):
        return logits
    return torch.from_numpy(logits).log_softmax(dim=1).numpy()


def untrained_similarity(
    folds: Sequence[Fold], base: EmotionModel, labels: Sequence[str], split: str
) -> dict[str, dict[str, float]]:
    """AUC and average precision of labels by the untouched sentence encoder, mean over folds; NaN without raw texts."""
    found: dict[str, dict[str, float]] = {label: {"auc": float("nan"), "ap": float("nan")} for label in labels}
    model = untrained_model(folds[0], base)
    if model is None:
        return found
    measured: dict[str, list[tuple[float, float]]] = {label: [] for label in labels}
    for fold in folds:
        scored = fold.part(split)
        ranks = ranked(predict_logits(model, scored)["fused"], scored)
        for label in labels:
            column = scored.labels.index(label)
            said, bears = ranks[:, column], scored.targets[:, column] == 1
            measured[label].append((metrics.auc(said, bears), metrics.average_precision(said, bears)))
    for label, pairs in measured.items():
        found[label] = dict(zip(("auc", "ap"), np.mean(pairs, axis=0).tolist(), strict=True))
    return found


def untrained_model(fold: Fold, base: EmotionModel) -> EmotionModel | None:
    """The untouched sentence encoder as a model of a fold's raw texts alone; None where there are none."""
    if [one.encoder for one in fold.modalities.values()] != ["transformer"]:
        return None
    return build(fold.modalities, phrases_for("text", base), like=base).eval()


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Mean over labels and folds within each seed, then mean and standard deviation over seeds."""
    present = [name for name in (*MEASURES, "chance_uar", "majority_uar", "chance_ap") if name in table]
    by_seed = table.groupby(["seed", "fold", "group"])[present].mean().groupby("seed").mean()
    return pd.DataFrame({"mean": by_seed.mean(), "sd over seeds": by_seed.std(ddof=1)})


def by_label(table: pd.DataFrame) -> pd.DataFrame:
    """Per unseen label, mean over seeds and folds."""
    return table.groupby("unseen", sort=False)[["auc", "ap", "chance_ap"]].mean()


def _single_label(
    logits: np.ndarray,
    scored: EmotionData,
    valid: np.ndarray,
    valid_data: EmotionData,
    unseen: Sequence[str],
    offset: float | None = None,
) -> tuple[dict[str, float], np.ndarray]:
    """Figures, and which label was answered for each row as booleans `(rows, labels)`."""
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
    """Macro-F1: seen labels with thresholds from validation; an unseen one is answered as often as a seen one is.

    And which labels were answered, booleans `(rows, labels)`.
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
