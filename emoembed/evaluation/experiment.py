"""A protocol run from end to end: all emotions seen, then each unseen one, beside what a figure has to beat."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from emoembed import __version__
from emoembed.corpora import published
from emoembed.corpora.feature_corpus import FeatureCorpus
from emoembed.errors import InputError
from emoembed.evaluation import all_seen, few_shot, held_out, leak_audit, protocols, zero_shot
from emoembed.evaluation.folds import Fold, hash_of, load_folds, parse_unseen
from emoembed.evaluation.report import Report
from emoembed.labels.phrases import WordTable
from emoembed.model.model import EmotionModel
from emoembed.training.loop import TrainConfig

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
            time unless it holds them out together (all labels where it names none); None leaves zero-shot and
            few-shot out.
        seeds: one run each.
        split: what is scored; `"test"` only for a figure one means to print.
        shots: numbers of examples; `"1%"` is the paper's share of the training rows that bear the label.
        closed_set: train EF-LSTM, LF-LSTM and MulT beside, where the rows are ready features.
        drop: leave out feature columns that are emotion scores; False shows their effect, and the audit says so.
        words, method: what embeds labels and which model is trained, as `load_folds` takes them; `mtee`
            has no few-shot vectors, so that those tables are left out.
        epochs: instead of the recipes'.
        cache: where features and trained models are kept.
        progress: show bars.
    """
    one = protocols.get(protocol)
    options = {"cache": cache, "protocol": protocol, "drop": drop, "words": words, "method": method}
    folds = list(load_folds(corpus, data, base, **options))  # type: ignore[arg-type]
    for fold in folds:
        fold.part(split)
    groups = _groups(unseen, one, folds[0]) if unseen is not None else []
    config = _shortened(held_out.training_of(folds[0], seen=True), epochs)
    report = Report(
        f"{folds[0].name.rpartition('-')[0]}, {protocol}, {split} split", _facts(folds, one, seeds, split, config)
    )
    if groups:
        without = _shortened(held_out.training_of(folds[0]), epochs)
        report.facts["training without"] = asdict(without)
        report.lines["Leak audit"] = _audited(folds, groups, split, drop)
    all_seen.report_on(report, folds, base, seeds, split, closed_set, config, cache, progress)
    if groups:
        counts = shots if method == "emoembed" else ()
        _unseen(report, folds, groups, base, seeds, split, counts, without, cache, progress)
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
        "data fingerprint": ", ".join(hash_of(fold.train) for fold in folds),
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
        return [protocol.unseen] if protocol.together else [(label,) for label in protocol.unseen]
    groups = parse_unseen(unseen, fold.train.labels)
    if protocol.together and {frozenset(group) for group in groups} != {frozenset(protocol.unseen)}:
        raise InputError(
            f"{protocol.name} trains without {', '.join(protocol.unseen)} together; given {unseen!r}: ask for 'each'"
        )
    return groups


def _audited(folds: Sequence[Fold], groups: Sequence[tuple[str, ...]], split: str, drop: bool) -> list[str]:
    """What the leak audit says of the first fold; it raises before hours of training where a synonym stays in."""
    audits = [leak_audit.audit(folds[0], group, split, dropped=drop) for group in groups]
    probes = {label: value for one in audits for label, value in one.probes.items()}
    return replace(audits[0], probes=probes).lines()


def _unseen(
    report: Report,
    folds: Sequence[Fold],
    groups: Sequence[tuple[str, ...]],
    base: EmotionModel,
    seeds: Sequence[int],
    split: str,
    shots: Sequence[int | str],
    config: TrainConfig,
    cache: Path | None,
    progress: bool,
) -> None:
    """Each held-out group: zero-shot in both readings, and a few examples."""
    names = tuple(dict.fromkeys(label for group in groups for label in group))
    measured: list[dict[str, object]] = []
    taught: list[pd.DataFrame] = []
    for fold, group, seed in product(folds, groups, seeds):
        model = held_out.train_without(fold, group, seed, base=base, cache=cache, training=config, progress=progress)
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
        rows = []
        for fold, group, seed in product(folds, groups, seeds):
            offset = zero_shot.pseudo_offset(fold, group, seed, base, untrained=True)
            rows += zero_shot.measure(start, fold, group, split, {}, offset=offset)
        for name, row in pd.DataFrame(rows).groupby("group", sort=False)[present].mean().iterrows():
            shared.loc[f"untrained similarity, {name}"] = row
    report.tables["Generalised zero-shot: seen and unseen compete"] = shared
    if taught:
        report.tables["With a few examples, mean over emotions (five draws; sd over draws)"] = few_shot.summarize(
            pd.concat(taught, ignore_index=True)
        )
