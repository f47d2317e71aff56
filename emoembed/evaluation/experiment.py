"""A protocol run from end to end: all emotions seen, then each unseen one, beside what a figure has to beat."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emoembed import __version__
from emoembed.corpora import published
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.data import EmotionData
from emoembed.evaluation import baselines, few_shot, held_out, leak_audit, metrics, protocols, zero_shot
from emoembed.evaluation.held_out import Fold
from emoembed.evaluation.report import Report
from emoembed.model import EmotionModel
from emoembed.train import TrainConfig, fit, predict_logits
from emoembed.words import WordTable

PACKAGES = ("torch", "numpy", "transformers", "scikit-learn")
SHOTS: tuple[int | str, ...] = (0, "1%", 1, 2, 4, 8, 16)


def run(
    corpus: str,
    data: Path,
    protocol: str,
    *,
    base: EmotionModel,
    unseen: str | Sequence[str] | None = None,
    seeds: Sequence[int] = (0,),
    split: str = "valid",
    shots: Sequence[int | str] = SHOTS,
    closed_set: bool = True,
    drop: bool = True,
    words: WordTable | None = None,
    method: str = "emoembed",
    epochs: int | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> Report:
    """Train and measure: all emotions seen, beside baselines; then each unseen one, zero-shot and with examples.

    Args:
        corpus, data: as `corpora.load` takes them.
        protocol: a key of `protocols.PROTOCOLS`.
        base: whose untouched sentence encoder text models start from.
        unseen: emotions held out together, comma-separated or a list; `"each"` for those the protocol names, one at a
            time (all of them where it names none); None leaves zero-shot and few-shot out.
        seeds: one run each.
        split: what is scored; `"test"` only for a figure one means to print.
        shots: numbers of examples; `"1%"` is the paper's share of the training rows that bear the label.
        closed_set: train EF-LSTM, LF-LSTM and MulT beside, where the rows are ready features.
        drop: leave out feature columns that are emotion scores; False shows their effect, and the audit says so.
        words, method: what embeds labels and which model is trained, as `held_out.load_folds` takes them; `mtee`
            has no few-shot vectors, so that those tables are left out.
        epochs: instead of the recipes'.
        cache: where features and trained models are kept.
        progress: show bars.
    """
    one = protocols.get(protocol)
    options = {"cache": cache, "protocol": protocol, "drop": drop, "words": words, "method": method}
    folds = list(held_out.load_folds(corpus, data, base, **options))  # type: ignore[arg-type]
    groups = _groups(unseen, one, folds[0]) if unseen is not None else []
    config = _shortened(held_out.training_of(folds[0], seen=True), epochs)
    report = Report(
        f"{folds[0].name.rpartition('-')[0]}, {protocol}, {split} split", _facts(folds, one, seeds, split, config)
    )
    _supervised(report, folds, base, seeds, split, closed_set, config, cache, progress)
    if groups:
        config = _shortened(held_out.training_of(folds[0]), epochs)
        counts = shots if method == "emoembed" else ()
        _unseen(report, folds, groups, base, seeds, split, counts, drop, config, cache)
    listed = [figure for figure in published.FIGURES if figure.protocol == protocol]
    if listed:
        rows = [
            {"system": f.system, "reads": f.reads, **f.figures, "source": f.source, "caution": f.caution}
            for f in listed
        ]
        report.tables["Published, in per cent"] = pd.DataFrame(rows).set_index("system").fillna("")
    return report


def _shortened(config: TrainConfig, epochs: int | None) -> TrainConfig:
    return config if epochs is None else replace(config, epochs=epochs, patience=epochs)


def _facts(
    folds: Sequence[Fold], protocol: protocols.Protocol, seeds: Sequence[int], split: str, config: TrainConfig
) -> dict[str, Any]:
    corpus = folds[0].corpus
    rows = {name: sum(len(getattr(fold, name)) for fold in folds) for name in ("train", "valid", "test")}
    expected = ", ".join(f"{name} {count:,}" for name, count in protocol.rows.items())
    facts: dict[str, Any] = {
        "protocol": f"{protocol.name}: {protocol.about}",
        "rows": ", ".join(f"{name} {count:,}" for name, count in rows.items())
        + (f" over {len(folds)} folds" if len(folds) > 1 else "")
        + (f"; published: {expected}" if expected else ""),
        "reads": ", ".join(f"{name} ({one.features}, {one.encoder})" for name, one in folds[0].modalities.items()),
        "seeds": ", ".join(map(str, seeds)),
        "scored": split,
        "data fingerprint": ", ".join(held_out.hash_of(fold.train) for fold in folds),
        "emoembed": f"{__version__}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "training": asdict(config),
    }
    if protocol.warning:
        facts["warning"] = protocol.warning
    if isinstance(corpus, FeatureCorpus):
        facts["form"] = corpus.form
    return facts


def _groups(unseen: str | Sequence[str], protocol: protocols.Protocol, fold: Fold) -> list[tuple[str, ...]]:
    if unseen == "each" and protocol.unseen:
        return [(label,) for label in protocol.unseen]
    return held_out.parse_unseen(unseen, fold.train.labels)


def _supervised(
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
            scored: EmotionData = getattr(fold, split)
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


def _unseen(
    report: Report,
    folds: Sequence[Fold],
    groups: Sequence[tuple[str, ...]],
    base: EmotionModel,
    seeds: Sequence[int],
    split: str,
    shots: Sequence[int | str],
    drop: bool,
    config: TrainConfig,
    cache: Path | None,
) -> None:
    """Each held-out group: the audit, zero-shot in both readings, and a few examples."""
    names = tuple(dict.fromkeys(label for group in groups for label in group))
    audits = [leak_audit.audit(folds[0], group, split, dropped=drop) for group in groups]
    probes = {label: value for one in audits for label, value in one.probes.items()}
    report.lines["Leak audit"] = replace(audits[0], probes=probes).lines()
    measured: list[dict[str, object]] = []
    taught: list[pd.DataFrame] = []
    for fold in folds:
        for group in groups:
            for seed in seeds:
                model = held_out.train_without(fold, group, seed, base=base, cache=cache, training=config)
                offset = zero_shot.pseudo_offset(fold, group, seed, base, cache=cache, training=config)
                facts = {"seed": seed, "fold": fold.name}
                measured += zero_shot.measure(model, fold, group, split, facts, offset=offset)
                if shots:
                    taught.append(few_shot.curve(model, fold, group, split, shots, seed=seed, offset=offset))
    table = pd.DataFrame(measured)
    columns = [name for name in ("wacc", "f1", "auc", "ap", "chance_ap") if name in table]
    by_label = table.groupby("unseen", sort=False)[columns].mean()
    spread = table.groupby(["unseen", "seed"], sort=False)["auc"].mean().groupby("unseen", sort=False).std()
    by_label.insert(columns.index("auc") + 1, "auc sd", spread)
    untrained = zero_shot.untrained_similarity(folds, base, names, split)
    for measure in ("auc", "ap"):
        by_label[f"untrained {measure}"] = [untrained[label][measure] for label in by_label.index]
    by_label.loc["mean"] = by_label.mean()
    report.tables["Zero-shot: each unseen emotion, its rows left out of training"] = by_label
    present = [name for name in (*zero_shot.MEASURES[:4], "macro_f1_seen", "macro_f1_unseen") if name in table]
    shared = table.groupby(["group", "seed"], sort=False)[present].mean().groupby("group", sort=False).mean()
    shared.loc["mean"] = shared.mean()
    start = zero_shot.untrained_model(folds[0], base)
    if start is not None:
        rows = [row for fold in folds for group in groups for row in zero_shot.measure(start, fold, group, split, {})]
        for name, row in pd.DataFrame(rows).groupby("group", sort=False)[present].mean().iterrows():
            shared.loc[f"untrained similarity, {name}"] = row
    report.tables["Generalised zero-shot: seen and unseen compete"] = shared
    if taught:
        report.tables["With a few examples, mean over emotions (five draws; sd over draws)"] = few_shot.summarize(
            pd.concat(taught, ignore_index=True)
        )


def _closed_set(name: str, config: TrainConfig, fold: Fold, seed: int) -> baselines.ClosedSet:
    torch.manual_seed(seed)
    model = baselines.ClosedSet(fold.train.labels, fold.modalities, baselines.CLOSED_SET[name])
    model.fit_inputs(fold.train)
    fit(model, fold.train, fold.valid, TrainConfig(**{**asdict(config), "seed": seed, "modality_dropout": 0.0}))  # type: ignore[arg-type]
    return model


def _answer(model: Any, fold: Fold, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and boolean answers `(rows, labels)`; thresholds of labels that may co-occur are from validation."""
    scored: EmotionData = getattr(fold, split)
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
        scored: EmotionData = getattr(fold, split)
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
        scored: EmotionData = getattr(fold, split)
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
    parts = [getattr(fold, split) for fold in folds]
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
    bears = np.concatenate([getattr(fold, split).targets == 1 for fold in folds])
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
