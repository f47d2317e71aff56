"""Run a protocol from end to end: all emotions seen, then each unseen emotion, with baselines for comparison."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pandas as pd

from emoembed import __version__
from emoembed.corpora import published
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.evaluation import all_seen, few_shot, leak_audit, protocols, zero_shot
from emoembed.evaluation.folds import hash_of
from emoembed.evaluation.report import Report, Section
from emoembed.evaluation.study import Study

PACKAGES = ("torch", "numpy", "transformers", "scikit-learn")
SHOTS: tuple[int | str, ...] = (0, "1%", 1, 2, 4, 8, 16)


def run(study: Study, *, shots: Sequence[int | str] = SHOTS, closed_set: bool = True) -> Report:
    """Train and measure with all emotions seen and with baselines, then zero-shot and few-shot for unseen emotions.

    Args:
        study: the corpus, the method and the held-out emotions. Without held-out emotions the report has no zero-shot
            and no few-shot table.
        shots: numbers of examples. `"1%"` is 1 % of the training rows that have the label, as in Dai et al. 2020. The
            method `mtee` cannot learn from examples, so its report has no few-shot table.
        closed_set: also train EF-LSTM, LF-LSTM and MulT. Applies only where the rows are ready features.
    """
    report = Report(f"{study.folds[0].name.rpartition('-')[0]}, {study.protocol}, {study.split} split", _facts(study))
    if study.groups:
        report.lines["Leak audit"] = leak_audit.audit_study(study)
    report.add(all_seen.measure(study, closed_set=closed_set))
    if study.groups:
        report.add(_unseen(study, shots if study.method == "emoembed" else ()))
    published_figures = [figure for figure in published.FIGURES if figure.protocol == study.protocol]
    if published_figures:
        rows = [
            {"system": f.system, "reads": f.reads, **f.figures, "source": f.source, "caution": f.caution}
            for f in published_figures
        ]
        report.tables["Published, in per cent"] = pd.DataFrame(rows).set_index("system").fillna("")
    return report


def _facts(study: Study) -> dict[str, Any]:
    folds, protocol = study.folds, protocols.get(study.protocol)
    corpus = folds[0].corpus
    rows = {name: sum(len(getattr(fold, name)) for fold in folds) for name in ("train", "valid", "test")}
    expected = ", ".join(f"{name} {count:,}" for name, count in protocol.rows.items())
    facts: dict[str, Any] = {
        "protocol": f"{protocol.name}: {protocol.about}",
        "rows": ", ".join(f"{name} {count:,}" for name, count in rows.items())
        + (f" over {len(folds)} folds" if len(folds) > 1 else "")
        + (f"; published: {expected}" if expected else ""),
        "reads": ", ".join(
            f"{name} ({config.features}, {config.encoder})" for name, config in folds[0].modalities.items()
        ),
        "seeds": ", ".join(map(str, study.seeds)),
        "scored": study.split,
        "data fingerprint": ", ".join(hash_of(fold.train) for fold in folds),
        "emoembed": f"{__version__}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "training": asdict(study.training(seen=True)),
    }
    if study.groups:
        facts["training without"] = asdict(study.training())
    if protocol.warning:
        facts["warning"] = protocol.warning
    if isinstance(corpus, FeatureCorpus):
        facts["form"] = corpus.form
    return facts


def _unseen(study: Study, shots: Sequence[int | str]) -> Section:
    """Zero-shot, generalised zero-shot and few-shot tables of the held-out groups."""
    measured: list[dict[str, object]] = []
    curves: list[pd.DataFrame] = []
    for fold, group, seed in study.runs():
        model = study.model(fold, group, seed)
        offset = zero_shot.pseudo_offset(study, fold, group, seed)
        facts = {"seed": seed, "fold": fold.name}
        measured += zero_shot.measure(model, fold, group, study.split, facts, offset=offset)
        if shots:
            curves.append(
                few_shot.curve(model, fold, group, study.split, few_shot.Teaching(shots, seed=seed), offset=offset)
            )
    table = pd.DataFrame(measured)
    tables = {
        "Zero-shot: each unseen emotion, its rows left out of training": _by_label(study, table),
        "Generalised zero-shot: seen and unseen compete": _generalised(study, table),
    }
    if curves:
        tables["With a few examples, mean over emotions (five draws; sd over draws)"] = few_shot.summarize(
            pd.concat(curves, ignore_index=True)
        )
    return Section(tables)


def _by_label(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """The measures of each unseen emotion, and those of the untrained sentence encoder."""
    columns = [name for name in ("wacc", "f1", "auc", "ap", "chance_ap") if name in table]
    by_label = table.groupby("unseen", sort=False)[columns].mean()
    deviation = table.groupby(["unseen", "seed"], sort=False)["auc"].mean().groupby("unseen", sort=False).std()
    by_label.insert(columns.index("auc") + 1, "auc sd", deviation)
    similarity = zero_shot.untrained_similarity(study.folds, study.base, list(by_label.index), study.split)
    for measure in ("auc", "ap"):
        by_label[f"untrained {measure}"] = [similarity[label][measure] for label in by_label.index]
    by_label.loc["mean"] = by_label.mean()
    return by_label


def _generalised(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """The measures of each held-out group, and of the untrained sentence encoder where the corpus has raw texts."""
    measures = [name for name in (*zero_shot.MEASURES[:4], "macro_f1_seen", "macro_f1_unseen") if name in table]
    shared = table.groupby(["group", "seed"], sort=False)[measures].mean().groupby("group", sort=False).mean()
    shared.loc["mean"] = shared.mean()
    untrained = zero_shot.untrained_model(study.folds[0], study.base)
    if untrained is None:
        return shared
    rows = []
    for fold, group, seed in study.runs():
        offset = zero_shot.pseudo_offset(study, fold, group, seed, untrained=True)
        rows += zero_shot.measure(untrained, fold, group, study.split, {}, offset=offset)
    for name, row in pd.DataFrame(rows).groupby("group", sort=False)[measures].mean().iterrows():
        shared.loc[f"untrained similarity, {name}"] = row
    return shared
