"""What is fitted without gradients: before training, statistics and maps; after it, what items look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.corpora.corpus import Corpus
from emoembed.encoders import ridge
from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.spectrogram import SpectrogramEncoder
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import InputError
from emoembed.labels.phrases import SentenceEncoder
from emoembed.labels.space import LabelSpace
from emoembed.model.model import EmotionModel
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.training.loop import encode_rows

HUB_SHARE = {"faces": 0.0}
"""How much of a new label's nearness to items in general is taken off its score, by features; all of it where they are
not named. In faces it made answers to new labels worse: `docs/ablation/video` has both ways."""
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


def finish(model: EmotionModel, train: EmotionData) -> EmotionModel:
    """Fit what must be fitted after training: what reads the networks' features, and what items look like."""
    finish_faces(model, train)
    fit_background(model, train)
    return model


@torch.no_grad()
def finish_faces(model: EmotionModel, data: EmotionData, rows: int = 6000) -> None:
    """Fit what reads what a face network has learned, after its training: its map in closed form, and `settle`.

    Every label counts alike in the map, for some are rare.
    """
    model.eval()
    for name, label_points in model.label_points(data.labels).items():
        encoder = model.encoders[name]
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
    maps = [encoder.overview for encoder in model.encoders.values() if isinstance(encoder, FaceEncoder)]
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
        encoder = model.encoders[name]
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


@torch.no_grad()
def fit_details(model: EmotionModel, data: EmotionData) -> None:
    """Fit what of an item no word says, on rows whatever their labels; after training, for encoders change in it."""
    model.eval()
    for name in data.inputs.keys() & model.details.keys():
        detail, rows, longest = model.details[name], some_rows(data, name), model.config.modalities[name].longest
        order = np.argsort(rows.lengths(), kind="stable")
        places = [order[i : i + 64] for i in range(0, len(order), 64)]
        features = [model.encoders[name].read(*rows.batch(at, longest)[name]) for at in places]  # type: ignore[operator]
        detail.fit(torch.cat(features))  # type: ignore[operator]


@torch.no_grad()
def fit_background(model: EmotionModel, data: EmotionData, rows: int = 2000) -> None:
    """Set what each modality's items look like, from some of its rows: their mean point, a few of them, their spread.

    Few-shot examples are compared with the mean, hubness and harm are measured on the few.
    """
    for name in data.inputs:
        chosen = some_rows(data, name, rows)
        fit_details(model, chosen)
        bears = torch.from_numpy(chosen.targets == 1)
        points = encode_rows(model, chosen)[name].clone()
        model.background(name).copy_(points.mean(dim=0))
        trust = model.trust(name)
        trust.reference.zero_()
        trust.reference[: len(points)] = points[: len(trust.reference)]
        trust.hub_share.fill_(HUB_SHARE.get(model.config.modalities[name].features, 1.0))
        groups = [points[rows] for rows in bears.T if int(rows.sum()) > 1]
        said = model.config.modalities[name].embed_dim
        groups = [group[:, :said] for group in groups]
        spreads = [(group - group.mean(dim=0)).square().sum(dim=1).mean() for group in groups]
        trust.spread.copy_(torch.stack(spreads).mean() if spreads else torch.zeros(()))


def fit_standardization(model: EmotionModel, data: EmotionData, rows: int = 500) -> None:
    """Fit every encoder's column statistics on some training rows."""
    for name, store in data.inputs.items():
        standardize = getattr(model.encoders[name], "standardize", None)
        if standardize is not None:
            frames = [np.asarray(store[row], np.float32) for row in some_rows(data, name, rows).ids]
            standardize.fit(torch.from_numpy(np.concatenate(frames)))


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


def rate_texts(model: EmotionModel, rated: Corpus, texts: Sequence[str], penalty: float = 3.0) -> EmotionData:
    """Fit a text encoder's valence, arousal and dominance, and the label space's: ridge on the untouched trunk.

    What it says of `texts` (those that will be trained on; no label of theirs is read) is then brought to mean 0 and
    deviation 0.5, the spread of the label table.

    Args:
        model: whose text encoder has a part for them, and adapters that do nothing yet.
        rated: sentences with the columns valence, arousal and dominance: `corpora.emobank`.
        texts: the kind of text the model is for.

    Returns:
        The rated sentences as rows without labels, their ratings on the same scale: what `TrainConfig.rate` trains on.
    """
    encoder = model.encoders["text"]
    assert isinstance(encoder, TransformerEncoder)
    assert encoder.ratings is not None
    assert isinstance(model.phrases, SentenceEncoder)
    inputs = model.phrases.phrase_vectors(list(rated.samples["text"])).double()
    known = torch.tensor(rated.samples[["valence", "arousal", "dominance"]].to_numpy(), dtype=torch.float64)
    centre, middle = inputs.mean(dim=0), known.mean(dim=0)
    weight = ridge.solve(inputs - centre, known - middle, penalty).T
    said = model.phrases.phrase_vectors(list(texts)).double() @ weight
    scale = 0.5 / said.std(dim=0).clamp(min=1e-6)
    with torch.no_grad():
        encoder.ratings.weight.copy_((weight * scale).T)
        encoder.ratings.bias.copy_(-said.mean(dim=0) * scale)
    assert isinstance(model.space, LabelSpace)
    model.space.fit(
        model.phrases, (inputs.float(), ((known - middle) * 0.5 / known.std(dim=0).clamp(min=1e-6)).float())
    )
    ratings = (known - middle + centre @ weight - said.mean(dim=0)) * scale
    return replace(corpus_rows.text_data(rated, model.phrases), ratings=ratings.float().numpy())


@torch.no_grad()
def note_seen(model: EmotionModel, labels: Sequence[str]) -> None:
    """Let every modality know which labels its training saw, and where they lie."""
    model.saw(dict.fromkeys(model.modalities, labels))
    for name, points in model.label_points(labels).items():
        model.trust(name).familiar.copy_(points)
