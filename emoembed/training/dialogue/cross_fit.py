"""Points of training rows from models that did not see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import Tensor

from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training.config import Execution
from emoembed.training.fit import train
from emoembed.training.loop import encode_rows
from emoembed.training.recipes import Recipe

FOLDS = 3


def cross_fit(
    recipe: Recipe,
    train_rows: EmotionData,
    valid_rows: EmotionData,
    groups: Mapping[str, str],
    model: EmotionModel,
    *,
    folds: int = FOLDS,
    execution: Execution = Execution(),
) -> dict[str, Tensor]:
    """Points of the training rows, each from a model that was trained without the dialogue of the row.

    An encoder puts the rows that it was trained on too near to their labels. A context that is trained on such points
    trusts the present turn too much.

    Args:
        recipe: the recipe of one modality.
        train_rows: the rows to divide into folds.
        valid_rows: rows for choosing the best epoch of each model.
        groups: row id -> dialogue, or another group that stays in one fold.
        model: the model that was trained on all rows. The other models have its label projections, because their points
            are compared with its labels.
        folds: number of models to train; fewer if there are fewer groups.
        execution: the device and a progress bar.

    Returns:
        Row id -> point `(point_dim,)`.

    Raises:
        InputError: the rows have one group only.
    """
    from sklearn.model_selection import GroupKFold

    (modality,) = recipe.modalities
    names = [groups[row] for row in train_rows.ids]
    count = min(folds, len(set(names)))
    if count < 2:
        raise InputError("points of training rows need at least two dialogues to divide; given one")
    divisions = GroupKFold(count, shuffle=True, random_state=recipe.config.seed)
    labels = set(map(id, model.label_parameters()))
    projections = {name: value.detach() for name, value in model.named_parameters() if id(value) in labels}
    config = replace(recipe.config, lock_labels=True)
    recipe = replace(recipe, config=config, start={**recipe.start, **projections})
    points: dict[str, Tensor] = {}
    for kept, held_out in divisions.split(np.zeros(len(names)), groups=names):
        other, _ = train(recipe, train_rows.rows(kept), valid_rows, execution=replace(execution, resume=None))
        rows = train_rows.rows(held_out)
        points |= dict(zip(rows.ids, encode_rows(other, rows)[modality].clone(), strict=True))
    return points
