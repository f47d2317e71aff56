"""Train models: `train(recipe, train_rows, valid_rows)` returns a trained and calibrated model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from emoembed.encoders.faces import FaceEncoder
from emoembed.errors import InputError
from emoembed.features.atomic import write_file
from emoembed.labels.phrases import PhraseEncoder
from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.model import EmotionModel
from emoembed.reading.media import Prepared, prepared
from emoembed.reading.rows import EmotionData, Excerpts
from emoembed.reading.summaries import summarised, whisper_of
from emoembed.training.background import fit_background, with_seen
from emoembed.training.build import build, set_adapter_strength, transformer_of
from emoembed.training.calibrate import calibrate, calibrate_jointly
from emoembed.training.config import Execution
from emoembed.training.loop import History, optimise
from emoembed.training.recipes import Recipe, Stage, augment_of
from emoembed.training.ridge_maps import finish_faces, finished, prepare

SHIPPED = "base"
"""The checkpoint that contains Whisper's layers."""
FACES_OF_A_CLIP = {"faces": 8, "pixels": 2}
"""Number of faces per clip, newly sampled in each epoch. A step holds all faces of a batch in memory, and a transformer
needs the most memory per face, so it gets fewer."""
TRAINED = ("encoder", "projection", "log_scale", "bias", "log_weight")
"""Parts of a modality that are saved after training, with the label space. The other parts are fitted again on rows."""


def train(
    recipe: Recipe,
    train_rows: EmotionData,
    valid_rows: EmotionData,
    *,
    ridge_rows: EmotionData | None = None,
    weights_file: Path | None = None,
    execution: Execution = Execution(),
) -> tuple[EmotionModel, History]:
    """Build the model of a recipe, train it, and calibrate it. The same seed gives the same weights.

    The steps:
        1. Standardise the features, and fit ridge maps from feature statistics to label points.
        2. Train. The weights of the best epoch on the validation rows are used.
        3. Fit the ridge maps of face networks on the features that they have learned, and on the facial actions that
           the reader of the recipe finds.
        4. Scale the text adapters to the strength of the recipe.
        5. Store the statistics of the training items and the seen labels.
        6. Calibrate on the validation rows; several modalities are calibrated jointly.

    Args:
        recipe: the model and its training settings.
        train_rows: rows with the labels to learn.
        valid_rows: rows for choosing the best epoch and for calibration.
        ridge_rows: rows of other corpora, used only for the ridge maps of step 1.
        weights_file: a file for the trained weights. If it exists, they are read from it and steps 1 to 3 are skipped.
        execution: the device, a progress bar, and a folder from which a stopped run resumes.

    Returns:
        The model, in evaluation mode on the CPU, and the training history. The history is empty if the weights were
        read from `weights_file`.

    Raises:
        InputError: the rows lack a modality of the recipe, no validation row has a label, or another release wrote
            `weights_file`.
        TrainingError: training has diverged.
    """
    model = untrained(recipe)
    train_rows, valid_rows = summarised(model, train_rows), summarised(model, valid_rows)
    ridge_rows = None if ridge_rows is None else summarised(model, ridge_rows)
    history = History()
    if weights_file is None or not weights_file.is_file():
        prepare(model, train_rows, ridge_rows, recipe.config.max_frames)
        model.load_state_dict({**model.state_dict(), **_face_networks(model, recipe), **recipe.start})
        sampled_rows = replace(train_rows, inputs=_sample_faces(model, train_rows, recipe.config.seed))
        augment = augment_of(recipe.modalities) if recipe.augmented else {}
        learned: dict[str, Any] = {"augment": augment, "teacher": recipe.teacher}
        for stage in recipe.stages or (Stage(("*",), recipe.config),):
            with only_trained(model, stage.trained):
                history = optimise(model, sampled_rows, valid_rows, stage.config, **learned, execution=execution)
        model.to("cpu")
        finish_faces(model, train_rows, recipe.facial_actions)
        if weights_file is not None and execution.group.leads:
            _write_weights(model, weights_file)
        execution.group.wait()
    if weights_file is not None:
        _read_weights(model, weights_file)
    return finish(model, recipe, train_rows, valid_rows), history


def finish(model: EmotionModel, recipe: Recipe, train_rows: EmotionData, valid_rows: EmotionData) -> EmotionModel:
    """Steps 4 to 6 of `train`, for a model whose weights are trained. Returns the model, in evaluation mode."""
    if recipe.strength is not None:
        set_adapter_strength(model, recipe.strength)
    fit_background(model, train_rows)
    model = with_seen(model, _labels_with_rows(train_rows))
    _calibrate(model, valid_rows)
    return model.eval()


