"""Evaluate with all emotions seen: the method, closed-set networks and trivial baselines, on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch

from emoembed import metrics
from emoembed.evaluation import baselines
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.report import Section
from emoembed.evaluation.study import Study
from emoembed.training.config import TrainConfig
from emoembed.training.loop import optimise, predict_logits

Answers = Sequence[tuple[np.ndarray, np.ndarray]]
"""One pair per fold: logits and boolean answers, both `(rows, labels)`."""


def measure(study: Study, *, closed_set: bool = True) -> Section:
    """Train and score with all emotions seen: the method, closed-set networks and trivial baselines, on the same rows.

    Args:
        study: the corpus, the method and the seeds.
        closed_set: also train EF-LSTM, LF-LSTM and MulT. Applies only where all modalities are ready features.
    """
    folds, split = study.folds, study.split
    rows: list[dict[str, Any]] = []
    summaries: list[dict[str, Any]] = []
    first: Answers = ()
    for system, make in _systems(study, closed_set).items():
        for seed in study.seeds:
            answers: Answers = [_answer(make(fold, seed), fold, split) for fold in folds]
            first = first or answers
            rows += [{"system": system, "seed": seed, **row} for row in _label_rows(answers, folds, split)]
            summaries.append({"system": system, "seed": seed, **_overall(answers, folds, split)})
    for system, answers in _trivial(folds, split).items():
        trivial = [{"system": system, "seed": 0, **row} for row in _label_rows(answers, folds, split)]
        rows += [{**row, "auc": 0.5} for row in trivial]
        summaries.append({"system": system, "seed": 0, **_overall(answers, folds, split)})
    table = pd.DataFrame(rows)
    order = list(dict.fromkeys(table["system"]))
    by_system = pd.DataFrame(summaries).drop(columns="seed").groupby("system", sort=False)
    mean, deviation = by_system.mean(), by_system.std().add_suffix(" sd")
    columns = [name for measure in mean for name in (measure, f"{measure} sd")]
    scores, error = _scores(first, folds, split)
    return Section(
        {
            "All emotions seen, first seed, with 95 % intervals": _with_intervals(first, folds, split),
            "All emotions seen: WAcc, F1 and AUC by emotion, mean over seeds": _by_emotion(table, order),
            "All emotions seen: means": pd.concat([mean, deviation], axis=1)[columns]
            .loc[order]
            .dropna(axis=1, how="all"),
        },
        {"Calibration, first seed": [f"expected calibration error, uncalibrated: {error:.3f}"]},
        scores,
    )


def _systems(study: Study, closed_set: bool) -> dict[str, Callable[[Fold, int], Any]]:
    """System name -> a function that trains it. The study's own method comes first."""
    fold = study.folds[0]
    systems: dict[str, Callable[[Fold, int], Any]] = {fold.method: lambda fold, seed: study.model(fold, (), seed)}
    has_ready_features = fold.kind == "sequence" and all(
        config.encoder != "transformer" for config in fold.modalities.values()
    )
    if closed_set and has_ready_features:
        config = study.training(seen=True)
        systems |= {name: partial(_closed_set, name, config) for name in baselines.CLOSED_SET}
    return systems


def _trivial(folds: Sequence[Fold], split: str) -> dict[str, Answers]:
    """The answers of `baselines.trivial` by name, with zeros for logits."""
    multi_label = bool(folds[0].train.multi_label.all())
    answered = [
        baselines.trivial(fold.train.targets == 1, fold.part(split).targets == 1, multi_label=multi_label)
        for fold in folds
    ]
    return {
        name: [(np.zeros(by_name[name].shape), by_name[name]) for by_name in answered]
        for name in ("always negative", "majority", "prior")
    }


def _closed_set(name: str, config: TrainConfig, fold: Fold, seed: int) -> baselines.ClosedSet:
    torch.manual_seed(seed)
    model = baselines.ClosedSet(fold.train.labels, fold.modalities, baselines.CLOSED_SET[name])
    model.fit_inputs(fold.train)
    optimise(model, fold.train, fold.valid, TrainConfig(**{**asdict(config), "seed": seed, "modality_dropout": 0.0}))
    return model


