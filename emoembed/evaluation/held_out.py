"""Train models with held-out emotions. All zero-shot and few-shot results come from these models.

Every trained part is trained here, on one corpus, without any example of a held-out emotion. Four parts are not
trained here: the sentence encoder, the word table distilled from it, the label space, and the reader of facial actions,
if one is given. The reader has seen the training faces of all emotions, but no label. The label space uses the
project's own table of emotions, and ridge regression on sentences rated for valence, arousal and dominance (EmoBank).
None of the four was trained on items with emotion labels.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from emoembed.errors import LabelError
from emoembed.evaluation import mtee
from emoembed.evaluation.folds import Fold, hash_of, phrases_for
from emoembed.features.atomic import write_file
from emoembed.features.workers import Workers, in_order
from emoembed.labels.emotion import find, leaks
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.model.model import EmotionModel
from emoembed.reading.cache import cache_folder
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.fit import train
from emoembed.training.recipes import Recipe
from emoembed.training.ridge_maps import ACTION_WEIGHT

HELD_OUT_TRAINING = {
    "text": recipes.training("text", epochs=1),
    "audio": recipes.training("audio"),
    "video": recipes.training("video", epochs=4, patience=4),
    "sequence": recipes.training("sequence", epochs=12, patience=12),
}
"""Text and faces train for fewer epochs than in the shipped checkpoint: training to the end on seen emotions harms
unseen ones."""

UNSEEN_STRENGTH = 0.6
"""Strength of the text adapters in models with held-out emotions: 0 is untrained, 1 fully trained."""
TEXT_ROWS, MOST_EPOCHS = 40_000, 8
"""One epoch of the text recipe was chosen for `TEXT_ROWS` rows. A smaller corpus gets more epochs for the same number
of steps, up to `MOST_EPOCHS`."""


def train_without(
    fold: Fold, unseen: Sequence[str], recipe: Recipe, *, cache: Path | None = None, progress: bool = False
) -> EmotionModel:
    """Train the model of one fold without the unseen emotions, or load it from the cache.

    Early stopping does not see the unseen emotions either.

    Args:
        fold: one division of a corpus.
        unseen: labels held out together.
        recipe: how the model is trained; see `recipe_of`.
        cache: the folder for trained models.
        progress: show a progress bar.

    Raises:
        LabelError: a training label is a synonym of an unseen one.
        InputError: `mtee` cannot read raw texts, or another release wrote the cached model.
    """
    rows, valid, ridge_rows = fold.train.without(unseen), fold.valid.without(unseen), _ridge_rows(fold, unseen)
    leaking = leaks(rows.labels, unseen)
    if leaking:
        listed = ", ".join(f"{seen} is a synonym of {label}" for seen, label in leaking)
        raise LabelError(f"{listed}: a zero-shot result with such a pair is worthless; hold both out")
    execution = Execution(progress=progress)
    model_file = _file_of(fold, unseen, recipe, cache)
    if fold.method == "mtee":  # scores like an EmotionModel, but has no calibration and no few-shot
        model = mtee.train(
            fold.modalities, recipe.phrases, rows, valid, recipe.config, weights_file=model_file, execution=execution
        )
        return cast(EmotionModel, model)
    trained, _ = train(recipe, rows, valid, ridge_rows=ridge_rows, weights_file=model_file, execution=execution)
    return trained


ModelKey = tuple[int, tuple[str, ...], int]
"""A model to train: the position of its fold, the emotions held out together, and the seed."""


def train_ahead(
    models: Sequence[ModelKey],
    folds: Sequence[Fold],
    base: EmotionModel,
    workers: Workers,
    *,
    cache: Path | None = None,
) -> None:
    """Train models in several processes and keep them in the cache, where `train_without` finds them.

    If the process of a model stops each time, the model is left out, and `train_without` trains it.

    Args:
        models: the models. Those in the cache are left out.
        folds: the divisions of the corpus.
        base: as in `recipe_of`.
        workers: number of processes, or an engine such as `interfaces.scale.Ray`.
        cache: the folder for trained models.
    """
    files = {
        (at, unseen, seed): _file_of(folds[at], unseen, recipe_of(folds[at], unseen, seed, base=base), cache)
        for at, unseen, seed in models
    }
    missing = [one for one, file in files.items() if not file.is_file()]
    state = pickle.dumps((tuple(folds), base))
    trained = in_order(_train_in_worker, missing, workers, lambda _: b"", _receive, state) if missing else ()
    for key, weights in zip(missing, trained, strict=True):
        if weights:
            files[key].parent.mkdir(parents=True, exist_ok=True)
            write_file(files[key], weights)


_worker_data: tuple[tuple[Fold, ...], EmotionModel] | None = None
"""The folds and the base model of a worker process."""


def _receive(state: bytes) -> None:
    """Unpickle the training data of a worker process."""
    global _worker_data
    torch.set_num_threads(1)
    _worker_data = pickle.loads(state)  # what the parent of this process has pickled


def _train_in_worker(key: ModelKey) -> bytes:
    """Train a model, and return the content of its file."""
    if _worker_data is None:
        raise RuntimeError("the worker process has no folds")
    folds, base = _worker_data
    position, unseen, seed = key
    recipe = recipe_of(folds[position], unseen, seed, base=base)
    with tempfile.TemporaryDirectory() as folder:
        train_without(folds[position], unseen, recipe, cache=Path(folder))
        return _file_of(folds[position], unseen, recipe, Path(folder)).read_bytes()


def _file_of(fold: Fold, unseen: Sequence[str], recipe: Recipe, cache: Path | None) -> Path:
    """The file of a trained model."""
    return (cache or cache_folder()) / "held_out" / f"{name_of(fold, unseen, recipe)}.safetensors"


def recipe_of(
    fold: Fold,
    unseen: Sequence[str],
    seed: int,
    *,
    base: EmotionModel,
    training: TrainConfig | None = None,
    augmented: bool = True,
    strength: float | None = None,
) -> Recipe:
    """The recipe for the models of a fold, with or without held-out emotions.

    Args:
        fold: one division of a corpus.
        unseen: labels held out together; may be empty.
        seed: seed of the training.
        base: text models start from its untrained sentence encoder. Its label space embeds the labels of raw media.
        training: settings in place of `training_of`.
        augmented: whether training batches of faces are changed at random.
        strength: strength of the text adapters. The default is `UNSEEN_STRENGTH` with held-out emotions, else 1.
    """
    phrases = fold.phrases or phrases_for(fold.kind, base)
    default_strength = UNSEEN_STRENGTH if unseen else 1.0
    return Recipe(
        fold.modalities,
        phrases,
        replace(training or training_of(fold), seed=seed),
        base=base if phrases is base.phrases else None,
        augmented=augmented,
        facial_actions=fold.facial_actions,
        strength=(default_strength if strength is None else strength) if fold.kind == "text" else None,
    )


def _ridge_rows(fold: Fold, unseen: Sequence[str]) -> EmotionData | None:
    """Rows of other corpora without the unseen labels and their synonyms."""
    if fold.ridge_rows is None:
        return None
    return fold.ridge_rows.without([label for label in fold.ridge_rows.labels if leaks((label,), unseen)])


def name_of(fold: Fold, unseen: Sequence[str], recipe: Recipe) -> str:
    """The cache name of a model: its fold, and a fingerprint of the data, the settings and the unseen emotions."""
    return f"{fold.name}-{_fingerprint(fold, unseen, recipe.config, recipe.phrases, recipe.augmented)}"


def training_of(fold: Fold, *, seen: bool = False) -> TrainConfig:
    """The training settings of a fold: with held-out emotions, or with all emotions `seen`."""
    if fold.method == "mtee":
        return recipes.training("mtee")
    kind = recipes.kind_of("audio", fold.modalities["audio"]) if fold.kind == "audio" else fold.kind
    config = recipes.training(kind) if seen else HELD_OUT_TRAINING[kind]
    if len(fold.modalities) > 1 and fold.kind == "audio":
        config = replace(config, modality_dropout=recipes.MODALITY_DROPOUT)
    if fold.kind != "text":
        return config
    return replace(config, epochs=min(max(round(config.epochs * TEXT_ROWS / len(fold.train)), 1), MOST_EPOCHS))


def _fingerprint(
    fold: Fold, unseen: Sequence[str], config: TrainConfig, phrases: PhraseEncoder, augmented: bool = True
) -> str:
    revision = max(recipes.REVISION[name] for name in fold.modalities)
    described = [sorted(unseen), asdict(config), hash_of(fold.train), hash_of(fold.valid), revision]
    described += [(*label.prompts(), label.sounds, label.looks, label.vad) for label in map(find, fold.train.labels)]
    described += [_checksum_of_rows(fold.train), _checksum_of_rows(fold.valid), _checksum_of_phrases(phrases)]
    described += [{name: asdict(modality) for name, modality in fold.modalities.items()}]
    described += [] if augmented else ["not augmented"]
    described += [fold.facial_actions.digest(), ACTION_WEIGHT] if fold.facial_actions is not None else []
    described += [fold.method, mtee.REVISION] if fold.method != "emoembed" else []
    described += [hash_of(fold.ridge_rows), _checksum_of_rows(fold.ridge_rows)] if fold.ridge_rows is not None else []
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _checksum_of_rows(data: EmotionData) -> int:
    """A checksum of the input arrays. The same recordings with other features have another checksum."""
    total = 0
    for name, store in sorted(data.inputs.items()):
        total = zlib.crc32(name.encode(), total)
        for row in data.ids:
            total = zlib.crc32(np.ascontiguousarray(store[row]).tobytes() if row in store else b"-", total)
    return total


def _checksum_of_phrases(phrases: PhraseEncoder) -> int:
    """A checksum of the weights or vectors that embed labels. Text models start from them."""
    if isinstance(phrases, SentenceEncoder):
        arrays = [value.cpu().numpy() for _, value in sorted(phrases.encoder.trunk.state_dict().items())]
    else:
        arrays = [phrases.vectors] if isinstance(phrases, WordTable) else []
    total = 0
    for array in arrays:
        total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
    return total
