"""All emotions seen: the method beside networks of fixed classes and answers that look at nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emoembed import metrics
from emoembed.evaluation import baselines, held_out
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.report import Report
from emoembed.model.model import EmotionModel
from emoembed.training.loop import TrainConfig, fit, predict_logits


def report_on(
    report: Report,
    folds: Sequence[Fold],
    base: EmotionModel,
    seeds: Sequence[int],
    split: str,
    closed_set: bool,
    config: TrainConfig,
    cache: Path | None,
    progress: bool,
) -> None:
    """All emotions seen: the method, the networks and the answers that look at nothing, on the same rows."""
    own = folds[0].method
    makers: dict[str, Callable[[Fold, int], Any]] = {
        own: lambda fold, seed: held_out.train_without(
            fold, (), seed, base=base, cache=cache, training=config, progress=progress
        )
    }
    if (
        closed_set
        and folds[0].kind == "sequence"
        and all(m.encoder != "transformer" for m in folds[0].modalities.values())
    ):
        makers |= {name: partial(_closed_set, name, config) for name in baselines.CLOSED_SET}
    rows: list[dict[str, Any]] = []
    summaries: list[dict[str, Any]] = []
    for name, make in makers.items():
        for seed in seeds:
            answers = [_answer(make(fold, seed), fold, split) for fold in folds]
            rows += [{"system": name, "seed": seed, **row} for row in _label_rows(answers, folds, split)]
            summaries.append({"system": name, "seed": seed, **_overall(answers, folds, split)})
            if name == own and seed == seeds[0]:
                report.tables["All emotions seen, first seed, with 95 % intervals"] = _with_intervals(
                    answers, folds, split
                )
                _keep_scores(report, answers, folds, split)
    several = bool(folds[0].train.multi_label.all())
    for name in ("always negative", "majority", "prior"):
        answers = []
        for fold in folds:
            scored = fold.part(split)
            answered = baselines.trivial(fold.train.targets == 1, scored.targets == 1, multi_label=several)[name]
            answers.append((np.zeros(answered.shape), answered))
        trivial = [{"system": name, "seed": 0, **row} for row in _label_rows(answers, folds, split)]
        rows += [{**row, "auc": 0.5} for row in trivial]
        summaries.append({"system": name, "seed": 0, **_overall(answers, folds, split)})
    table = pd.DataFrame(rows)
    order = list(dict.fromkeys(table["system"]))
    report.tables["All emotions seen: WAcc, F1 and AUC by emotion, mean over seeds"] = _by_emotion(table, order)
    by_system = pd.DataFrame(summaries).drop(columns="seed").groupby("system", sort=False)
    mean, spread = by_system.mean(), by_system.std()
    pairs = {name: column for measure in mean for name, column in _with_spread(mean, spread, str(measure))}
    report.tables["All emotions seen: means"] = pd.DataFrame(pairs).loc[order].dropna(axis=1, how="all")


def _closed_set(name: str, config: TrainConfig, fold: Fold, seed: int) -> baselines.ClosedSet:
    torch.manual_seed(seed)
    model = baselines.ClosedSet(fold.train.labels, fold.modalities, baselines.CLOSED_SET[name])
    model.fit_inputs(fold.train)
    fit(model, fold.train, fold.valid, TrainConfig(**{**asdict(config), "seed": seed, "modality_dropout": 0.0}))
    return model


def _answer(model: Any, fold: Fold, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and boolean answers `(rows, labels)`; thresholds of labels that may co-occur are from validation."""
    scored = fold.part(split)
    logits = predict_logits(model, scored)["fused"]
    if not scored.multi_label.all():
        return logits, np.eye(logits.shape[1], dtype=bool)[logits.argmax(axis=1)]
    valid = predict_logits(model, fold.valid)["fused"]
    return logits, logits >= metrics.balanced_thresholds(valid, fold.valid.targets == 1)


def _label_rows(
    answers: Sequence[tuple[np.ndarray, np.ndarray]], folds: Sequence[Fold], split: str
) -> list[dict[str, Any]]:
    """One row a fold and label."""
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


