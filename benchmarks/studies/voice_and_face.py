"""Train sound and face of the same clip jointly: RAVDESS speech and OpenFace action units, in four folds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from emoembed import corpora, metrics
from emoembed.corpora.readers import ravdess
from emoembed.encoders.pooled import StatisticsEncoder
from emoembed.errors import InputError
from emoembed.evaluation.folds import Fold, as_fold, phrases_for
from emoembed.model import checkpoint
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData, collate
from emoembed.reading.voice_and_face import only, other_speech, part_of, read_both
from emoembed.training import recipes
from emoembed.training.calibrate import calibrate_jointly
from emoembed.training.config import Execution
from emoembed.training.fit import train
from studies import shipped

RIDGE_PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


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
    if fold is not None and not 0 <= fold < 4:
        raise InputError(f"RAVDESS has four folds, 0 to 3; given {fold}")
    rows = []
    both, columns = read_both(data, cache)
    modalities = recipes.voice_and_face_modalities(columns)
    ridge_rows = other_speech(data, cache)
    for position, divided in enumerate(ravdess.folds(corpora.load("ravdess", data))):
        if fold is not None and position != fold:
            continue
        train, valid, scored = (part_of(both, divided, name) for name in ("train", "valid", split))
        for seed in seeds:
            row: dict[str, object] = {"fold": position, "seed": seed}
            for name, modality in modalities.items():
                rows_of_one = only(train, name), only(valid, name)
                alone = train_on({name: modality}, *rows_of_one, seed, ridge_rows=ridge_rows, progress=progress)
                row[f"{name} alone"] = uar(alone, only(scored, name))
            joint = train_on(modalities, train, valid, seed, ridge_rows=ridge_rows, progress=progress)
            row["both"] = uar(joint, scored)
            row["joint, video missing"] = uar(joint, only(scored, "audio"))
            row["joint, audio missing"] = uar(joint, only(scored, "video"))
            rows.append(row)
            if progress:
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    return pd.DataFrame(rows)


def compare_label_weights(data: Path, *, seeds: Sequence[int] = (0,), cache: Path | None = None) -> pd.DataFrame:
    """Measure joint models on validation rows with `fusion_measures`: one row per fold and seed."""
    both, columns = read_both(data, cache)
    modalities, ridge_rows = recipes.voice_and_face_modalities(columns), other_speech(data, cache)
    rows = []
    for position, divided in enumerate(ravdess.folds(corpora.load("ravdess", data))):
        train, valid = (part_of(both, divided, name) for name in ("train", "valid"))
        speaker_of = dict(zip(divided.samples["id"], divided.samples["speaker"], strict=True))
        speakers = np.array([speaker_of[i.partition("/")[2]] for i in valid.ids])
        for seed in seeds:
            joint = train_on(modalities, train, valid, seed, ridge_rows=ridge_rows)
            rows.append({"fold": position, "seed": seed, **fusion_measures(joint, valid, speakers)})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def fusion_measures(joint: EmotionModel, valid: EmotionData, speakers: np.ndarray) -> dict[str, float]:
    """UAR, AP and AUC of a fusion that weighs modalities by label, and of one with the same weights for all labels.

    The weights by label are fitted on validation rows. So the model is calibrated on half of the speakers and measured
    on the others, for both halves.
    """
    is_first_half = np.isin(speakers, np.unique(speakers)[::2])
    halves = [valid.rows(np.flatnonzero(rows)) for rows in (is_first_half, ~is_first_half)]
    true = np.concatenate([half.targets for half in halves]) == 1
    figures: dict[str, float] = {}
    for way in ("by label", "one weight"):
        logits = []
        for scored, fitted in (halves, halves[::-1]):
            model = deepcopy(joint)
            calibrate_jointly(model, fitted)
            for _, modality in model.each_modality() if way == "one weight" else ():
                modality.calibration.trust.fill_(1.0)
            logits.append(shipped.fused(model, scored))
        scores = np.concatenate(logits)
        figures[f"UAR, {way}"] = metrics.uar(scores.argmax(axis=1), true.argmax(axis=1))
        for name, measure in (("AP", metrics.average_precision), ("AUC", metrics.auc)):
            figures[f"{name}, {way}"] = float(np.mean([measure(*pair) for pair in zip(scores.T, true.T, strict=True)]))
    return figures


def evaluate_checkpoint(model: EmotionModel, data: Path, split: str = "valid", cache: Path | None = None) -> pd.Series:
    """UAR of a joint model, as `predict` answers, on RAVDESS's own split (test is actors 21-24).

    With both modalities and with either missing. The interval is the percentile bootstrap over actors.
    """
    both, _ = read_both(data, cache)
    corpus = corpora.load("ravdess", data)
    scored = part_of(both, corpus, split)
    true = scored.targets.argmax(axis=1)
    answered = shipped.fused(model, scored).argmax(axis=1)
    actor = dict(zip(corpus.samples["id"], corpus.samples["speaker"], strict=True))
    actors = np.array([actor[i.partition("/")[2]] for i in scored.ids])
    low, high = metrics.bootstrap(lambda rows: metrics.uar(answered[rows], true[rows]), actors)
    missing = {f"{name} alone": uar(model, only(scored, name)) for name in ("audio", "video")}
    return pd.Series({"both": metrics.uar(answered, true), "both, low": low, "both, high": high, **missing})


def held_out_folds(data: Path, base: EmotionModel, cache: Path | None = None) -> Iterator[Fold]:
    """RAVDESS's four folds with speech and action units, for joint models with emotions held out."""
    both, columns = read_both(data, cache)
    modalities = recipes.voice_and_face_modalities(columns)
    ridge_rows = other_speech(data, cache)
    for position, divided in enumerate(ravdess.folds(corpora.load("ravdess", data))):
        fold = as_fold(f"ravdess-av-{position}", "audio", divided, both, modalities)
        yield replace(fold, phrases=phrases_for("audio", base), ridge_rows=ridge_rows)


