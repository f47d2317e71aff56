"""What a trained model keeps of its training items: their mean, a few of them, their spread, and the labels it saw."""

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
"""How much of a new label's nearness to items in general is taken off its score, by features; all of it where they are
not named. In faces it made answers to new labels worse: `docs/ablation/video` has both ways."""


@torch.no_grad()
def fit_residual(model: EmotionModel, data: EmotionData) -> None:
    """Fit what of an item no word says, on rows whatever their labels; after training, for encoders change in it."""
    model.eval()
    for name in data.inputs:
        modality = model.modality(name)
        if modality.residual is None:
            continue
        rows = some_rows(data, name)
        order = np.argsort(rows.lengths(), kind="stable")
        places = [order[i : i + 64] for i in range(0, len(order), 64)]
        features = [modality.encoder.read(*rows.batch(at, modality.config.longest)[name]) for at in places]
        modality.residual.fit(torch.cat(features))


@torch.no_grad()
def fit_background(model: EmotionModel, data: EmotionData, rows: int = 2000) -> None:
    """Set what each modality's items look like, from some of its rows: their mean point, a few of them, their spread.

    Few-shot examples are compared with the mean, hubness and harm are measured on the few.
    """
    for name in data.inputs:
        chosen = some_rows(data, name, rows)
        fit_residual(model, chosen)
        bears = torch.from_numpy(chosen.targets == 1)
        points = encode_rows(model, chosen)[name].clone()
        model.modality(name).background.copy_(points.mean(dim=0))
        trust = model.modality(name).calibration
        trust.reference.zero_()
        trust.reference[: len(points)] = points[: len(trust.reference)]
        trust.hub_share.fill_(HUB_SHARE.get(model.config.modalities[name].features, 1.0))
        groups = [points[rows] for rows in bears.T if int(rows.sum()) > 1]
        said = model.config.modalities[name].embed_dim
        groups = [group[:, :said] for group in groups]
        spreads = [(group - group.mean(dim=0)).square().sum(dim=1).mean() for group in groups]
        trust.spread.copy_(torch.stack(spreads).mean() if spreads else torch.zeros(()))


def some_rows(data: EmotionData, modality: str, most: int | None = None) -> EmotionData:
    """Rows that have a modality, and that one alone: at most so many of them, drawn alike every time.

    Raises:
        InputError: no row has it.
    """
    here = np.flatnonzero([row in data.inputs[modality] for row in data.ids])
    if not len(here):
        raise InputError(f"none of {len(data)} rows has {modality}, which is to be fitted; leave it out of the model")
    if most is not None:
        here = np.random.default_rng(0).permutation(here)[:most]
    return replace(data.rows(here), inputs={modality: data.inputs[modality]})


@torch.no_grad()
def with_seen(model: EmotionModel, labels: Sequence[str]) -> EmotionModel:
    """A copy in which every modality knows which labels its training saw, and where they lie."""
    copy = model.with_seen(dict.fromkeys(model.modalities, labels))
    for name, points in copy.label_points(labels).items():
        copy.modality(name).calibration.familiar.copy_(points)
    return copy