def _answer(model: Any, fold: Fold, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and boolean answers `(rows, labels)`. Multi-label thresholds come from the validation rows."""
    scored = fold.part(split)
    logits = predict_logits(model, scored)["fused"]
    if not scored.multi_label.all():
        return logits, np.eye(logits.shape[1], dtype=bool)[logits.argmax(axis=1)]
    valid = predict_logits(model, fold.valid)["fused"]
    return logits, logits >= metrics.balanced_thresholds(valid, fold.valid.targets == 1)


def _label_rows(answers: Answers, folds: Sequence[Fold], split: str) -> list[dict[str, Any]]:
    """WAcc, F1 and AUC, one row for each fold and label."""
    rows = []
    for (logits, answered), fold in zip(answers, folds, strict=True):
        scored = fold.part(split)
        bears = scored.targets == 1
        for i, label in enumerate(scored.labels):
            rows.append(
                {
                    "label": label,
                    "wacc": metrics.balanced_accuracy(answered[:, i], bears[:, i]),
                    "f1": metrics.f1(answered[:, i], bears[:, i]),
                    "auc": metrics.auc(logits[:, i], bears[:, i]),
                }
            )
    return rows


def _overall(answers: Answers, folds: Sequence[Fold], split: str) -> dict[str, float]:
    """WAcc and macro F1 over all labels; for single-label rows also accuracy, UAR and weighted F1. Mean over folds."""
    rows = []
    for (_, answered), fold in zip(answers, folds, strict=True):
        scored = fold.part(split)
        bears = scored.targets == 1
        has_rows = bears.any(axis=0)  # a label without a row in the split has no recall
        accuracies = [
            metrics.balanced_accuracy(a, b) for a, b in zip(answered.T[has_rows], bears.T[has_rows], strict=True)
        ]
        row = {
            "WAcc": float(np.mean(accuracies)),
            "macro F1": metrics.macro_f1(answered, bears, np.nan),
        }
        if not scored.multi_label.all():
            predicted = np.where(answered.any(axis=1), answered.argmax(axis=1), -1)
            true = bears.argmax(axis=1)
            row |= {
                "accuracy": float((predicted == true).mean()),
                "UAR": metrics.uar(predicted, true),
                "weighted F1": metrics.weighted_f1(predicted, true),
            }
        rows.append(row)
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _with_intervals(answers: Answers, folds: Sequence[Fold], split: str) -> pd.DataFrame:
    """WAcc, F1 and AUC of each label over the rows of all folds. The bootstrap draws dialogues, videos or speakers."""
    logits = np.concatenate([matrix for matrix, _ in answers])
    answered = np.concatenate([matrix for _, matrix in answers])
    parts = [fold.part(split) for fold in folds]
    bears = np.concatenate([part.targets == 1 for part in parts])
    groups = np.array([fold.groups[i] for fold, part in zip(folds, parts, strict=True) for i in part.ids])
    rows = []
    for i, label in enumerate(parts[0].labels):
        row: dict[str, Any] = {"emotion": label, "rows": int(bears[:, i].sum())}
        statistics: dict[str, Callable[[np.ndarray], float]] = {
            "WAcc": partial(_metric_of_sample, metrics.balanced_accuracy, answered[:, i], bears[:, i]),
            "F1": partial(_metric_of_sample, partial(metrics.f1, absent=np.nan), answered[:, i], bears[:, i]),
            "AUC": partial(_metric_of_sample, metrics.auc, logits[:, i], bears[:, i]),
        }
        for name, statistic in statistics.items():
            low, high = metrics.bootstrap(statistic, groups, samples=300)
            value = statistic(np.arange(len(bears)))
            row |= {name: 0.0 if name == "F1" and np.isnan(value) else value, f"{name} low": low, f"{name} high": high}
        rows.append(row)
    return pd.DataFrame(rows).set_index("emotion")


def _metric_of_sample(
    measure: Callable[[np.ndarray, np.ndarray], float], scores: np.ndarray, bears: np.ndarray, rows: np.ndarray
) -> float:
    """The metric on one bootstrap sample of rows."""
    return measure(scores[rows], bears[rows])


def _scores(answers: Answers, folds: Sequence[Fold], split: str) -> tuple[dict[str, np.ndarray], float]:
    """The arrays for the plots, and the expected calibration error.

    The arrays are confidences and whether each answer was correct. Single-label corpora add a confusion matrix.
    """
    logits = np.concatenate([matrix for matrix, _ in answers])
    bears = np.concatenate([fold.part(split).targets == 1 for fold in folds])
    labels = np.array(folds[0].train.labels)
    scores: dict[str, np.ndarray] = {}
    if bool(folds[0].train.multi_label.all()):
        probabilities = torch.from_numpy(logits).sigmoid().numpy().ravel()
        correct = bears.ravel()
    else:
        softmax = torch.from_numpy(logits).softmax(dim=1).numpy()
        probabilities, predicted, true = softmax.max(axis=1), logits.argmax(axis=1), bears.argmax(axis=1)
        correct = predicted == true
        confusion = np.zeros((len(labels), len(labels)))
        np.add.at(confusion, (true, predicted), 1)
        scores["confusion"] = confusion
    scores |= {"labels": labels, "probabilities": probabilities, "correct": correct.astype(float)}
    return scores, metrics.expected_calibration_error(probabilities, correct)


def _by_emotion(table: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """A table with one row per system: `WAcc / F1 / AUC` of each emotion, mean over seeds and folds, and their mean."""
    measures = ["wacc", "f1", "auc"]
    means = table.groupby(["system", "label"], sort=False)[measures].mean()
    rows = {}
    for system in order:
        system_means = means.xs(system, level="system")
        values = system_means.to_numpy()
        cells = {str(x): " / ".join(f"{v:.3f}" for v in row) for x, row in zip(system_means.index, values, strict=True)}
        rows[system] = {**cells, "mean": " / ".join(f"{v:.3f}" for v in np.nanmean(values, axis=0))}
    return pd.DataFrame(rows).T.rename_axis("system")
