"""Adapt a model to unlabelled recordings from another microphone, room, speaker or camera (mean alignment).

A change of this kind shifts all points of a modality by the same vector, whatever the emotion. The mean of a few
unlabelled items estimates this shift, and the model subtracts it. Speech emotion recognition knows this as speaker and
corpus normalisation (Schuller et al. 2010); here it is applied to the points in the shared space, not to the features.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor

from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.model.scorer import Batch

MODALITIES = ("audio", "video")
"""The modalities that are attuned unless text is named. The mean of texts shows their topic, which is related to
emotions. In dialogues it also shows the style of speech."""
HALF = 8
"""Number of items at which half of the estimated shift is subtracted."""
FEWEST = 5
"""With fewer items, the estimated shift may come from their emotion, so a warning is given."""


@torch.no_grad()
def attune(model: EmotionModel, items: Iterable[Batch]) -> EmotionModel:
    """Return a copy of a model in which items like these have the same mean point as the training items.

    Args:
        model: not changed. Its earlier mean alignment is discarded for the modalities of the items.
        items: batches of audio, video or texts of dialogues. The items should show several emotions. No labels are
            used.

    Raises:
        InputError: there is no item, or the model has few-shot labels learned from examples of these modalities, which
            cannot be shifted afterwards.
    """
    attuned = deepcopy(model).eval()
    for name in model.modalities:
        attuned.modality(name).shift.zero_()
    encoded: dict[str, list[Tensor]] = {}
    for batch in items:
        for name, points in attuned.encode(batch).items():
            encoded.setdefault(name, []).append(points[~points.isnan().any(dim=1)])
    item_points = {name: torch.cat(points) for name, points in encoded.items()}
    counts = {name: len(points) for name, points in item_points.items() if len(points)}
    if not counts:
        raise InputError("attune needs recordings, faces or texts of your own; given none")
    taught = sorted({label for label, examples in model.state.taught.items() if set(examples) & set(counts)})
    if taught:
        raise InputError(
            f"the model already has {' or '.join(counts)} examples of {', '.join(taught)}, which attune cannot shift; "
            "attune the model first, then adapt it"
        )
    few = [f"{count} items of {name}" for name, count in counts.items() if count < FEWEST]
    if few:
        advice = "give about 30 items of different emotions"
        warnings.warn(f"attuned to only {', '.join(few)}; {advice}", stacklevel=2)
    for name in model.modalities:
        count, embed_dim = counts.get(name, 0), model.config.modalities[name].embed_dim
        shift = (
            count / (count + HALF) * (item_points[name].mean(dim=0) - model.modality(name).background)
            if count
            else None
        )
        attuned.modality(name).shift.copy_(model.modality(name).shift if shift is None else shift[:embed_dim])
    attuned.state = replace(model.state, attuned={**model.state.attuned, **counts})
    return attuned
