"""Fit the closed-form parts of a model: standardisation, and ridge maps from features to label points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.encoders.pooled import StatisticsEncoder
from emoembed.encoders.ridge import RidgeMap
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData, join
from emoembed.training.background import some_rows

ACTION_WEIGHT = 0.1
"""Factor of the facial actions in the goal of a face. Chosen on validation faces of FER2013 whose emotion was held out:
`docs/ablation/facial-actions`."""
CONSTANT = 1e-5
"""A column with at most this standard deviation counts as constant."""


def prepare(
    model: EmotionModel, train: EmotionData, ridge_rows: EmotionData | None = None, frames: int = 400
) -> EmotionModel:
    """Fit the standardisation and the ridge maps of a model in place, before training; return the model.

    Args:
        model: untrained.
        train: the training rows.
        ridge_rows: rows of other corpora, used only for the ridge maps.
        frames: number of frames per item that the ridge maps are fitted on.
    """
    fit_standardization(model, train)
    fit_overviews(model, train if ridge_rows is None else join([train, ridge_rows]), frames)
    return model


@torch.no_grad()
def finish_faces(
    model: EmotionModel, data: EmotionData, reader: FacialActionReader | None = None, rows: int = 6000
) -> None:
    """Fit the ridge maps of trained face networks on the features that they have learned, and call `settle`.

    All labels have the same weight in the ridge map, because some are rare.

    Args:
        model: with trained face networks.
        data: the training rows.
        reader: reads facial actions. With a reader, the goal of a face has the face's own actions, not those of its
            label.
        rows: the largest number of rows that are used.
    """
    model.eval()
    for name, label_points in model.label_points(data.labels).items():
        encoder = model.modality(name).encoder
        if not isinstance(encoder, FaceEncoder):
            continue
        usable = np.array([row in data.inputs[name] for row in data.ids]) & data.has.any(axis=1)
        sample = data.rows(np.random.default_rng(0).permutation(np.flatnonzero(usable))[:rows])
        labels = torch.from_numpy(sample.has).float()
        max_frames = model.config.modalities[name].longest
        batches = [np.arange(i, min(i + 64, len(sample))) for i in range(0, len(sample), 64)]
        read, action_parts = [], []
        for batch in batches:  # one batch after the other, because the faces of a clip need much memory
            faces = sample.batch(batch, max_frames)[name]
            read.append(encoder.read(*faces).float())
            action_parts.append(reader(*faces) if reader is not None else read[-1][:, :0])
        features, actions = torch.cat(read), torch.cat(action_parts)
        settle(encoder.out, features)
        if encoder.overview is None:
            continue
        columns = model.config.modalities[name].parts.action_columns
        fit_face_map(encoder.overview, features, labels, label_points, actions, columns if reader is not None else ())


def fit_face_map(
    ridge_map: RidgeMap,
    features: Tensor,
    labels: Tensor,
    label_points: Tensor,
    actions: Tensor,
    action_columns: Sequence[int],
    weight: float = ACTION_WEIGHT,
) -> None:
    """Fit the ridge map of a face network.

    Args:
        ridge_map: is fitted in place.
        features: features of the faces from the network `(faces, features_dim)`.
        labels: `(faces, labels)`: 1 if a face has the label, else 0. Each face has one label at least.
        label_points: `(labels, point_dim)`.
        actions: the facial actions of each face `(faces, actions)`.
        action_columns: columns of a point that hold facial actions. There, the goal of a face has its own actions,
            around the mean of the labels. Without these columns, it has the actions of its label.
        weight: factor of the actions.
    """
    goals = labels @ label_points[:, : len(ridge_map.bias)] / labels.sum(dim=1, keepdim=True)
    if action_columns:
        columns = list(action_columns)
        goals[:, columns] = label_points[:, columns].mean(dim=0) + weight * actions
    ridge_map.fit(features, goals, labels @ (1.0 / labels.sum(dim=0).clamp(min=1.0)))


def finished(model: EmotionModel) -> bool:
    """Whether the ridge map of every face network was fitted."""
    encoders = [modality.encoder for _, modality in model.each_modality()]
    maps = [encoder.overview for encoder in encoders if isinstance(encoder, FaceEncoder)]
    return all(bool(ridge_map.weight.any()) for ridge_map in maps if ridge_map is not None)


@torch.no_grad()
def settle(layer: nn.Linear, inputs: Tensor) -> None:
    """Move the contribution of constant input columns into the bias, and set their weights to 0.

    Training cannot learn the weights of a column that is constant over all rows. Example: after training on single
    faces, the variation of a face over frames is constant, but in a video it is not.
    """
    constant = inputs.std(dim=0) <= CONSTANT
    layer.bias.add_(layer.weight[:, constant] @ inputs.mean(dim=0)[constant])
    layer.weight[:, constant] = 0.0


@torch.no_grad()
def fit_overviews(model: EmotionModel, data: EmotionData, frames: int) -> None:
    """Fit each encoder's ridge map from feature statistics to label points.

    The target of a row with several labels is the mean of their points. All corpora have the same total weight,
    whatever their number of rows, because a corpus with many rows may have few speakers.
    """
    labels = torch.from_numpy(data.has).float()
    for name, label_points in model.label_points(data.labels).items():
        encoder = model.modality(name).encoder
        if not isinstance(encoder, StatisticsEncoder):
            continue
        rows = [i for i, row in enumerate(data.ids) if row in data.inputs[name] and bool(labels[i].any())]
        corpora = [data.ids[i].partition("/")[0] for i in rows]
        counts = Counter(corpora)
        weights = torch.tensor([1.0 / counts[corpus] for corpus in corpora])
        batches = [data.batch(np.array(rows[i : i + 64]), frames)[name] for i in range(0, len(rows), 64)]
        inputs = torch.cat([encoder.summarize(*batch) for batch in batches])
        goals = labels[rows] @ label_points[:, : model.config.modalities[name].embed_dim]
        encoder.overview.fit(inputs, goals / labels[rows].sum(dim=1, keepdim=True), weights)


def fit_standardization(model: EmotionModel, data: EmotionData, rows: int = 500) -> None:
    """Fit the column means and standard deviations of every encoder on at most `rows` training rows."""
    for name, store in data.inputs.items():
        standardize = getattr(model.modality(name).encoder, "standardize", None)
        if standardize is not None:
            frames = [np.asarray(store[row], np.float32) for row in some_rows(data, name, rows).ids]
            standardize.fit(torch.from_numpy(np.concatenate(frames)))
