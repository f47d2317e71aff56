"""Keep speech or faces of an earlier checkpoint, beside a new sentence encoder, without training them again.

The new encoder gives names other vectors. The text part of the label projection is fitted anew, by ridge regression on
many names of feelings, so that each name keeps its point in the modality. The other parts of a label (valence, arousal
and dominance, and how it sounds or looks) do not depend on the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from emoembed.encoders import ridge
from emoembed.labels.emotion import table
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.model import EmotionModel
from emoembed.training.build import build

PENALTY = 0.1


def kept(old: EmotionModel, name: str, untrained: EmotionModel, names: Sequence[str]) -> EmotionModel:
    """A model of one modality of `old`, over the phrase encoder of `untrained`.

    Args:
        old: an earlier checkpoint.
        name: the modality.
        untrained: has the new sentence encoder and label space.
        names: names of feelings on which the projections are made to agree.
    """
    assert untrained.phrases is not None
    model = build({name: old.config.modalities[name]}, untrained.phrases, base=untrained)
    model = model.with_seen({name: old.state.seen_in(name)})
    weights = {key: value for key, value in old.state_dict().items() if key.startswith(f"modalities.{name}.")}
    model.load_state_dict(weights, strict=False)
    projection = model.modality(name).projection
    prompts = [prompt for label in table().values() for prompt in label.prompts()]
    old_vectors, vectors = (text_vectors(side, [*prompts, *names]) for side in (old, untrained))
    with torch.no_grad():
        goals = old_vectors @ projection.weight[:, : projection.phrase_dim].T
        projection.weight[:, : projection.phrase_dim] = ridge.solve(vectors, goals, PENALTY).float()
    return model.eval()


@torch.no_grad()
def text_vectors(model: EmotionModel, phrases: Sequence[str]) -> Tensor:
    """The text part of label features for phrases, `(phrases, dim)`."""
    assert isinstance(model.phrases, SentenceEncoder)
    vectors = model.phrases.phrase_vectors(phrases) - model.space.centre
    return torch.nn.functional.normalize(vectors, dim=-1)


@torch.no_grad()
def agreement(old: EmotionModel, new: EmotionModel, name: str) -> float:
    """Mean cosine of the points of the table's labels in both models."""
    labels = list(table())
    points = [model.label_points(labels)[name] for model in (old, new)]
    return float((points[0] * points[1]).sum(dim=1).mean())
