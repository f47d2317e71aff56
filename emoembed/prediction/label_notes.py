"""What should be known of the labels of a call: names that are not understood, and labels like nothing trained on."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from emoembed.features.notes import Note
from emoembed.labels.emotion import Label, canonical, table
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.model import EmotionModel
from emoembed.reading.understanding import ENOUGH, understood

FAR = 0.4
"""Cosine below which the nearest label says little of a label."""
WEAK = 0.65
"""AUC below which an answer is little better than chance."""


def notes_of(
    model: EmotionModel, labels: Mapping[str, Label], points: Mapping[str, Tensor]
) -> dict[str, dict[str, Note]]:
    """Notes on labels, by modality and label; under `labels` those that hold in every modality.

    Args:
        model: that is asked.
        labels: the caller's spelling -> label.
        points: of the labels by modality, `(labels, point_dim)`.
    """
    found: dict[str, dict[str, Note]] = {"labels": {}}
    strange = unlike_any(model, labels)
    for name in strange:
        if _unknown(model, labels[name]):
            said = f"{name!r} is in no English word that is known, so that its scores are a guess; describe it"
            found["labels"][name] = Note("label-unknown", "labels", said)
        else:
            said = f"no emotion that is known is like {name!r}; a description, or a few examples, would tell more"
            found["labels"][name] = Note("label-far", "labels", said)
    for modality, matrix in points.items():
        trust = model.modality(modality).calibration
        if not model.state.seen_in(modality) or not bool(trust.familiar.any()):
            continue
        known = {canonical(label) for label in model.state.seen_in(modality)}
        known |= {label for label, counts in model.state.taught.items() if modality in counts}
        expected, _ = trust.expected_auc(matrix)
        said_of = {
            name: warning_of(name, modality, cosine, auc)
            for name, cosine, auc in zip(labels, trust.nearest(matrix).tolist(), expected.tolist(), strict=True)
            if name not in strange and canonical(name) not in known
        }
        found[modality] = {name: Note("label-far", modality, said) for name, said in said_of.items() if said}
    return {name: notes for name, notes in found.items() if notes}


def warning_of(name: str, modality: str, cosine: float, auc: float) -> str:
    """What to beware of in a label that a modality's training never saw; empty where nothing.

    Args:
        name: the label's.
        modality: that is asked.
        cosine: with the nearest label that was trained on.
        auc: to expect of a label as far from those; NaN where it was never measured.
    """
    if cosine < FAR:
        return f"nothing like {name} was trained on in {modality}; check its scores before you rely on them"
    if auc < WEAK:
        return f"labels as far from those trained on in {modality} as {name} were told little better than by chance"
    return ""


def unlike_any(model: EmotionModel, labels: Mapping[str, Label]) -> dict[str, float]:
    """Of labels that neither the table nor the model knows, and nobody described, those like none of the table.

    Each with its cosine to the nearest.
    """
    known = {*table(), *map(canonical, model.state.known), *model.state.taught}
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
