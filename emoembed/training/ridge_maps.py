"""What is fitted in closed form: statistics of columns, and ridge maps from features to label points."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.spectrogram import SpectrogramEncoder
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData, join
from emoembed.training.background import some_rows

CONSTANT = 1e-5
"""Standard deviation up to which a column is the same in every row."""


def prepare(
    model: EmotionModel, train: EmotionData, beside: EmotionData | None = None, frames: int = 400
) -> EmotionModel:
    """Fit what must be fitted before training: the columns' statistics, and the maps in closed form.

    Args:
        model: untrained.
        train: the rows it will be trained on.
        beside: rows of other corpora, which the maps alone are fitted on as well.
        frames: of an item that the maps are fitted on.
    """
    fit_standardization(model, train)
    fit_overviews(model, train if beside is None else join([train, beside]), frames)
    return model


@torch.no_grad()
def finish_faces(model: EmotionModel, data: EmotionData, rows: int = 6000) -> None:
    """Fit what reads what a face network has learned, after its training: its map in closed form, and `settle`.

    Every label counts alike in the map, for some are rare.
    """
    model.eval()
    for name, label_points in model.label_points(data.labels).items():
        encoder = model.modality(name).encoder
        if not isinstance(encoder, FaceEncoder):
            continue
        here = np.array([row in data.inputs[name] for row in data.ids]) & (data.targets == 1).any(axis=1)
        chosen = data.rows(np.random.default_rng(0).permutation(np.flatnonzero(here))[:rows])
        bears = torch.from_numpy(chosen.targets == 1).float()
        longest = model.config.modalities[name].longest
        places = [np.arange(i, min(i + 64, len(chosen))) for i in range(0, len(chosen), 64)]
        features = torch.cat([encoder.read(*chosen.batch(at, longest)[name]).float() for at in places])
        settle(encoder.out, features)
        if encoder.overview is None:
            continue
        goals = bears @ label_points[:, : model.config.modalities[name].embed_dim] / bears.sum(dim=1, keepdim=True)
        encoder.overview.fit(features, goals, bears @ (1.0 / bears.sum(dim=0).clamp(min=1.0)))


def finished(model: EmotionModel) -> bool:
    """Whether every face network's map in closed form was fitted."""
    encoders = [modality.encoder for _, modality in model.each_modality()]
    maps = [encoder.overview for encoder in encoders if isinstance(encoder, FaceEncoder)]
    return all(bool(one.weight.any()) for one in maps if one is not None)


@torch.no_grad()
def settle(layer: nn.Linear, inputs: Tensor) -> None:
    """Move into the bias what columns add that are the same in every row; what they weigh elsewhere nobody learned.

    Trained on single faces, how a face varies over frames is such a column, and in a video it is no longer constant.
    """
    constant = inputs.std(dim=0) <= CONSTANT
    layer.bias.add_(layer.weight[:, constant] @ inputs.mean(dim=0)[constant])
    layer.weight[:, constant] = 0.0


@torch.no_grad()
def fit_overviews(model: EmotionModel, data: EmotionData, frames: int) -> None:
    """Fit each encoder's map from statistics to label points.

    A row with several labels is drawn to their mean. Corpora count alike, however many rows they have: rows of one
    have few speakers, rows of another many.
    """
    bears = torch.from_numpy(data.targets == 1).float()
    for name, label_points in model.label_points(data.labels).items():
        encoder = model.modality(name).encoder
        if not isinstance(encoder, SpectrogramEncoder | PooledEncoder) or encoder.overview is None:
            continue
        rows = [i for i, row in enumerate(data.ids) if row in data.inputs[name] and bool(bears[i].any())]
        corpora = [data.ids[i].partition("/")[0] for i in rows]
        counts = Counter(corpora)
        weights = torch.tensor([1.0 / counts[corpus] for corpus in corpora])
        batches = [data.batch(np.array(rows[i : i + 64]), frames)[name] for i in range(0, len(rows), 64)]
        inputs = torch.cat([encoder.summarize(*batch) for batch in batches])
        goals = bears[rows] @ label_points[:, : model.config.modalities[name].embed_dim]
        encoder.overview.fit(inputs, goals / bears[rows].sum(dim=1, keepdim=True), weights)


def fit_standardization(model: EmotionModel, data: EmotionData, rows: int = 500) -> None:
    """Fit every encoder's column statistics on some training rows."""
    for name, store in data.inputs.items():
        standardize = getattr(model.modality(name).encoder, "standardize", None)
        if standardize is not None:
            frames = [np.asarray(store[row], np.float32) for row in some_rows(data, name, rows).ids]
            standardize.fit(torch.from_numpy(np.concatenate(frames)))
