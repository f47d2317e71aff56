"""Few-shot learning: the score of a label by its word, plus a score by its examples.

The score of a taught label for an item is

    level + b (word(item) - word(examples)) + b a (evidence(item) - evidence(examples)).

`word` is the logit by the label's name. `evidence` says how far the item lies in the direction in which the examples
differ from other items, on the scale of `word`. `a = k / (k + half)` grows with the number k of examples. `b` keeps the
spread of the scores over items in general as it was. An item at the mean leave-one-out distance of the examples gets
the level. Items farther away get less. So the label does not become more frequent, and its scores remain comparable
with those of labels that are known by name only.

If the model does not know the word, `word` counts less and `evidence` more. An unknown word says nothing about items.

The level is the mean logit of the examples by the word. If the word says little about them, the level is that of a
label that fits moderately.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import normalize

from emoembed.model.modality import Modality, Taught
from emoembed.model.model import EmotionModel

HALF = {"text": 12.0, "audio": 16.0, "video": 16.0}
"""Modality -> number of examples at which their evidence has half of its full weight. These constants were chosen on
GoEmotions dev, enISEAR, and validation rows of RAVDESS and FER2013, with the former checkpoint. No table of this
comparison was kept."""
DOMAIN = 2.0
"""Directions are measured from a mix of two means: of all examples, and of the training items. With this many taught
labels, both have the same weight. Examples of one corpus also share features that are not their emotion."""
FIT = 0.5
"""A level is at least this many standard deviations above the mean logit of other labels for the examples."""
RESIDUAL_SHRINKAGE = 8.0
"""Number of examples at which residual item features have half of their full weight."""


def adapt(
    model: EmotionModel,
    points: Mapping[str, Mapping[str, Tensor]],
    label_points: Mapping[str, Mapping[str, Tensor]],
    *,
    half: Mapping[str, float] | None = None,
    others: Mapping[str, Tensor] | None = None,
    familiarity: Mapping[str, float] | None = None,
) -> EmotionModel:
    """Return a copy of the model with labels learned from examples.

    Args:
        model: the model to adapt. It does not change.
        points: label -> modality -> points of new examples `(shots, point_dim)`. They are added to earlier examples.
        label_points: label -> modality -> point of the label's word `(point_dim,)`.
        half: modality -> number of examples at which their evidence has half of its full weight; `HALF` by default.
        others: modality -> points `(labels, point_dim)` of other labels, with which the level is compared.
        familiarity: label -> how familiar its word is, 0 to 1; by default 1.
    """
    halves = {**HALF, **(half or {})}
    examples = {
        label: {name: torch.cat([model.modality(name).examples_of(label), new]) for name, new in by_modality.items()}
        for label, by_modality in points.items()
    }
    taught: dict[str, dict[str, Taught]] = {label: {} for label in examples}
    for name, modality in model.each_modality():
        own = {label: each[name] for label, each in examples.items() if len(each.get(name, ()))}
        earlier = {label: modality.examples_of(label) for label in modality.taught if label not in own}
        centre = centre_of(modality, [rows for rows in (*own.values(), *earlier.values()) if len(rows)])
        for label, rows in own.items():
            rivals = (others or {}).get(name)
            known = (familiarity or {}).get(label, 1.0)
            taught[label][name] = learn(modality, label_points[label][name], rows, centre, halves[name], rivals, known)
    return model.with_taught(taught, {label: {n: examples[label][n] for n in each} for label, each in taught.items()})


def centre_of(modality: Modality, groups: list[Tensor]) -> Tensor:
    """The point from which the directions of examples are measured, `(point_dim,)`.

    It lies between the mean of training items and the mean of the examples of all taught labels. With a single label,
    its emotion and its corpus cannot be separated, so the mean of training items is used for it.
    """
    if len(groups) < 2:
        return modality.background
    share = len(groups) / (len(groups) + DOMAIN)
    return (1 - share) * modality.background + share * torch.stack([rows.mean(dim=0) for rows in groups]).mean(dim=0)


@torch.no_grad()
def learn(
    modality: Modality,
    word: Tensor,
    examples: Tensor,
    centre: Tensor,
    half: float,
    rivals: Tensor | None = None,
    familiarity: float = 1.0,
) -> Taught:
    """Learn one label in one modality from its examples `(shots, point_dim)`; see the module for the method."""
    shots = len(examples)
    weight = familiarity * shots / (shots + half) + (1 - familiarity)
    trust = modality.trust(word[None])
    reference = modality.calibration.reference
    reference = reference[reference.any(dim=1)]
    by_word = modality.score(examples, word[None], trust)[:, 0]
    direction = _direction(examples, centre, modality.config.residual)
    left_out = [torch.cat([examples[:i], examples[i + 1 :]]) for i in range(shots)] if shots > 1 else [examples]
    agreement = torch.stack(
        [
            (row - centre) @ _direction(rest, centre, modality.config.residual)
            for row, rest in zip(examples, left_out, strict=False)
        ]
    ).mean() * (1.0 if shots > 1 else 0.5)  # a single example agrees more with itself than with other examples
    scale, keep = modality.scale, word.new_ones(())
    if len(reference) > 1:
        usual, evidence = modality.score(reference, word[None], trust)[:, 0], (reference - centre) @ direction
        scale = usual.std() / evidence.std().clamp(min=1e-6)
        both = torch.corrcoef(torch.stack([usual, evidence]))[0, 1].nan_to_num(0.0)
        keep = (familiarity**2 + weight**2 + 2 * familiarity * weight * both).rsqrt()
    level = by_word.mean()
    if rivals is not None and len(rivals) > 1:
        of_others = modality.score(examples, rivals)
        level = torch.maximum(level, (of_others.mean(dim=1) + FIT * of_others.std(dim=1)).mean())
    evidence_weight = keep * weight * scale
    by_name = keep * familiarity
    anchor = by_name * word + evidence_weight / modality.scale * direction
    # logit = modality.scale * item @ anchor + bias - hubness of the word + constant
    constant = level - by_name * by_word.mean() - evidence_weight * (centre @ direction + agreement)
    return Taught(anchor, word, constant + (1 - by_name) * (trust.hubness[0] - modality.bias))


def _direction(examples: Tensor, centre: Tensor, residual: int) -> Tensor:
    """The direction in which examples differ from other items `(point_dim,)`. Its main part has length 1.

    The last `residual` numbers are residual item features. They grow with the number of examples.
    """
    difference = examples.mean(dim=0) - centre
    if not residual:
        return normalize(difference, dim=-1)
    weight = len(examples) / (len(examples) + RESIDUAL_SHRINKAGE)
    return torch.cat([normalize(difference[:-residual], dim=-1), weight * normalize(difference[-residual:], dim=-1)])
