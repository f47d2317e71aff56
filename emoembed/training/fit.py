"""One way to train: `train(recipe, train_rows, valid_rows)` gives a finished, calibrated model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from emoembed.errors import InputError
from emoembed.labels.phrases import PhraseEncoder
from emoembed.model.model import EmotionModel
from emoembed.reading.media import Pixels
from emoembed.reading.rows import EmotionData, Excerpts
from emoembed.training.background import fit_background, with_seen
from emoembed.training.build import build, temper, transformer_of
from emoembed.training.calibrate import calibrate, calibrate_jointly
from emoembed.training.config import Execution
from emoembed.training.loop import History, fit
from emoembed.training.recipes import Recipe, augment_of
from emoembed.training.ridge_maps import finish_faces, finished, prepare

FACES_OF_A_CLIP = {"faces": 8, "pixels": 2}
"""Trained on in an epoch, others in the next: a step holds all of a batch, and a transformer's take most memory."""
TRAINED = ("encoder", "projection", "log_scale", "bias", "log_weight")
"""Parts of a modality that are kept of its training, beside the label space; the others are fitted anew from rows."""


def train(
    recipe: Recipe,
    train_rows: EmotionData,
    valid_rows: EmotionData,
    *,
    beside: EmotionData | None = None,
    kept: Path | None = None,
    execution: Execution = Execution(),
) -> tuple[EmotionModel, History]:
    """Build the model of a recipe, train it, finish it, and calibrate it. The same seed gives the same weights.

    The steps: statistics of columns and ridge maps from statistics to label points; the loop, which keeps the best
    epoch on validation; ridge maps over what a face network has learned; adapters brought to the recipe's strength;
    what training items look like; the labels that were seen; calibration on the validation rows, jointly where there
    are several modalities.

    Args:
        recipe: what the model is and how it is trained.
        train_rows: rows of the labels to be learned.
        valid_rows: rows by which the best epoch is chosen, and on which the model is calibrated.
        beside: rows of other corpora, for the ridge maps alone.
        kept: a file that keeps the trained weights. Where it stands, they are read and nothing is trained.
        execution: the device, a progress bar, and a folder from which a stopped run goes on.

    Returns:
        The model, in evaluation mode on the CPU, and the history of its training, empty where the weights were kept.

    Raises:
        InputError: rows lack a modality of the recipe, no validation row bears a label, or `kept` is of another
            release.
        TrainingError: the loss is no longer a number.
    """
    model = untrained(recipe)
    history = History()
    if kept is None or not kept.is_file():
        prepare(model, train_rows, beside, recipe.config.max_frames)
        drawn = replace(train_rows, inputs=_drawn(model, train_rows, recipe.config.seed))
        changes = augment_of(recipe.modalities, recipe.augmentation)
        history = fit(model, drawn, valid_rows, recipe.config, augment=changes, execution=execution)
        model.to("cpu")
        finish_faces(model, train_rows)
        if kept is not None:
            _keep(model, kept)
    if kept is not None:
        _take_up(model, kept)
    if recipe.strength is not None:
        temper(model, recipe.strength)
    fit_background(model, train_rows)
    model = with_seen(model, _borne(train_rows))
    _calibrate(model, valid_rows)
    return model.eval(), history


def untrained(recipe: Recipe) -> EmotionModel:
    """The model that a recipe starts from."""
    model = build(recipe.modalities, recipe.phrases, recipe.config.seed, recipe.like)
    for name, weights in recipe.weights.items():
        transformer_of(model, name).trunk.load_state_dict(weights)
    return model


def assemble(
    parts: Mapping[str, EmotionModel], phrases: PhraseEncoder, *, seed: int = 0, like: EmotionModel | None = None
) -> EmotionModel:
    """One model of models of one modality each: their weights, their calibration, and the labels they saw.

    Args:
        parts: modality -> the model trained on it; all of them embed labels alike.
        phrases: what embeds labels.
        seed: of what no part brings.
        like: whose label space is taken, as in `build`; by default that of the last part.
    """
    model = build({name: part.config.modalities[name] for name, part in parts.items()}, phrases, seed, like)
    model = model.with_seen({name: part.state.seen_in(name) for name, part in parts.items()})
    weights = model.state_dict()
    for part in parts.values():
        weights |= {
            name: value for name, value in part.state_dict().items() if like is None or not name.startswith("space.")
        }
    model.load_state_dict(weights)
    return model.eval()


def _drawn(model: EmotionModel, rows: EmotionData, seed: int) -> dict[str, Mapping[str, np.ndarray]]:
    """What training reads of items: a few faces of a clip, others each time."""
    drawn: dict[str, Mapping[str, np.ndarray]] = {}
    for name, store in rows.inputs.items():
        read = model.config.modalities[name]
        if isinstance(store, Pixels):
            store = Pixels(Excerpts(store.faces, FACES_OF_A_CLIP["pixels"], seed), read)
        elif read.features == "faces":
            store = Excerpts(store, FACES_OF_A_CLIP["faces"], seed)
        drawn[name] = store
    return drawn


def _borne(rows: EmotionData) -> tuple[str, ...]:
    """The labels that a row bears."""
    borne = (rows.targets == 1).any(axis=0)
    return tuple(label for label, some in zip(rows.labels, borne, strict=True) if some)


def _calibrate(model: EmotionModel, valid: EmotionData) -> None:
    if len(model.modalities) == 1:
        calibrate(model, next(iter(model.modalities)), valid)
    else:
        calibrate_jointly(model, valid)


def _keep(model: EmotionModel, place: Path) -> None:
    """Write the trained weights, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(".tmp")
    trained = {name: value.contiguous() for name, value in model.state_dict().items() if _is_trained(name)}
    save_file(trained, temporary)
    temporary.replace(place)


def _take_up(model: EmotionModel, place: Path) -> None:
    """Read the weights that `_keep` wrote."""
    weights = load_file(place)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or any(_is_trained(name) for name in missing) or not finished(model):
        raise InputError(f"{place} was written by another release; remove it")


def _is_trained(name: str) -> bool:
    """Whether a weight is kept: not that of a transformer that stays as it is."""
    if name.startswith("space."):
        return True
    _, modality, part, *_ = name.split(".")
    return part in TRAINED and not (modality == "text" and name.startswith("modalities.text.encoder.trunk."))