def _overall(answers: Sequence[tuple[np.ndarray, np.ndarray]], folds: Sequence[Fold], split: str) -> dict[str, float]:
    """Figures over all labels, mean over folds."""
    found = []
    for (_, answered), fold in zip(answers, folds, strict=True):
        scored = fold.part(split)
        bears = scored.targets == 1
        there = bears.any(axis=0)  # a label without a row in the split has no recall
        each = [metrics.balanced_accuracy(a, b) for a, b in zip(answered.T[there], bears.T[there], strict=True)]
        row = {
            "WAcc": float(np.mean(each)),
            "macro F1": metrics.macro_f1(answered, bears),
        }
        if not scored.multi_label.all():
            predicted = np.where(answered.any(axis=1), answered.argmax(axis=1), -1)
            true = bears.argmax(axis=1)
            row |= {
                "accuracy": float((predicted == true).mean()),
                "UAR": metrics.uar(predicted, true),
                "weighted F1": metrics.weighted_f1(predicted, true),
            }
        found.append(row)
    return {name: float(np.mean([row[name] for row in found])) for name in found[0]}


def _with_intervals(
    answers: Sequence[tuple[np.ndarray, np.ndarray]], folds: Sequence[Fold], split: str
) -> pd.DataFrame:
    """By label over all folds' rows: WAcc, F1, AUC with bootstrap intervals over dialogues, videos or speakers."""
    logits = np.concatenate([one for one, _ in answers])
    answered = np.concatenate([one for _, one in answers])
    parts = [fold.part(split) for fold in folds]
    bears = np.concatenate([part.targets == 1 for part in parts])
    groups = np.array([fold.groups[i] for fold, part in zip(folds, parts, strict=True) for i in part.ids])
    rows = []
    for i, label in enumerate(parts[0].labels):
        row: dict[str, Any] = {"emotion": label, "rows": int(bears[:, i].sum())}
        statistics: dict[str, Callable[[np.ndarray], float]] = {
            "WAcc": partial(_redrawn, metrics.balanced_accuracy, answered[:, i], bears[:, i]),
            "F1": partial(_redrawn, partial(metrics.f1, absent=np.nan), answered[:, i], bears[:, i]),
            "AUC": partial(_redrawn, metrics.auc, logits[:, i], bears[:, i]),
        }
        for name, statistic in statistics.items():
            low, high = metrics.bootstrap(statistic, groups, samples=300)
            value = statistic(np.arange(len(bears)))
            row |= {name: 0.0 if name == "F1" and np.isnan(value) else value, f"{name} low": low, f"{name} high": high}
        rows.append(row)
    return pd.DataFrame(rows).set_index("emotion")


def _redrawn(
    measure: Callable[[np.ndarray, np.ndarray], float], scores: np.ndarray, bears: np.ndarray, rows: np.ndarray
) -> float:
    return measure(scores[rows], bears[rows])


def _keep_scores(
    report: Report, answers: Sequence[tuple[np.ndarray, np.ndarray]], folds: Sequence[Fold], split: str
) -> None:
    """What the plots draw: confidences with hits, and a confusion matrix where labels exclude each other."""
    logits = np.concatenate([one for one, _ in answers])
    bears = np.concatenate([fold.part(split).targets == 1 for fold in folds])
    labels = np.array(folds[0].train.labels)
    if bool(folds[0].train.multi_label.all()):
        probabilities = torch.from_numpy(logits).sigmoid().numpy().ravel()
        correct = bears.ravel()
    else:
        softmax = torch.from_numpy(logits).softmax(dim=1).numpy()
        probabilities, predicted, true = softmax.max(axis=1), logits.argmax(axis=1), bears.argmax(axis=1)
        correct = predicted == true
        confusion = np.zeros((len(labels), len(labels)))
        np.add.at(confusion, (true, predicted), 1)
        report.scores["confusion"] = confusion
    report.scores |= {"labels": labels, "probabilities": probabilities, "correct": correct.astype(float)}
    error = metrics.expected_calibration_error(probabilities, correct)
    report.lines["Calibration, first seed"] = [f"expected calibration error, uncalibrated: {error:.3f}"]


def _with_spread(mean: pd.DataFrame, spread: pd.DataFrame, measure: str) -> list[tuple[str, pd.Series]]:
    return [(measure, mean[measure]), (f"{measure} sd", spread[measure])]


def _by_emotion(table: pd.DataFrame, order: Sequence[str]) -> pd.DataFrame:
    """`WAcc / F1 / AUC` of each emotion, mean over seeds and folds, and their mean over emotions."""
    measures = ["wacc", "f1", "auc"]
    means = table.groupby(["system", "label"], sort=False)[measures].mean()
    rows = {}
    for system in order:
        own = means.xs(system, level="system")
        values = own.to_numpy()
        cells = {str(x): " / ".join(f"{v:.3f}" for v in row) for x, row in zip(own.index, values, strict=True)}
        rows[system] = {**cells, "mean": " / ".join(f"{v:.3f}" for v in np.nanmean(values, axis=0))}
    return pd.DataFrame(rows).T.rename_axis("system")
