"""Few-shot: a label's vector moves from its word towards its examples."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from emoembed.errors import InputError
from emoembed.model import EmotionModel

SHRINKAGE = {"text": 32.0, "audio": 8.0, "video": 32.0}
"""Shots at which examples weigh as much as the word, by modality; see `shrink`."""


def shrink(word: Tensor, examples: Tensor, background: Tensor, half: float) -> Tensor:
    """A label's point from its word and its examples.

    The mean of the examples, less the mean of all items, is a direction; with k examples it gets k / (k + half) of
    the weight and the word the rest: the posterior mean of a normal prior centred on the word, with `half` the
    ratio of the variance within a label to that of labels about their words (James & Stein's idea).

    Args:
        word: `(embed_dim,)`, length one.
        examples: `(shots, embed_dim)`, rows of length one.
        background: `(embed_dim,)`, mean of the modality's items.
        half: shots at which both weigh the same.

    Returns:
        `(embed_dim,)`, length one.
    """
    weight = len(examples) / (len(examples) + half)
    direction = normalize(examples.mean(dim=0) - background, dim=-1)
    return normalize((1 - weight) * word + weight * direction, dim=-1)


def adapt(
    model: EmotionModel,
    points: Mapping[str, Mapping[str, Tensor]],
    label_points: Mapping[str, Mapping[str, Tensor]],
    *,
    shrinkage: Mapping[str, float] | None = None,
    steps: int = 0,
    others: Mapping[str, Tensor] | None = None,
) -> EmotionModel:
    """A copy of a model whose new labels stand nearer to their examples.

    Args:
        model: left as it is.
        points: label -> modality -> its examples' points `(shots, embed_dim)`.
        label_points: label -> modality -> the point of its word `(embed_dim,)`.
        shrinkage: modality -> shots at which examples weigh as much as the word; `SHRINKAGE` by default.
        steps: of a light fine-tune: gradient steps on the new labels' points alone, so that each example prefers
            its own label to every other. Points of other labels never move.
        others: modality -> points `(labels, embed_dim)` of the labels the new ones compete with in that fine-tune.
    """
    if model.config.similarity != "cosine":
        raise InputError("few-shot vectors need cosine similarity; this model scores by raw dot products")
    halves = {**SHRINKAGE, **(shrinkage or {})}
    anchors = {
        label: {
            name: shrink(label_points[label][name], examples, model.background(name), halves[name])
            for name, examples in by_modality.items()
            if len(examples)
        }
        for label, by_modality in points.items()
    }
    if steps:
        for name in model.modalities:
            _refine(model, name, anchors, points, others or {}, steps)
    shots = {label: {name: len(examples) for name, examples in each.items()} for label, each in points.items()}
    before = model.config.provenance.get("few_shot", {})
    return model.adapted(
        anchors, {"few_shot": before | {label: before.get(label, {}) | n for label, n in shots.items()}}
    )


def _refine(
    model: EmotionModel,
    name: str,
    anchors: dict[str, dict[str, Tensor]],
    points: Mapping[str, Mapping[str, Tensor]],
    others: Mapping[str, Tensor],
    steps: int,
) -> None:
    """Gradient steps on one modality's new label points, held near where shrinkage put them."""
    labels = [label for label in anchors if name in anchors[label]]
    rivals = others.get(name)
    if not labels or (len(labels) == 1 and rivals is None):
        return
    start = torch.stack([anchors[label][name] for label in labels])
    moving = start.clone().requires_grad_(True)
    examples = torch.cat([points[label][name] for label in labels])
    goal = torch.cat([torch.full((len(points[label][name]),), i) for i, label in enumerate(labels)])
    optimizer = torch.optim.Adam([moving], lr=0.01)
    with torch.enable_grad():
        for _ in range(steps):
            candidates = normalize(moving, dim=-1)
            if rivals is not None:
                candidates = torch.cat([candidates, rivals])
            logits = model.log_scale[name].detach().exp() * (examples @ candidates.T)
            loss = cross_entropy(logits, goal) + 5.0 * (moving - start).square().sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for label, row in zip(labels, normalize(moving.detach(), dim=-1), strict=True):
        anchors[label][name] = row
