"""Few-shot: a label's vector moves from its word towards its examples."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from emoembed.errors import InputError
from emoembed.model.model import EmotionModel

SHRINKAGE = {"text": 64.0, "audio": 8.0, "video": 32.0}
"""Shots at which examples weigh as much as the word, by modality; see `shrink`."""
MAX_HARM = 0.02
RESIDUAL_WEIGHT, RESIDUAL_SHRINKAGE = 1.5, 8.0
"""Of what no word says of an item, beside what words say, once examples have shown it; shots at which half of it."""
SPREAD_PRIOR = 8
"""Examples that the usual spread of a label counts for, when a label's own is estimated."""


def shrink(
    word: Tensor, examples: Tensor, background: Tensor, half: float, spread: float = 0.0, residual: int = 0
) -> Tensor:
    """A label's point from its word and its examples.

    The mean of the examples, less the mean of all items, is a direction; with k examples it gets k / (k + half) of
    the weight and the word the rest: the posterior mean of a normal prior centred on the word, with `half` the
    ratio of the variance within a label to that of labels about their words (James & Stein's idea). Examples that
    differ more among themselves than those of a label usually do weigh less, and the other way round.

    Of the `residual` last numbers, which no word says, the word knows nothing: there the examples speak alone, with a
    weight of their own.

    Args:
        word: `(point_dim,)`.
        examples: `(shots, point_dim)`.
        background: `(point_dim,)`, mean of the modality's items.
        half: shots at which both weigh the same, for a label of the usual spread.
        spread: mean squared distance of a label's items from their mean, over the labels trained on; 0 if unknown.
        residual: how many of the numbers no word says.

    Returns:
        `(point_dim,)`, of length one but for the residual.
    """
    if not residual:
        return _shrunk(word, examples, background, half, spread)
    place = _shrunk(word[:-residual], examples[:, :-residual], background[:-residual], half, spread)
    unsaid = normalize(examples[:, -residual:].mean(dim=0) - background[-residual:], dim=-1)
    weight = len(examples) / (len(examples) + RESIDUAL_SHRINKAGE)
    return torch.cat([place, RESIDUAL_WEIGHT * weight * unsaid])


def _shrunk(word: Tensor, examples: Tensor, background: Tensor, half: float, spread: float) -> Tensor:
    """The label's point where words speak too."""
    shots = len(examples)
    mean = examples.mean(dim=0)
    if spread > 0.0:
        own = (SPREAD_PRIOR * spread + float((examples - mean).square().sum())) / (SPREAD_PRIOR + shots - 1)
        half = half * own / spread
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
    """A copy of a model whose new labels stand nearer to their examples; what they were taught before counts on.

    Args:
        model: left as it is.
        points: label -> modality -> its examples' points `(shots, point_dim)`.
        label_points: label -> modality -> the point of its word `(point_dim,)`.
        shrinkage: modality -> shots at which examples weigh as much as the word; `SHRINKAGE` by default.
        steps: of a light fine-tune: gradient steps on the new labels' points alone, so that each example prefers
            its own label to every other. Points of other labels never move.
        max_harm: the largest share of items of other labels - those kept from training, and examples of labels taught
            before - that the fine-tune may win over for the new labels; it goes only as far as keeps to that.
        others: modality -> points `(labels, point_dim)` of the labels the new ones compete with in that fine-tune.
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
    """Gradient steps on one modality's new label points, held near where shrinkage put them, as far as harms nobody."""
    labels = [label for label in anchors if name in anchors[label]]
    rivals = others.get(name)
    if not labels or (len(labels) == 1 and rivals is None):
        return
    said = model.config.modalities[name].embed_dim  # what no word says stays where the examples put it
    whole = torch.stack([anchors[label][name] for label in labels])
    start, unsaid = whole[:, :said], whole[:, said:]
    moving = start.clone().requires_grad_(True)
    examples = torch.cat([points[label][name][:, :said] for label in labels])
    goal = torch.cat([torch.full((len(points[label][name]),), i) for i, label in enumerate(labels)]).to(whole.device)
    optimizer = torch.optim.Adam([moving], lr=0.01)
    with torch.enable_grad():
        for _ in range(steps):
            candidates = normalize(moving, dim=-1)
            if rivals is not None:
                candidates = torch.cat([candidates, rivals[:, :said]])
            logits = model.modality(name).log_scale.detach().exp() * (examples @ candidates.T)
            loss = cross_entropy(logits, goal) + 5.0 * (moving - start).square().sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    kept = [model.modality(name).examples_of(label) for label in model.state.taught if label not in anchors]
    items = torch.cat([model.modality(name).calibration.reference, *kept])
    before = won(model, name, whole, rivals, items)
    for far in (1.0, 0.5, 0.25, 0.0):  # 0.0 is where shrinkage put them, and harms nobody
        stepped = torch.cat([normalize(start + far * (moving.detach() - start), dim=-1), unsaid], dim=1)
        if won(model, name, stepped, rivals, items) - before <= max_harm:
            break
    for label, row in zip(labels, stepped, strict=True):
        anchors[label][name] = row


@torch.no_grad()
def won(model: EmotionModel, name: str, new: Tensor, rivals: Tensor | None, items: Tensor) -> float:
    """Share of items `(items, point_dim)` for which a modality answers one of the new labels and not a rival."""
    items = items[items.any(dim=1)]
    if rivals is None or not len(items):
        return 0.0
    points = {name: torch.cat([new, rivals])}
    known = model.label_trust(points)
    logits = model.calibrated(model.score({name: items}, points, known), known, multi_label=False)[name]
    return float((logits.argmax(dim=1) < len(new)).float().mean())
