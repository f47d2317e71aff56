"""Unlabelled recordings of one's own: a model moved to where they lie.

Another microphone, room, speaker or camera moves all of a modality's points alike, whatever the emotion. The mean of
a few items nobody has labelled says by how much, and it is taken off: the speaker and corpus normalisation of speech
emotion recognition (Schuller et al. 2010), done where items are compared.
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
"""Not text: what texts have in common is what they are about, and which emotions that calls for."""
HALF = 8
"""Items at which half of what they differ by is taken off."""
FEWEST = 5
"""Items below which what they share may as well be their emotion: a warning."""


@torch.no_grad()
def attune(model: EmotionModel, items: Iterable[Batch]) -> EmotionModel:
    """A copy of a model in which such items have the mean point of those it was trained on.

    Args:
        model: left as it is; what it was attuned to before counts no longer, for the modalities the items have.
        items: batches of sound or faces, of any emotions, best of several; no label is read.

    Raises:
        InputError: no item of sound or faces, a model that scores by raw dot products, or one that was taught labels
            by sounds or faces, whose examples cannot be moved afterwards.
    """
    attuned = deepcopy(model).eval()
    for name in model.modalities:
        attuned.modality(name).shift.zero_()
    encoded: dict[str, list[Tensor]] = {}
    for batch in items:
        for name, points in attuned.encode({n: one for n, one in batch.items() if n in MODALITIES}).items():
            encoded.setdefault(name, []).append(points[~points.isnan().any(dim=1)])
    found = {name: torch.cat(points) for name, points in encoded.items()}
    counts = {name: len(points) for name, points in found.items() if len(points)}
    if not counts:
        raise InputError("attuning needs recordings or faces of your own; given none")
    taught = sorted({label for label, own in model.state.taught.items() if set(own) & set(counts)})
    if taught:
        raise InputError(
            f"attune first, then adapt: the examples of {', '.join(taught)} were heard or seen before, and stay there"
        )
    few = [f"{count} items of {name}" for name, count in counts.items() if count < FEWEST]
    if few:
        advice = "give about thirty, of different emotions"
        warnings.warn(f"attuned to {', '.join(few)} alone; {advice}", stacklevel=2)
    for name in model.modalities:
        count, said = counts.get(name, 0), model.config.modalities[name].embed_dim
        shift = count / (count + HALF) * (found[name].mean(dim=0) - model.modality(name).background) if count else None
        attuned.modality(name).shift.copy_(model.modality(name).shift if shift is None else shift[:said])
    attuned.state = replace(model.state, attuned={**model.state.attuned, **counts})
    return attuned
