"""Measure unseen emotions, study by study: which emotions each model holds out, and which measures are taken.

Every model stays in the cache, so a stopped study resumes.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed import corpora, metrics
from emoembed.evaluation import few_shot, held_out, zero_shot
from emoembed.evaluation.folds import AUDIO_CORPORA, Fold, as_fold, of_one_modality, phrases_for
from emoembed.evaluation.study import Study
from emoembed.features.atomic import write_file
from emoembed.features.workers import Workers
from emoembed.model.config import ModalityConfig
from emoembed.model.expectation import HeldOut
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.training import recipes
from emoembed.training.recipes import Recipe
from emoembed.transfer.attune import attune
from studies import novelty, shipped

SHOTS = (0, 1, 2, 4, 8, 16)


@dataclass(frozen=True)
class UnseenStudy:
    """Labels of a corpus held out in turn; `neutral` only where labels exclude each other."""

    folds: Sequence[Fold]
    modality: str
    """It is scored alone, adapted, and used to estimate unseen labels."""
    base: EmotionModel
    """Models start from its untrained sentence encoder."""
    seeds: int = 1
    """Trainings of each model."""
    split: str = "valid"
    """The rows that are scored."""
    draws: int = 5
    """How often examples are drawn."""
    cache: Path | None = None
    """The folder in which models are kept."""
    measures_file: Path | None = None
    """A CSV to which the measures of each model are appended. Measures of later seeds are read from it, even if their
    models were deleted."""
    workers: Workers = 1
    """Number of processes that train models, or an engine such as `interfaces.scale.Ray`."""
    progress: bool = False
    """Print a line per model: its AUC, and how long it took."""

    def recipe(self, fold: Fold, label: str, seed: int) -> Recipe:
        """The recipe of the model without a label."""
        return held_out.recipe_of(fold, (label,), seed, base=self.base)

    def name(self, fold: Fold, label: str, seed: int) -> str:
        """The name of a model's measures in `_Kept`."""
        return f"{held_out.name_of(fold, (label,), self.recipe(fold, label, seed))}-{self.split}"


@dataclass
class UnseenResults:
    """Measures of labels held out in turn."""

    zero: pd.DataFrame
    """A row per label, fold and seed, of all modalities together."""
    alone: pd.DataFrame
    """The same of one modality."""
    few: pd.DataFrame
    """The same modality taught with examples, of the first seed."""
    expected: list[HeldOut] = field(default_factory=list)
    pooled: dict[str, novelty.Pooled] = field(default_factory=dict)
    """Probabilities of labels never seen, which rows bear them, and their labels: `novelty.pooled`."""

    @property
    def calibration(self) -> pd.DataFrame:
        """Expected calibration error of those probabilities, with its 95 % interval over labels."""
        return pd.DataFrame({name: shipped.error_of("ECE", *pool) for name, pool in self.pooled.items()}).T


def each(study: UnseenStudy) -> UnseenResults:
    """Train a model without each label in turn, and measure it."""
    kept = _Kept(study.measures_file)
    if study.workers != 1:
        _train_ahead(study, kept)
    names: list[str] = []
    few, expected, scores = [], [], []
    for fold in study.folds:
        single = of_one_modality(fold, study.modality)
        for label, seed in product(held_out_labels(fold), range(study.seeds)):
            names.append(study.name(fold, label, seed))
            if seed and names[-1] in kept:
                continue
            begin = time.monotonic()
            model = held_out.train_without(fold, (label,), study.recipe(fold, label, seed), cache=study.cache)
            facts: dict[str, object] = {"seed": seed, "fold": fold.name}
            encoded = zero_shot.encode(model, fold, study.split)
            own = {part: {study.modality: points[study.modality]} for part, points in encoded.items()}
            readings = {"alone": zero_shot.measure(model, single, (label,), study.split, facts, own)}
            if len(fold.modalities) > 1:
                readings["all"] = zero_shot.measure(model, fold, (label,), study.split, facts, encoded)
            kept.add(names[-1], readings)
            if seed == 0:
                teaching = few_shot.Teaching(SHOTS, study.draws)
                few.append(few_shot.curve(model, single, (label,), study.split, teaching, encoded=own))
                expected.append(novelty.measure(model, single, label, study.modality, own))
                scores.append(novelty.score(model, single, label, study.modality, study.split, own))
            if study.progress:
                aucs = ", ".join(f"{reading} {rows[0]['auc']:.3f}" for reading, rows in readings.items())
                took = f"{(time.monotonic() - begin) / 60:.1f} minutes"
                print(f"{fold.name} without {label}, seed {seed}: AUC {aucs}; {took}", flush=True)
    pooled = novelty.pooled(expected, scores)
    alone, zero = (kept.table(names, reading) for reading in ("alone", "all"))
    return UnseenResults(alone if zero.empty else zero, alone, pd.concat(few, ignore_index=True), expected, pooled)


