"""Few-shot evaluation: the measures of zero-shot at 0, 1, 2, 4, ... examples of each held-out emotion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from emoembed import adapt
from emoembed.data import EmotionData
from emoembed.evaluation import held_out, zero_shot
from emoembed.model import EmotionModel
from emoembed.train import encode_rows

SHOTS = (0, 1, 2, 4, 8, 16)


def evaluate(
    corpus: str,
    data: Path,
    unseen: str | Sequence[str],
    *,
    base: EmotionModel,
    shots: Sequence[int] = SHOTS,
    draws: int = 5,
    seeds: Sequence[int] = (0,),
    split: str = "valid",
    fold: int | None = None,
    cache: Path | None = None,
    protocol: str = "default",
    steps: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Adapt held-out models with examples from the training split; one row per shots, draw, seed, fold and label.

    Arguments are those of `zero_shot.evaluate`, and:
        shots: numbers of examples of each unseen label.
        draws: how often examples are drawn anew.
        steps: of the light fine-tune, see `adapt.adapt`.
    """
    rows: list[dict[str, object]] = []
    for one in held_out.load_folds(corpus, data, base, cache=cache, only=fold, protocol=protocol):
        for group in held_out.parse_unseen(unseen, one.train.labels):
            for seed in seeds:
                model = held_out.train_without(one, group, seed, base=base, cache=cache, progress=progress)
                encoded = encode_rows(model, getattr(one, split)), encode_rows(model, one.valid.without(group))
                for count in shots:
                    for draw in range(draws if count else 1):
                        support = draw_support(one.train, group, count, seed=1000 * seed + draw)
                        taught = teach(model, one.train, support, steps=steps) if count else model
                        facts = {"shots": count, "draw": draw, "seed": seed, "fold": one.name}
                        rows += zero_shot.measure(taught, one, group, split, facts, encoded)
    return pd.DataFrame(rows)


def draw_support(train: EmotionData, labels: Sequence[str], shots: int, seed: int) -> dict[str, np.ndarray]:
    """Positions of exactly `shots` training rows of each label, without replacement; all there are where fewer."""
    generator = np.random.default_rng(seed)
    support = {}
    for label in labels:
        bears = np.flatnonzero(train.targets[:, train.labels.index(label)] == 1)
        support[label] = generator.permutation(bears)[:shots]
    return support


def teach(model: EmotionModel, train: EmotionData, support: dict[str, np.ndarray], *, steps: int = 0) -> EmotionModel:
    """Adapt a model to the training rows at these positions."""
    points: dict[str, dict[str, Tensor]] = {}
    for label, positions in support.items():
        points[label] = encode_rows(model, train.rows(positions))
    with torch.no_grad():
        words = model.project(model.embed(list(support)))
        rivals = [label for label in train.labels if label not in support]
        others = model.project(model.embed(rivals))
    starts = {label: {name: matrix[i] for name, matrix in words.items()} for i, label in enumerate(support)}
    return adapt.adapt(model, points, starts, steps=steps, others=others)


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """By number of shots: mean over labels, folds and draws; standard deviation over draws and seeds."""
    present = [name for name in zero_shot.MEASURES if name in table]
    by_draw = table.groupby(["shots", "seed", "draw"])[present].mean()
    mean = by_draw.groupby("shots").mean()
    spread = by_draw.groupby("shots").std(ddof=1).add_suffix(" sd")
    return pd.concat([mean, spread[[f"{name} sd" for name in ("auc", "ap")]]], axis=1)