def untrained(recipe: Recipe) -> EmotionModel:
    """Return the untrained model of a recipe, with the published transformer weights that the recipe names."""
    model = build(recipe.modalities, recipe.phrases, recipe.config.seed, recipe.base)
    for name, modality in model.each_modality():
        layers = whisper_of(modality.encoder)
        if layers is not None:
            layers.load_state_dict(recipe.weights.get(name) or whisper_weights(recipe.base))
        elif name in recipe.weights:
            transformer_of(model, name).trunk.load_state_dict(recipe.weights[name])
    return model


def whisper_weights(base: EmotionModel | None = None) -> Mapping[str, Tensor]:
    """The weights of Whisper's layers, from a model, or from the shipped one if the model does not read speech."""
    if base is None or "audio" not in base.modalities:
        base = checkpoint.load(checkpoint_files.find_folder(SHIPPED))
    layers = whisper_of(base.modality("audio").encoder)
    if layers is None:
        raise InputError("the base model does not read speech with Whisper; give its weights in the recipe")
    return layers.state_dict()


def _face_networks(model: EmotionModel, recipe: Recipe) -> dict[str, Tensor]:
    """The weights from which face networks start, by name in the model; none without a reader of facial actions."""
    if recipe.facial_actions is None:
        return {}
    network = recipe.facial_actions.network()
    faces = [name for name, modality in model.each_modality() if isinstance(modality.encoder, FaceEncoder)]
    return {f"modalities.{name}.encoder.{key}": value for name in faces for key, value in network.items()}


@contextmanager
def only_trained(model: EmotionModel, patterns: Sequence[str]) -> Iterator[None]:
    """Within the block, training changes only the trainable weights whose names match one of the patterns."""
    frozen = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def assemble(
    parts: Mapping[str, EmotionModel], phrases: PhraseEncoder, *, seed: int = 0, base: EmotionModel | None = None
) -> EmotionModel:
    """Combine models of one modality each into one model, with their weights, calibration and seen labels.

    Args:
        parts: modality -> the model trained on it. All models must embed labels in the same way.
        phrases: the phrase encoder that embeds labels.
        seed: initialises the weights that no part has.
        base: the model whose label space is used, as in `build`; by default the last part.
    """
    model = build({name: part.config.modalities[name] for name, part in parts.items()}, phrases, seed, base)
    model = model.with_seen({name: part.state.seen_in(name) for name, part in parts.items()})
    weights = model.state_dict()
    for part in parts.values():
        weights |= {
            name: value for name, value in part.state_dict().items() if base is None or not name.startswith("space.")
        }
    model.load_state_dict(weights)
    return model.eval()


def _sample_faces(model: EmotionModel, rows: EmotionData, seed: int) -> dict[str, Mapping[str, np.ndarray]]:
    """Inputs for training, with a few faces per clip that are newly sampled at each access."""
    inputs: dict[str, Mapping[str, np.ndarray]] = {}
    for name, store in rows.inputs.items():
        config = model.config.modalities[name]
        if config.features in FACES_OF_A_CLIP:
            stored = store.stored if isinstance(store, Prepared) else store
            store = prepared(Excerpts(stored, FACES_OF_A_CLIP[config.features], seed), config)
        inputs[name] = store
    return inputs


def _labels_with_rows(rows: EmotionData) -> tuple[str, ...]:
    """The labels that at least one row has."""
    has_rows = [bool(column.any()) for column in rows.has.T]
    return tuple(label for label, has_row in zip(rows.labels, has_rows, strict=True) if has_row)


def _calibrate(model: EmotionModel, valid: EmotionData) -> None:
    if len(model.modalities) == 1:
        calibrate(model, next(iter(model.modalities)), valid)
    else:
        calibrate_jointly(model, valid)


def _write_weights(model: EmotionModel, path: Path) -> None:
    """Write the trained weights; `path` is never incomplete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in model.state_dict().items() if _is_trained(name)}
    write_file(path, save(weights))


def _read_weights(model: EmotionModel, path: Path) -> None:
    """Read the weights that `_write_weights` wrote. Raises InputError if the file is damaged or of another model."""
    try:
        weights = load_file(path)
        missing, unexpected = model.load_state_dict(weights, strict=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:  # RuntimeError: a weight of another shape
        message = " ".join(str(error).split())  # torch gives several lines
        raise InputError(
            f"{path} cannot be read as trained weights ({message:.200}); delete it to train again"
        ) from error
    if unexpected or any(_is_trained(name) for name in missing) or not finished(model):
        raise InputError(f"{path} does not have the weights that this release expects; delete it to train again")


def _is_trained(name: str) -> bool:
    """Whether a weight is saved. The transformer of text and Whisper are not trained, so they are not saved."""
    if name.startswith("space."):
        return True
    _, modality, part, *_ = name.split(".")
    pretrained = f"modalities.{modality}.encoder.whisper.", "modalities.text.encoder.trunk."
    return part in TRAINED and not name.startswith(pretrained)
