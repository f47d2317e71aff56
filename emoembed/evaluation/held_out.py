"""Models trained with emotions held out: what every zero-shot and few-shot figure rests on.

Every trained part is trained here, on the corpus at hand, without one example of a held-out emotion. Taken ready are
the sentence encoder, the word table distilled from it, and the label space over it: the project's own table of
emotions, and what sentences rated for valence, arousal and dominance (EmoBank) taught. None of them saw an item with an
emotion's label.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np

from emoembed.errors import LabelError
from emoembed.evaluation import mtee
from emoembed.evaluation.folds import Fold, hash_of, phrases_for
from emoembed.labels.emotion import find, leaks
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.model.model import EmotionModel
from emoembed.reading.cache import cache_folder
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.fit import train
from emoembed.training.recipes import Recipe

HELD_OUT_TRAINING = {
    "text": recipes.training("text", epochs=1, stay_close_text=300.0),
    "audio": recipes.training("audio"),
    "functionals": recipes.training("functionals"),
    "video": recipes.training("video", epochs=4, patience=4),
    "sequence": recipes.training("sequence", epochs=12, patience=12),
}
"""In text and faces fewer epochs than the shipped checkpoint's: unseen emotions suffer when seen ones are learned to
the end."""

UNSEEN_STRENGTH = 0.6
"""Of trained text adapters where emotions are held out, between untouched (0) and trained (1): `build.temper`."""
TEXT_ROWS, MOST_EPOCHS = 40_000, 8
"""Rows one epoch of the text recipe was chosen on: a smaller corpus gets as many steps in more epochs, to a limit."""


def train_without(
    fold: Fold, unseen: Sequence[str], recipe: Recipe, *, cache: Path | None = None, progress: bool = False
) -> EmotionModel:
    """A model of one fold trained, and stopped, without the unseen emotions; kept in the cache.

    Args:
        fold: of a corpus.
        unseen: labels held out together.
        recipe: how the model is made, as `recipe_of` gives it.
        cache: the folder in which the model is kept.
        progress: show a bar.

    Raises:
        LabelError: a training label is a synonym of an unseen one.
        InputError: `mtee` is asked to read raw texts, or the kept model was written by another release.
    """
    rows, valid, beside = fold.train.without(unseen), fold.valid.without(unseen), _beside(fold, unseen)
    leaking = leaks(rows.labels, unseen)
    if leaking:
        listed = ", ".join(f"{seen} is a synonym of {label}" for seen, label in leaking)
        raise LabelError(f"{listed}: such a pair makes the zero-shot figure worthless; hold both out")
    execution = Execution(progress=progress)
    kept = (cache or cache_folder()) / "held_out" / f"{name_of(fold, unseen, recipe)}.safetensors"
    if fold.method == "mtee":  # scores as an EmotionModel does, and has neither calibration nor few-shot
        model = mtee.train(fold.modalities, recipe.phrases, rows, valid, recipe.config, kept=kept, execution=execution)
        return cast(EmotionModel, model)
    trained, _ = train(recipe, rows, valid, beside=beside, kept=kept, execution=execution)
    return trained


def recipe_of(
    fold: Fold,
    unseen: Sequence[str],
    seed: int,
    *,
    base: EmotionModel,
    training: TrainConfig | None = None,
    augmentation: str = "usual",
    strength: float | None = None,
) -> Recipe:
    """How a fold's models are made with emotions held out, or with none.

    Args:
        fold: of a corpus.
        unseen: labels held out together.
        seed: of the training.
        base: whose untouched sentence encoder text models start from, and whose label space embeds raw media's labels.
        training: other settings than the recipe's.
        augmentation: how training batches are changed, a key of `recipes.AUGMENTATIONS`.
        strength: of text adapters; by default `UNSEEN_STRENGTH` where emotions are held out, else 1.
    """
    phrases = fold.phrases or phrases_for(fold.kind, base)
    usual = UNSEEN_STRENGTH if unseen else 1.0
    return Recipe(
        fold.modalities,
        phrases,
        replace(training or training_of(fold), seed=seed),
        like=base if phrases is base.phrases else None,
        augmentation=augmentation,
        strength=(usual if strength is None else strength) if fold.kind == "text" else None,
    )


def _beside(fold: Fold, unseen: Sequence[str]) -> EmotionData | None:
    """The rows of other corpora without the unseen labels and their synonyms."""
    if fold.beside is None:
        return None
    return fold.beside.without([label for label in fold.beside.labels if leaks((label,), unseen)])


def name_of(fold: Fold, unseen: Sequence[str], recipe: Recipe) -> str:
    """What a model of `train_without` is called: its fold, and a fingerprint of all that makes it what it is."""
    return f"{fold.name}-{_fingerprint(fold, unseen, recipe.config, recipe.phrases, recipe.augmentation)}"


def training_of(fold: Fold, *, seen: bool = False) -> TrainConfig:
    """How a fold's models are trained: with emotions held out, or with all of them `seen`."""
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
    fold: Fold, unseen: Sequence[str], config: TrainConfig, phrases: PhraseEncoder, augmentation: str = "usual"
) -> str:
    revision = max(recipes.REVISION[name] for name in fold.modalities)
    described = [sorted(unseen), asdict(config), hash_of(fold.train), hash_of(fold.valid), revision]
    described += [(*one.prompts(), one.sounds, one.looks, one.vad) for one in map(find, fold.train.labels)]
    described += [_sum_of(fold.train), _sum_of(fold.valid), _sum_of_start(phrases)]
    described += [{name: asdict(one) for name, one in fold.modalities.items()}]
    described += [] if augmentation == "usual" else [augmentation]
    described += [fold.method, mtee.REVISION] if fold.method != "emoembed" else []
    described += [hash_of(fold.beside), _sum_of(fold.beside)] if fold.beside is not None else []
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]


def _sum_of(data: EmotionData) -> int:
    """A checksum of what rows hold: the same recordings read in another way are other rows."""
    total = 0
    for name, store in sorted(data.inputs.items()):
        total = zlib.crc32(name.encode(), total)
        for row in data.ids:
            total = zlib.crc32(np.ascontiguousarray(store[row]).tobytes() if row in store else b"-", total)
    return total


def _sum_of_start(phrases: PhraseEncoder) -> int:
    """A checksum of what embeds labels, from which text models start."""
    if isinstance(phrases, SentenceEncoder):
        arrays = [value.cpu().numpy() for _, value in sorted(phrases.encoder.trunk.state_dict().items())]
    else:
        arrays = [phrases.vectors] if isinstance(phrases, WordTable) else []
    total = 0
    for array in arrays:
        total = zlib.crc32(np.ascontiguousarray(array).tobytes(), total)
    return total
