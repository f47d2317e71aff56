"""Transfer between corpora of speech or of facial action units, by every strategy, on equal terms."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from emoembed import corpora, metrics
from emoembed.model import checkpoint
from emoembed.model.config import ModalityConfig
from emoembed.reading import corpus_rows, voice_and_face
from emoembed.reading.rows import EmotionData
from emoembed.reading.summaries import summarised
from emoembed.training import fit, recipes
from emoembed.training.config import TrainConfig
from emoembed.training.fit import untrained
from emoembed.training.loop import predict_logits
from emoembed.training.recipes import Recipe
from emoembed.transfer import strategies
from emoembed.transfer.choose import choose
from emoembed.transfer.domain import Domain
from emoembed.transfer.strategies import CONTROLS
from emoembed.transfer.task import Task

FOLDS = {"emodb": 5, "ravdess": 4}
ACTORS = "ravdess action units"
NEVER_TRAINED = ("boredom", "calm")


NOT_COUNTED = ", search not counted"
WAYS = (*strategies.STRATEGIES, *(f"{name}{NOT_COUNTED}" for name in ("pathnet", "no-source")))
"""Strategies. Those that search a path come twice: the steps of the search count, or they are additional."""


@dataclass(frozen=True)
class Pair:
    """Sources in order, a target, and the strategies that are compared."""

    sources: tuple[str, ...]
    target: str
    ways: tuple[str, ...] = WAYS

    @property
    def name(self) -> str:
        return f"{' + '.join(self.sources)} -> {self.target}"


SPEECH = (
    Pair(("ravdess",), "emodb"),
    Pair(("tess",), "emodb"),
    Pair(("ravdess", "tess"), "emodb"),
    Pair(("tess", "ravdess"), "emodb", ("scratch", "pathnet", "random-path")),
    Pair(("emodb",), "ravdess"),
)
FACES = Pair(("one half of the actors",), "the other half")


@dataclass(frozen=True)
class Rows:
    """The rows of a corpus in one modality, with their speakers."""

    name: str
    data: EmotionData
    speakers: Mapping[str, str]

    def of(self, names: Sequence[str]) -> EmotionData:
        """The rows of some speakers."""
        return self.data.rows(np.array([self.speakers[row] in names for row in self.data.ids]))

    @property
    def names(self) -> list[str]:
        """The speakers, in a fixed random order."""
        names = sorted({self.speakers[row] for row in self.data.ids})
        return [names[i] for i in np.random.default_rng(0).permutation(len(names))]

    def without(self, labels: Sequence[str]) -> Rows:
        """The rows without those of some labels."""
        return replace(self, data=self.data.without(labels))


def read(name: str, data: Path, recipe: Recipe | None = None) -> Rows:
    """The recordings of a corpus, as the statistics that the encoder of a recipe computes, or as frames."""
    corpus = corpora.load(name, data).canonical()
    speakers = zip(corpus.samples["id"], corpus.samples["speaker"], strict=True)
    rows = corpus_rows.audio_data(corpus)
    rows = rows if recipe is None else summarised(untrained(recipe), rows)
    return Rows(name, rows, {f"{corpus.name}/{row}": str(who) for row, who in speakers})


def read_faces(data: Path) -> tuple[list[Rows], tuple[str, ...]]:
    """The action units of each half of RAVDESS's actors, and the names of the action units."""
    both, columns = voice_and_face.read_both(data)
    rows = voice_and_face.only(both, "video")
    rows = rows.rows(np.array([row in rows.inputs["video"] for row in rows.ids]))
    speakers = read("ravdess", data).speakers
    actors = Rows(ACTORS, rows, speakers)
    halves = actors.names[::2], actors.names[1::2]
    names = (*FACES.sources, FACES.target)
    return [Rows(name, actors.of(half), speakers) for name, half in zip(names, halves, strict=True)], columns


