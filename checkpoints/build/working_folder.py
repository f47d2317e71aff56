"""Files of the working folder: the weights of a finished stage, and the state of a stopped one."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from emoembed.evaluation.folds import hash_of
from emoembed.labels.emotion import table
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.config import Execution
from emoembed.training.fit import train
from emoembed.training.objective import Teacher
from emoembed.training.recipes import Recipe
from emoembed.training.ridge_maps import ACTION_WEIGHT


def key(*described: object) -> str:
    """A digest of settings and of the label table. It tells apart stages that were built from different ones."""
    return hashlib.sha256(repr((described, sorted(table().items()))).encode()).hexdigest()[:8]


def trained(name: str, recipe: Recipe, rows: EmotionData, valid: EmotionData, work: Path) -> EmotionModel:
    """Train one modality. An earlier run of this stage on the same rows in `work` is loaded or resumed."""
    revisions: tuple[object, ...] = recipes.REVISION[name], asdict(recipe.config), digest_of(recipe.teacher)
    if recipe.facial_actions is not None:
        revisions = *revisions, recipe.facial_actions.digest(), ACTION_WEIGHT
    stage = f"{name}-{key(revisions, hash_of(rows), hash_of(valid))}"
    file, run = work / f"{stage}.safetensors", work / f"run-{stage}"
    model, history = train(recipe, rows, valid, weights_file=file, execution=Execution(progress=True, resume=run))
    if history.scores:
        print(name, "validation", [round(score, 4) for score in history.scores], flush=True)
    return model


def digest_of(teacher: Teacher | None) -> str:
    """A digest of a teacher's answers; "" without one."""
    if teacher is None:
        return ""
    digest = hashlib.sha256(repr(teacher.names).encode())
    for array in (teacher.label_points.numpy(), *teacher.points.values()):
        digest.update(array.tobytes())
    return digest.hexdigest()
