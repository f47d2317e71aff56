"""What should be known of the labels of a call: names that are not understood, and labels like nothing trained on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from emoembed.features.notes import Note
from emoembed.labels import Label, canonical, table
from emoembed.model import EmotionModel
from emoembed.transformer import SentenceEncoder
from emoembed.understanding import ENOUGH, understood

FAR = 0.4
"""Cosine below which the nearest label says little of a label."""


def notes_of(
    model: EmotionModel, labels: Mapping[str, Label], points: Mapping[str, Tensor]
) -> dict[str, tuple[Note, ...]]:
    """Notes on labels by modality; under `labels` those that hold in every modality.

    Args:
        model: that is asked.
        labels: the caller's spelling -> label.
        points: of the labels by modality, `(labels, point_dim)`.
    """
    found: dict[str, list[Note]] = {"labels": []}
    strange = unlike_any(model, labels)
    for name in strange:
        if _unknown(model, labels[name]):
            said = f"{name!r} is in no English word that is known, so that its scores are a guess; describe it"
            found["labels"].append(Note("label-unknown", "labels", said))
        else:
            said = f"no emotion that is known is like {name!r}; a description, or a few examples, would tell more"
            found["labels"].append(Note("label-far", "labels", said))
    for modality, matrix in points.items():
        settings = model.config.modalities[modality]
        trust = model.trust(modality)
        if not settings.seen or not bool(trust.familiar.any()):
            continue
        taught = {label for label, counts in model.config.few_shot.items() if modality in counts}
        nearest = trust.nearest(matrix).tolist()
        found[modality] = [
            Note(
                "label-far", modality, f"nothing like {name!r} was trained on; its scores are hardly more than a guess"
            )
            for name, cosine in zip(labels, nearest, strict=True)
            if cosine < FAR and name not in strange and canonical(name) not in taught
        ]
    return {name: tuple(notes) for name, notes in found.items() if notes}


def unlike_any(model: EmotionModel, labels: Mapping[str, Label]) -> dict[str, float]:
    """Of labels that neither the table nor the model knows, and nobody described, those like none of the table.

    Each with its cosine to the nearest.
    """
    known = {*table(), *map(canonical, model.config.known), *model.config.few_shot}
    asked = {name: label for name, label in labels.items() if canonical(name) not in known and not label.definition}
    if not asked:
        return {}
    text = slice(0, model.config.phrase_dim)
    own = torch.nn.functional.normalize(model.embed(list(asked.values()))[:, text], dim=-1)
    others = torch.nn.functional.normalize(model.embed(list(table().values()))[:, text], dim=-1)
    nearest = (own @ others.T).amax(dim=1).tolist()
    return {name: cosine for name, cosine in zip(asked, nearest, strict=True) if cosine < FAR}


def _unknown(model: EmotionModel, label: Label) -> bool:
    """Whether nothing that is said of a label is in words the model knows."""
    if not isinstance(model.phrases, SentenceEncoder):
        return False
    said = " ".join((label.name, *label.synonyms, label.definition))
    return understood(said, model.phrases.tokenizer) < ENOUGH
