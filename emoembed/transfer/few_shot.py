"""Few-shot learning: move the point of a label from the point of its word towards its examples."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from emoembed.errors import InputError
from emoembed.model.model import EmotionModel

SHRINKAGE = {"text": 64.0, "audio": 8.0, "video": 32.0}
"""Modality -> number of shots at which the examples have the same weight as the word; see `shrink`."""
MAX_HARM = 0.02
RESIDUAL_WEIGHT, RESIDUAL_SHRINKAGE = 1.5, 8.0
"""Weight of the residual item features with many examples (the other part of the point has length 1), and the number
of shots at which half of this weight is reached."""
SPREAD_PRIOR = 8
"""Number of examples that the usual spread of a label counts for when the spread of a new label is estimated."""


def shrink(
    word: Tensor, examples: Tensor, background: Tensor, half: float, spread: float = 0.0, residual: int = 0
) -> Tensor:
    """Estimate the point of a label from its word and its examples.

    The estimate is a weighted mean of two directions: the word, and the mean of the examples minus the mean of all
    items. With k examples, the examples have the weight k / (k + half). This is the posterior mean under a normal
    prior centred on the word; `half` is the variance within a label divided by the variance of labels around their
    words (shrinkage, as in James & Stein). Examples with a larger spread than usual get less weight, and examples
    with a smaller spread get more.

    The last `residual` numbers are residual item features, which a word does not have. They come from the examples
    alone and have their own weight.

    Args:
        word: `(point_dim,)`.
        examples: `(shots, point_dim)`.
        background: `(point_dim,)`, the mean of the modality's items.
        half: number of shots at which word and examples have the same weight, for a label of the usual spread.
        spread: mean squared distance of a label's items from their mean, over the trained labels; 0 if unknown.
        residual: number of residual item features.

    Returns:
        `(point_dim,)`. The part without the residual has length 1.
    """
    if not residual:
        return _shrink_to_word(word, examples, background, half, spread)
    label_point = _shrink_to_word(word[:-residual], examples[:, :-residual], background[:-residual], half, spread)
    direction = normalize(examples[:, -residual:].mean(dim=0) - background[-residual:], dim=-1)
    weight = len(examples) / (len(examples) + RESIDUAL_SHRINKAGE)
    return torch.cat([label_point, RESIDUAL_WEIGHT * weight * direction])


def _shrink_to_word(word: Tensor, examples: Tensor, background: Tensor, half: float, spread: float) -> Tensor:
    """The label's point without the residual; see `shrink`."""
    shots = len(examples)
    mean = examples.mean(dim=0)
    if spread > 0.0:
        variance = (SPREAD_PRIOR * spread + float((examples - mean).square().sum())) / (SPREAD_PRIOR + shots - 1)
        half = half * variance / spread
    weight = shots / (shots + half)
    return normalize((1 - weight) * word + weight * normalize(mean - background, dim=-1), dim=-1)


