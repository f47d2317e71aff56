"""Statistics of the training items that a model keeps: their mean, a few reference items, their spread, seen labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training.loop import encode_rows

HUB_SHARE = {"faces": 0.0}
"""Features -> share of a new label's hubness that is subtracted from its score; 1 for features without an entry.
For faces, subtracting it made predictions of new labels worse: `docs/ablation/video` compares both."""


@torch.no_grad()
def fit_residual(model: EmotionModel, data: EmotionData) -> None:
    """Fit the residual item features on rows of any label. Call this after training: training changes the encoders."""
    model.eval()
    for name in data.inputs:
        modality = model.modality(name)
        if modality.residual is None:
            continue
        rows = some_rows(data, name)
        order = np.argsort(rows.lengths(), kind="stable")
        batches = [order[i : i + 64] for i in range(0, len(order), 64)]
        features = [modality.encoder.read(*rows.batch(batch, modality.config.longest)[name]) for batch in batches]
        modality.residual.fit(torch.cat(features))


@torch.no_grad()
def fit_background(model: EmotionModel, data: EmotionData, rows: int = 2000) -> None:
    """Set each modality's statistics from at most `rows` of its rows: mean point, reference items, spread, residual.

    Few-shot learning subtracts the mean from its examples. Hubness and the harm of few-shot learning are measured on
    the reference items.
    """
    for name in data.inputs:
        sample = some_rows(data, name, rows)
        fit_residual(model, sample)
        has_label = torch.from_numpy(sample.has)
        points = encode_rows(model, sample)[name].clone()
        model.modality(name).background.copy_(points.mean(dim=0))
        calibration = model.modality(name).calibration
        calibration.reference.zero_()
        calibration.reference[: len(points)] = points[: len(calibration.reference)]
        calibration.hub_share.fill_(HUB_SHARE.get(model.config.modalities[name].features, 1.0))
        groups = [points[rows] for rows in has_label.T if int(rows.sum()) > 1]
        embed_dim = model.config.modalities[name].embed_dim
        groups = [group[:, :embed_dim] for group in groups]
        spreads = [(group - group.mean(dim=0)).square().sum(dim=1).mean() for group in groups]
        calibration.spread.copy_(torch.stack(spreads).mean() if spreads else torch.zeros(()))


def some_rows(data: EmotionData, modality: str, most: int | None = None) -> EmotionData:
    """Rows that have a modality, with the inputs of this modality only.

    With `most`, a random sample of at most that many rows. The sample is the same in every call.

    Raises:
        InputError: no row has the modality.
    """
    positions = np.flatnonzero([row in data.inputs[modality] for row in data.ids])
    if not len(positions):
        raise InputError(
            f"none of {len(data)} rows has {modality}, but the model reads {modality}; give rows with {modality} or "
            f"leave {modality} out of the model"
        )
    if most is not None:
        positions = np.random.default_rng(0).permutation(positions)[:most]
    return replace(data.rows(positions), inputs={modality: data.inputs[modality]})


@torch.no_grad()
def with_seen(model: EmotionModel, labels: Sequence[str]) -> EmotionModel:
    """Return a copy in which every modality stores the labels seen in training and their points."""
    copy = model.with_seen(dict.fromkeys(model.modalities, labels))
    for name, points in copy.label_points(labels).items():
        copy.modality(name).calibration.familiar.copy_(points)
    return copy