def _train_ahead(study: UnseenStudy, kept: _Kept) -> None:
    """Train models in several processes: those of the first seed, and the others that have no kept measures."""
    folds = tuple(study.folds)
    missing = [
        (position, (label,), seed)
        for position, seed in product(range(len(folds)), range(study.seeds))
        for label in held_out_labels(folds[position])
        if seed == 0 or study.name(folds[position], label, seed) not in kept
    ]
    held_out.train_ahead(missing, folds, study.base, study.workers, cache=study.cache)


def held_out_labels(fold: Fold) -> list[str]:
    """The labels that are held out in turn: all but `neutral`, which is one only if labels exclude each other."""
    all_multi_label = bool(fold.train.multi_label.all())
    return [label for label in fold.train.labels if label != "neutral" or not all_multi_label]


class _Kept:
    """Measures by model and reading, a CSV behind them where a path is given."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows = pd.read_csv(path) if path and path.is_file() else pd.DataFrame(columns=["model", "reading"])

    def __contains__(self, model: str) -> bool:
        return bool((self.rows["model"] == model).any())

    def add(self, model: str, readings: Mapping[str, list[dict[str, object]]]) -> None:
        """Measures of a model, in place of what was known of it."""
        new = [{"model": model, "reading": reading, **row} for reading, rows in readings.items() for row in rows]
        others = self.rows[self.rows["model"] != model]
        self.rows = pd.DataFrame([*others.to_dict("records"), *new])
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.path, self.rows.to_csv(index=False).encode())

    def table(self, models: Sequence[str], reading: str) -> pd.DataFrame:
        """The measures of these models in this order."""
        own = self.rows[(self.rows["reading"] == reading) & self.rows["model"].isin(models)]
        order = own["model"].map({model: place for place, model in enumerate(models)}).sort_values(kind="stable")
        return own.loc[order.index].drop(columns=["model", "reading"]).reset_index(drop=True)


def six_absent(
    base: EmotionModel, data: Path, corpus: str, *, seeds: int = 1, split: str = "valid", cache: Path | None = None
) -> pd.DataFrame:
    """Six emotions by name on a corpus never trained on, by models of GoEmotions without them and their synonyms."""
    fold = Study("goemotions", data, base, cache=cache).folds[0]
    rows = []
    for seed in range(seeds):
        recipe = held_out.recipe_of(fold, shipped.SIX, seed, base=base)
        model = held_out.train_without(fold, shipped.SIX, recipe, cache=cache)
        rows.append(shipped.by_name(model, corpus, data, shipped.SIX, split, system="without them").assign(seed=seed))
    untrained = zero_shot.untrained_model(fold, base)
    assert untrained is not None
    rows.append(shipped.by_name(untrained, corpus, data, shipped.SIX, split, system="untrained").assign(seed=0))
    return pd.concat(rows).set_index("seed", append=True)


def other_corpus(
    base: EmotionModel,
    data: Path,
    scored: str,
    *,
    seeds: int = 1,
    modality: ModalityConfig | None = None,
    cache: Path | None = None,
) -> pd.DataFrame:
    """All rows of a corpus of speech, by models of the other ones: as they are, and attuned to it without labels.

    Labels none of the others have, such as EMO-DB's boredom, are scored by AUC as well.

    Args:
        base: whose label space embeds the labels.
        data: the folder that holds the corpora.
        scored: the corpus that is scored.
        seeds: trainings.
        modality: what reads speech, by default what the recipe has for so many recordings.
        cache: the folder in which models and features are kept.
    """
    fold = speech_without(scored, base, data, cache)
    fold = replace(fold, modalities={"audio": modality}) if modality else fold
    corpus = corpora.load(scored, data).canonical()
    rows = corpus_rows.audio_data(corpus, cache)
    speakers = shipped.groups_of(corpus, rows)
    true = rows.targets.argmax(axis=1)
    training = held_out.training_of(fold, seen=True)
    measures = []
    for seed in range(seeds):
        recipe = held_out.recipe_of(fold, (), seed, base=base, training=training)
        model = held_out.train_without(fold, (), recipe, cache=cache)
        at_home = {"as it is": None, "attuned": np.zeros(len(rows), int), "attuned, each speaker": speakers}
        for way, groups in at_home.items():
            shares = attuned_shares(model, rows, groups)
            figures = {"seed": seed, "way": way, **shipped.answers(shares, true, speakers)}
            for column, label in enumerate(rows.labels):
                if label not in fold.train.labels:
                    ranks, bears = np.log(shares[:, column] + 1e-12), rows.targets[:, column] == 1
                    low, high = metrics.bootstrap(partial(_auc_at, ranks, bears), speakers)
                    named = {"": metrics.auc(ranks, bears), " low": low, " high": high}
                    figures |= {f"AUC of {label}{end}": value for end, value in named.items()}
            measures.append(figures)
    return pd.DataFrame(measures).set_index(["way", "seed"])


def speech_without(left_out: str, base: EmotionModel, data: Path, cache: Path | None = None) -> Fold:
    """RAVDESS in its own split, with the other corpora of speech but one beside its training rows."""
    corpus = corpora.load("ravdess", data).canonical()
    others = [name for name in AUDIO_CORPORA if name not in (left_out, "ravdess")]
    own = as_fold(f"speech-without-{left_out}", "audio", corpus, corpus_rows.audio_data(corpus, cache), {})
    parts = [corpus.split("train"), *(corpora.load(name, data).canonical() for name in others)]
    train = join([corpus_rows.audio_data(part, cache, corpus_rows.COPIES) for part in parts])
    return replace(own, train=train, modalities={"audio": recipes.audio_modality()}, phrases=phrases_for("audio", base))


def attuned_shares(model: EmotionModel, rows: EmotionData, groups: np.ndarray | None) -> np.ndarray:
    """Probabilities of sound `(rows, labels)`, by a model attuned to each group of rows in turn."""
    if groups is None:
        return shipped.probabilities(model, "audio", rows, rows.labels)[0]
    shares = np.zeros(rows.targets.shape)
    for group in np.unique(groups):
        own = rows.rows(groups == group)
        batches = (own.batch(np.arange(i, min(i + 64, len(own)))) for i in range(0, len(own), 64))
        shares[groups == group] = shipped.probabilities(attune(model, batches), "audio", own, rows.labels)[0]
    return shares


def together(study: Study, unseen: Sequence[str]) -> pd.DataFrame:
    """The generalised reading of emotions held out one by one, beside the untouched sentence encoder's.

    The offset between seen and unseen labels is chosen in the same way for both, on a seen label (`pseudo_offset`).
    """
    rows = []
    for fold in study.folds:
        untrained = zero_shot.untrained_model(fold, study.base)
        for label, seed in product(unseen, study.seeds):
            models = {"trained": study.model(fold, (label,), seed), "untrained": untrained}
            for system, model in models.items():
                if model is not None:
                    offset = zero_shot.pseudo_offset(study, fold, (label,), seed, untrained=system == "untrained")
                    facts = {"system": system, "seed": seed}
                    rows += zero_shot.measure(model, fold, (label,), study.split, facts, offset=offset)
    columns = ["auc", "ap", "seen_uar", "unseen_uar", "harmonic", "ausuc"]
    seeded = pd.DataFrame(rows).groupby(["system", "unseen"])[columns]
    spread = seeded.std(ddof=1)[["auc", "harmonic"]].add_suffix(" sd over seeds")
    return seeded.mean().join(spread)


def over_labels(table: pd.DataFrame, measures: Sequence[str] = ("auc", "ap")) -> pd.DataFrame:
    """Mean of measures over labels, folds and seeds, with its 95 % interval when labels are redrawn."""
    rows = {}
    for name in measures:
        values = table[name].to_numpy()
        low, high = metrics.bootstrap(partial(_mean_at, values), table["unseen"].to_numpy())
        by_seed = table.groupby("seed")[name].mean()
        rows[name] = {"mean": float(values.mean()), "low": low, "high": high, "sd over seeds": by_seed.std(ddof=1)}
    return pd.DataFrame(rows).T


def over_seeds(table: pd.DataFrame, by: Sequence[Hashable]) -> pd.DataFrame:
    """Means over seeds, with the lowest of lower bounds and the highest of upper ones.

    Args:
        table: a row per seed; columns of bounds end in ` low` and ` high`, `rows` counts what was scored.
        by: the columns that identify a row, except the seed.
    """
    ends = {"low": "min", "high": "max"}
    ways = {str(name): ends.get(str(name).rpartition(" ")[2], "mean") for name in table}
    return table.groupby(list(by), sort=False).agg({**ways, "rows": "first"})


def beside_untrained(results: UnseenResults, folds: Sequence[Fold], base: EmotionModel, split: str) -> pd.DataFrame:
    """AUC of each label held out, and what the untouched sentence encoder has; NaN without texts."""
    labels = list(dict.fromkeys(results.alone["unseen"]))
    untrained = zero_shot.untrained_similarity(folds, base, labels, split)
    table = zero_shot.by_label(results.alone)
    return table.assign(untrained=[untrained[label]["auc"] for label in table.index])


def _auc_at(ranks: np.ndarray, bears: np.ndarray, at: np.ndarray) -> float:
    return metrics.auc(ranks[at], bears[at])


def _mean_at(values: np.ndarray, at: np.ndarray) -> float:
    return float(values[at].mean())