def adapt(
    model: EmotionModel,
    points: Mapping[str, Mapping[str, Tensor]],
    label_points: Mapping[str, Mapping[str, Tensor]],
    *,
    shrinkage: Mapping[str, float] | None = None,
    steps: int = 0,
    max_harm: float = MAX_HARM,
    others: Mapping[str, Tensor] | None = None,
) -> EmotionModel:
    """Return a copy of a model with new labels learned from examples. Earlier examples of a label are used again.

    Args:
        model: not changed.
        points: label -> modality -> the points of its examples `(shots, point_dim)`.
        label_points: label -> modality -> the point of its word `(point_dim,)`.
        shrinkage: modality -> number of shots at which the examples have the same weight as the word; `SHRINKAGE` by
            default.
        steps: number of gradient steps of an optional fine-tuning. It moves only the points of the new labels, so
            that each example scores highest for its own label.
        max_harm: limit of the fine-tuning. At most this share of other labels' items may change to a new label. These
            items are the reference items from training and the examples of labels learned earlier. If more would
            change, the steps are shortened.
        others: modality -> points `(labels, point_dim)` of the labels that compete with the new ones in the
            fine-tuning.

    Raises:
        InputError: `max_harm` is not between 0 and 1.
    """
    if not 0.0 <= max_harm <= 1.0:
        raise InputError(f"max_harm is a share of items, 0 to 1; given {max_harm!r}")
    halves = {**SHRINKAGE, **(shrinkage or {})}
    points = {
        label: {name: torch.cat([model.modality(name).examples_of(label), new]) for name, new in by_modality.items()}
        for label, by_modality in points.items()
    }
    anchors = {
        label: {
            name: shrink(
                label_points[label][name],
                examples,
                model.modality(name).background,
                halves[name],
                float(model.modality(name).calibration.spread),
                model.config.modalities[name].residual,
            )
            for name, examples in by_modality.items()
            if len(examples)
        }
        for label, by_modality in points.items()
    }
    if steps:
        for name in model.modalities:
            _refine(model, name, anchors, points, others or {}, steps, max_harm)
    return model.with_taught(anchors, {label: {n: points[label][n] for n in each} for label, each in anchors.items()})


def _refine(
    model: EmotionModel,
    name: str,
    anchors: dict[str, dict[str, Tensor]],
    points: Mapping[str, Mapping[str, Tensor]],
    others: Mapping[str, Tensor],
    steps: int,
    max_harm: float,
) -> None:
    """Fine-tune the new label points of one modality in place, with a penalty on their distance from the start.

    The start is the result of `shrink`. The steps are shortened until the harm to other labels is at most `max_harm`.
    """
    labels = [label for label in anchors if name in anchors[label]]
    rivals = others.get(name)
    if not labels or (len(labels) == 1 and rivals is None):
        return
    embed_dim = model.config.modalities[name].embed_dim  # the residual item features are not fine-tuned
    shrunk = torch.stack([anchors[label][name] for label in labels])
    start, residuals = shrunk[:, :embed_dim], shrunk[:, embed_dim:]
    moving = start.clone().requires_grad_(True)
    examples = torch.cat([points[label][name][:, :embed_dim] for label in labels])
    goal = torch.cat([torch.full((len(points[label][name]),), i) for i, label in enumerate(labels)]).to(shrunk.device)
    optimizer = torch.optim.Adam([moving], lr=0.01)
    with torch.enable_grad():
        for _ in range(steps):
            candidates = normalize(moving, dim=-1)
            if rivals is not None:
                candidates = torch.cat([candidates, rivals[:, :embed_dim]])
            logits = model.modality(name).log_scale.detach().exp() * (examples @ candidates.T)
            loss = cross_entropy(logits, goal) + 5.0 * (moving - start).square().sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    earlier = [model.modality(name).examples_of(label) for label in model.state.taught if label not in anchors]
    items = torch.cat([model.modality(name).calibration.reference, *earlier])
    before = won(model, name, shrunk, rivals, items)
    for fraction in (1.0, 0.5, 0.25, 0.0):  # 0.0 is the start, which does no harm
        stepped = torch.cat([normalize(start + fraction * (moving.detach() - start), dim=-1), residuals], dim=1)
        if won(model, name, stepped, rivals, items) - before <= max_harm:
            break
    for label, row in zip(labels, stepped, strict=True):
        anchors[label][name] = row


@torch.no_grad()
def won(model: EmotionModel, name: str, new: Tensor, rivals: Tensor | None, items: Tensor) -> float:
    """Share of items `(items, point_dim)` for which a modality predicts one of the new labels and not a rival."""
    items = items[items.any(dim=1)]
    if rivals is None or not len(items):
        return 0.0
    points = {name: torch.cat([new, rivals])}
    trust = model.label_trust(points)
    logits = model.calibrated(model.score({name: items}, points, trust), trust, multi_label=False)[name]
    return float((logits.argmax(dim=1) < len(new)).float().mean())