def source_of(rows: Rows) -> Domain:
    """A source: a quarter of its speakers, at least one, chooses the best epoch."""
    names = rows.names
    valid = names[: max(1, len(names) // 4)]
    return Domain(rows.name, rows.of(names[len(valid) :]), rows.of(valid), rows.speakers)


def folds_of(target: str) -> int:
    """The number of groups into which the speakers of a target are divided: one tests, one validates."""
    return FOLDS.get(target, 4)


def target_of(rows: Rows, seed: int, share: float, unseen: Sequence[str] = ()) -> tuple[Domain, EmotionData]:
    """A share of a target without some labels, and its test rows with them.

    Each seed tests the next group of speakers and validates on another.
    """
    names, folds = rows.names, folds_of(rows.name)
    test, valid = names[seed % folds :: folds], names[(seed + 1) % folds :: folds]
    train = [name for name in names if name not in (*test, *valid)]
    seen = rows.without(unseen)
    domain = Domain(rows.name, seen.of(train), seen.of(valid), rows.speakers)
    return domain.share_of(share), rows.of(test)


def recipe_of(name: str, modality: ModalityConfig) -> Recipe:
    """The recipe of a modality of statistics, with an encoder of modules."""
    modular = recipes.modular_modality(modality)
    config = TrainConfig(max_frames=modular.longest, bf16=False)
    weights = {name: fit.whisper_weights()} if name == "audio" else {}  # read once for all transfers
    return Recipe({name: modular}, checkpoint.read_word_table(), config, weights=weights)


def measure(task: Task, way: str, rate: float, test: EmotionData, unseen: Sequence[str] = ()) -> dict[str, float]:
    """One transfer: validation score, measures on test rows, the share of frozen modules that are used, seconds.

    Args:
        task: the sources and the target.
        way: one of `WAYS`.
        rate: the learning rate.
        test: the test rows.
        unseen: labels that were not trained on.
    """
    strategy = way.removesuffix(NOT_COUNTED)
    task = replace(task, budget=replace(task.budget, learning_rate=rate, search_is_extra=way.endswith(NOT_COUNTED)))
    begin = time.perf_counter()
    result = strategies.transfer(task, strategy)
    seconds = time.perf_counter() - begin
    labels = tuple(label for label in test.labels if label not in unseen)
    facts = {
        "validation": result.score,
        **scores_of(result, test, labels),
        "reused": _reused(result),
        "seconds": seconds,
    }
    for label in unseen:
        column = test.labels.index(label)
        scores = predict_logits(result.model, test, (*labels, label))["fused"]
        relative = scores[:, -1] - scores[:, :-1].max(axis=1)
        with_label = test.targets[:, column] == 1
        facts["AUC"] = metrics.auc(relative, with_label)
        facts["AP"] = metrics.average_precision(relative, with_label)
    return facts


def measure_choice(task: Task, test: EmotionData) -> dict[str, float | str]:
    """The strategy that the package chooses for a task, its mean validation score, measures on test rows, seconds."""
    begin = time.perf_counter()
    choice = choose(task)
    seconds = time.perf_counter() - begin
    chosen = choice.chosen.strategy
    score = float(choice.scores["mean"][chosen])
    return {"chosen": chosen, "validation": score, **scores_of(choice.chosen, test, test.labels), "seconds": seconds}


def scores_of(result: strategies.Transferred, test: EmotionData, labels: tuple[str, ...]) -> dict[str, float]:
    """UAR and macro F1 on the test rows that have one of the labels."""
    logits = predict_logits(result.model, test, labels)["fused"]
    true = test.targets[:, [test.labels.index(label) for label in labels]]
    with_label = (true == 1).any(axis=1)
    answers, right = logits[with_label].argmax(axis=1), true[with_label].argmax(axis=1)
    one_hot = np.eye(len(labels), dtype=bool)
    return {"UAR": metrics.uar(answers, right), "macro F1": metrics.macro_f1(one_hot[answers], one_hot[right])}


def _reused(result: strategies.Transferred) -> float:
    """Share of the target's path that goes through modules of sources; NaN without a source's path."""
    if len(result.paths) < 2:
        return float("nan")
    *sources, target = (strategies.places_of(path) for path in result.paths.values())
    return len(target & frozenset().union(*sources)) / len(target)


def chosen_rates(table: pd.DataFrame) -> pd.DataFrame:
    """Of each transfer, the row of the learning rate with the best validation score."""
    keys = ["pair", "share", "seed", "strategy"]
    return table.loc[table.groupby(keys, sort=False)["validation"].idxmax()]


def differences(table: pd.DataFrame, other: str, column: str = "UAR", level: float = 0.95) -> pd.DataFrame:
    """By how much each strategy is above another, paired by seed: `pair, share, strategy` rows with an interval.

    The training rows of two seeds overlap, and after a round of folds the same speakers test again. So the variance of
    the mean is that of the corrected resampled t test (Nadeau & Bengio 2003). Its correction grows with the overlap of
    test rows: of the groups of speakers, one tests and all but two train, whatever share of their rows is used.
    """
    rows = []
    for (pair, share), part in table.groupby(["pair", "share"], sort=False):
        wide = part.pivot(index="seed", columns="strategy", values=column)
        if other not in wide:
            continue
        overlap = 1.0 / (folds_of(str(pair).split(" -> ")[-1].split(",")[0]) - 2)
        for name in wide.columns.drop(other):
            gain = (wide[name] - wide[other]).dropna()
            scale = gain.std() * (1.0 / len(gain) + overlap) ** 0.5
            half = float(stats.t.ppf((1 + level) / 2, len(gain) - 1) * scale)
            mean = float(gain.mean())
            row = {
                "pair": pair,
                "share": share,
                "strategy": name,
                "mean": mean,
                "low": mean - half,
                "high": mean + half,
            }
            rows.append(row)
    return pd.DataFrame(rows)


def chosen_strategies(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """What the choice of a strategy on validation costs: `pair, share` rows.

    Of each seed, the strategy with the best validation score is compared with the strategy that is best on test in the
    mean over seeds. Controls and additional steps of a search are left out.
    """
    fair = table[~table["strategy"].isin([*CONTROLS, *(way for way in WAYS if way.endswith(NOT_COUNTED))])]
    rows = []
    for (pair, share), part in fair.groupby(["pair", "share"], sort=False):
        chosen = part.loc[part.groupby("seed")["validation"].idxmax()]
        means = part.groupby("strategy", sort=False)[measure].mean()
        row = {
            "pair": pair,
            "share": share,
            "chosen most often": chosen["strategy"].mode()[0],
            "best on test": means.idxmax(),
            "chosen": chosen[measure].mean(),
            "best": means.max(),
        }
        rows.append(row)
    return pd.DataFrame(rows).set_index(["pair", "share"])


def choices_beside(choices: pd.DataFrame, table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """The package's choices beside fixed strategies on the same targets at the same learning rate, in per cent.

    Args:
        choices: results of `measure_choice`.
        table: results of `measure`.
        measure: a column of both.

    Returns:
        Rows `strategy`, columns `share`: means over pairs and seeds, each pair with the same weight. The row `best on
        test` is the best strategy of each pair and share in the mean over its seeds, which nobody can know.
    """
    keys = ["pair", "share", "seed", "rate"]
    fair = table[~table["strategy"].isin([*CONTROLS, *(way for way in WAYS if way.endswith(NOT_COUNTED))])]
    fixed = fair.merge(choices[keys], on=keys)
    by_pair = fixed.groupby(["strategy", "share", "pair"], sort=False)[measure].mean()
    means = by_pair.groupby(["strategy", "share"], sort=False).mean().unstack("share")
    means.loc["chosen by the package"] = choices.groupby(["share", "pair"])[measure].mean().groupby("share").mean()
    means.loc["best on test"] = by_pair.groupby(["share", "pair"]).max().groupby("share").mean()
    return 100 * means


def means_over_pairs(table: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Mean of a measure over pairs, each with the same weight: strategies by share.

    Only pairs count for which all strategies were run. The row `chosen on validation` has the strategy with the
    best validation score of each seed. The package itself chooses by three divisions of the speakers if validation rows
    are few, at one rate. The row `best on test` is the best strategy of each pair and share, which nobody can know.
    """
    complete = table.groupby("pair", sort=False).filter(
        lambda part: set(part["strategy"]) >= set(strategies.STRATEGIES)
    )
    by_pair = complete.groupby(["strategy", "share", "pair"], sort=False)[measure].mean()
    means = by_pair.groupby(["strategy", "share"], sort=False).mean().unstack("share")
    choices = chosen_strategies(complete, measure).groupby("share")
    means.loc["chosen on validation"] = choices["chosen"].mean()
    means.loc["best on test"] = choices["best"].mean()
    return means