def train_on(
    modalities: Mapping[str, ModalityConfig],
    train_rows: EmotionData,
    valid_rows: EmotionData,
    seed: int,
    *,
    ridge_rows: EmotionData | None = None,
    progress: bool = False,
) -> EmotionModel:
    """A model of some modalities of these rows. Rows of other corpora `ridge_rows` are for the ridge maps alone."""
    recipe = recipes.voice_and_face(modalities, checkpoint.read_word_table(), seed)
    model, _ = train(recipe, train_rows, valid_rows, ridge_rows=ridge_rows, execution=Execution(progress=progress))
    return model


def uar(model: EmotionModel, data: EmotionData) -> float:
    """Unweighted average recall of the label that `predict` answers."""
    return metrics.uar(shipped.fused(model, data).argmax(axis=1), data.targets.argmax(axis=1))


@torch.no_grad()
def statistics_of(data: EmotionData, base: EmotionModel) -> dict[str, np.ndarray]:
    """What a speech encoder reads of each clip's `sound`, its mean `action units`, and `both`: `(rows, columns)`."""
    sound = [collate([data.inputs["audio"][row]]) for row in data.ids]
    speech = base.modality("audio").encoder
    if not isinstance(speech, StatisticsEncoder):
        raise InputError("the model does not read statistics of speech; use 'base'")
    described = [speech.summarize(*frames)[0].numpy() for frames in sound]
    units = [np.asarray(data.inputs["video"][i], np.float64).mean(axis=0) for i in data.ids]
    found = {"sound": np.stack(described), "action units": np.stack(units)}
    return {**found, "both": np.concatenate(list(found.values()), axis=1)}


def splits_of(data: EmotionData, folder: Path) -> list[np.ndarray]:
    """Each of RAVDESS's folds' split of every row."""
    named: list[Mapping[str, str]] = [
        dict(zip(fold.samples["id"], fold.samples["split"], strict=True))
        for fold in ravdess.folds(corpora.load("ravdess", folder))
    ]
    return [np.array([fold[i.partition("/")[2]] for i in data.ids]) for fold in named]


def ridge_uar(base: EmotionModel, data: Path, split: str = "valid") -> pd.DataFrame:
    """UAR of ridge classifiers on the statistics that the models read, in four folds of actors: one row per modality.

    The penalty is chosen on validation actors. It is the linear baseline of `evaluate`, and learns from RAVDESS alone,
    without copies through other channels.
    """
    both, _ = read_both(data)
    true, splits = both.targets.argmax(axis=1), splits_of(both, data)
    uars = {
        way: [_fold_uar(inputs, true, parts, split) for parts in splits]
        for way, inputs in statistics_of(both, base).items()
    }
    table = pd.DataFrame(uars, index=pd.RangeIndex(len(splits), name="fold")).T
    return table.assign(mean=table.mean(axis=1))


def _fold_uar(inputs: np.ndarray, true: np.ndarray, parts: np.ndarray, split: str) -> float:
    """UAR in one fold; `parts` is the split of each row."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    is_train, is_valid, is_scored = (parts == name for name in ("train", "valid", split))
    fitted = [
        make_pipeline(StandardScaler(), RidgeClassifier(alpha=penalty)).fit(inputs[is_train], true[is_train])
        for penalty in RIDGE_PENALTIES
    ]
    best = max(fitted, key=lambda one: metrics.uar(one.predict(inputs[is_valid]), true[is_valid]))
    return metrics.uar(best.predict(inputs[is_scored]), true[is_scored])
