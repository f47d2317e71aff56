"""Sound and face of the same clip: RAVDESS speech with OpenFace action units, over the four actor folds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from emoembed import checkpoint, corpora, recipes
from emoembed.corpora import ravdess
from emoembed.data import EmotionData
from emoembed.evaluation import metrics
from emoembed.model import EmotionModel
from emoembed.train import fit, predict_logits

ACTION_UNITS = "ravdess_openface/ravdess_openface_au.csv.gz"


def evaluate(
    data: Path,
    *,
    seeds: tuple[int, ...] = (0,),
    split: str = "valid",
    fold: int | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """UAR of eight emotions from sound, from action units, from both, and from a joint model that lacks one of them.

    One row per fold and seed; every figure of a fold is on the same clips.
    """
    rows = []
    both = read_both(data, cache)
    splits = [dict(zip(c.samples["id"], c.samples["split"], strict=True)) for c in _folds(data)]
    for position, split_of in enumerate(splits):
        if fold is not None and position != fold:
            continue
        named = np.array([split_of[i.partition("/")[2]] for i in both.ids])
        train, valid, scored = (both.rows(named == name) for name in ("train", "valid", split))
        for seed in seeds:
            joint = train_on(("audio", "video"), train, valid, seed, progress)
            row: dict[str, object] = {"fold": position, "seed": seed}
            for name in ("audio", "video"):
                alone = train_on((name,), only(train, name), only(valid, name), seed, progress)
                row[f"{name} alone"] = _uar(alone, only(scored, name))
            row["both"] = _uar(joint, scored)
            row["joint, video missing"] = _uar(joint, only(scored, "audio"))
            row["joint, audio missing"] = _uar(joint, only(scored, "video"))
            rows.append(row)
            if progress:
                print(row, flush=True)
    return pd.DataFrame(rows)


def read_both(data: Path, cache: Path | None = None) -> EmotionData:
    """RAVDESS rows with speech features and the clip's action units."""
    corpus = corpora.load("ravdess", data)
    speech = recipes.audio_data(corpus, cache)
    units = ravdess.read_action_units(data / ACTION_UNITS)
    faces = {f"{corpus.name}/{i}": features.values for i, features in units.items()}
    return EmotionData(
        speech.ids, {"audio": speech.inputs["audio"], "video": faces}, speech.labels, speech.targets, speech.multi_label
    )


def only(data: EmotionData, modality: str) -> EmotionData:
    """The same rows with one modality."""
    return EmotionData(data.ids, {modality: data.inputs[modality]}, data.labels, data.targets, data.multi_label)


def train_on(
    modalities: tuple[str, ...], train: EmotionData, valid: EmotionData, seed: int, progress: bool = False
) -> EmotionModel:
    """A model of some modalities of these rows, stopped on the validation rows."""
    units = next(iter(train.inputs["video"].values())).shape[1] if "video" in train.inputs else 0
    recipe = {
        "audio": recipes.audio_modality(),
        "video": recipes.action_unit_modality([f"unit_{i:02d}" for i in range(units)]) if units else None,
    }
    chosen = {name: recipe[name] for name in modalities}
    model = recipes.build(chosen, checkpoint.read_word_table(), seed)  # type: ignore[arg-type]
    recipes.prepare(model, train)
    kind = "audio" if "audio" in modalities else "action_units"
    dropout = 0.3 if len(modalities) > 1 else 0.0
    config = recipes.training(kind, seed, modality_dropout=dropout)
    augment = {"audio": recipes.AUGMENT["audio"]} if "audio" in modalities else {}
    fit(model, train, valid, config, augment=augment, progress=progress)
    recipes.fit_background(model, train)
    return model


def _folds(data: Path) -> list[corpora.Corpus]:
    return ravdess.folds(corpora.load("ravdess", data))


def _uar(model: EmotionModel, data: EmotionData) -> float:
    logits = predict_logits(model, data)["fused"]
    return metrics.uar(logits.argmax(axis=1), data.targets.argmax(axis=1))
