"""Few-shot evaluation: the zero-shot measures after 0, 1, 2, 4, ... examples of each held-out emotion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from emoembed import metrics
from emoembed.evaluation import zero_shot
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.study import Study
from emoembed.evaluation.zero_shot import Encoded
from emoembed.model.model import EmotionModel
from emoembed.reading.corpus_rows import original
from emoembed.reading.rows import EmotionData
from emoembed.training.loop import encode_rows
from emoembed.transfer import few_shot

SHOTS = (0, 1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Teaching:
    """How a held-out model learns from examples; `evaluate` explains the fields."""

    shots: Sequence[int | str] = SHOTS
    draws: int = 5
    seed: int = 0  # for drawing the examples


def evaluate(study: Study, *, shots: Sequence[int | str] = SHOTS, draws: int = 5) -> pd.DataFrame:
    """Adapt held-out models with examples from the training split. One row per shots, draw, seed, fold and label.

    Args:
        study: the corpus, the method and the held-out emotions.
        shots: numbers of examples of each unseen label, or shares of its training rows such as `"1%"`.
        draws: the number of random draws of examples.
    """
    tables = [
        curve(study.model(fold, group, seed), fold, group, study.split, Teaching(shots, draws, seed))
        for fold, group, seed in study.runs()
    ]
    return pd.concat(tables, ignore_index=True)


def curve(
    model: EmotionModel,
    fold: Fold,
    unseen: Sequence[str],
    split: str,
    teaching: Teaching,
    *,
    offset: float | None = None,
    encoded: Encoded | None = None,
) -> pd.DataFrame:
    """The learning curve of one held-out model over the number of examples. One row per shots, draw and label.

    Args:
        model: trained without the unseen emotions.
        fold, unseen, split, encoded, offset: as in `zero_shot.measure`.
        teaching: how many examples, and how they are drawn.
    """
    rows: list[dict[str, object]] = []
    encoded = encoded or zero_shot.encode(model, fold, split)
    for count in teaching.shots:
        for draw in range(teaching.draws if count else 1):
            adapted = model
            if count:
                support = draw_support(fold.train, unseen, count, 1000 * teaching.seed + draw)
                adapted = teach(model, fold.train, support)
            facts: dict[str, object] = {"shots": count, "draw": draw, "seed": teaching.seed, "fold": fold.name}
            rows += zero_shot.measure(adapted, fold, unseen, split, facts, encoded, offset)
    return pd.DataFrame(rows)


def draw_support(train: EmotionData, labels: Sequence[str], shots: int | str, seed: int) -> dict[str, np.ndarray]:
    """Draw the positions of `shots` training rows of each label, without replacement.

    A label with fewer rows gives all of them. Copies of recordings through other channels are not drawn. A share such
    as `"1%"` is a share of the label's training rows, rounded up (Dai et al. 2020, section 4.4, take 1 %).
    """
    generator = np.random.default_rng(seed)
    rows = set(train.ids)
    is_copy = np.array([original(row) != row and original(row) in rows for row in train.ids])
    support = {}
    for label in labels:
        bears = np.flatnonzero((train.targets[:, train.labels.index(label)] == 1) & ~is_copy)
        count = math.ceil(float(shots[:-1]) / 100 * len(bears)) if isinstance(shots, str) else shots
        support[label] = generator.permutation(bears)[:count]
    return support


def teach(model: EmotionModel, train: EmotionData, support: dict[str, np.ndarray]) -> EmotionModel:
    """Adapt a model to the training rows at the positions in `support`."""
    points: dict[str, dict[str, Tensor]] = {}
    for label, positions in support.items():
        encoded = encode_rows(model, train.rows(positions))
        points[label] = {name: matrix[~matrix.isnan().any(dim=1)] for name, matrix in encoded.items()}
    with torch.no_grad():
        words = model.project(model.embed(list(support)))
        rivals = [label for label in train.labels if label not in support]
        others = model.project(model.embed(rivals))
    starts = {label: {name: matrix[i] for name, matrix in words.items()} for i, label in enumerate(support)}
    return few_shot.adapt(model, points, starts, others=others)


def gain(table: pd.DataFrame, shots: int, measure: str = "ap") -> dict[str, float]:
    """Mean gain over zero-shot after `shots` examples, with a 95 % interval from a bootstrap over labels."""
    keys = ["unseen", "fold", "seed"]
    before = table[table["shots"] == 0].set_index(keys)[measure]
    after = table[table["shots"] == shots].groupby(keys, sort=False)[measure].mean()
    gains = (after - before.loc[after.index]).reset_index()
    values = gains[measure].to_numpy()
    low, high = metrics.bootstrap(lambda rows: float(values[rows].mean()), gains["unseen"].to_numpy())
    return {"shots": shots, "gain": float(values.mean()), "low": low, "high": high, "labels": gains["unseen"].nunique()}


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """One row per number of shots, in the order of the runs. Mean over labels, folds, draws; sd over draws, seeds."""
    measures = [name for name in zero_shot.MEASURES if name in table]
    by_draw = table.groupby(["shots", "seed", "draw"], sort=False)[measures].mean()
    mean = by_draw.groupby("shots", sort=False).mean()
    spread = by_draw.groupby("shots", sort=False).std(ddof=1).add_suffix(" sd")
    return pd.concat([mean, spread[[f"{name} sd" for name in ("auc", "ap")]]], axis=1)
