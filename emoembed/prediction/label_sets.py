"""The labels of a call: their points and calibration, and notes on names and cues that are not understood."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from emoembed.cache import Cache
from emoembed.errors import LabelError
from emoembed.features.notes import Note
from emoembed.labels.descriptions import attributes
from emoembed.labels.emotion import Label, Labels, canonical, find, resolve, similar_spelling, table
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.calibration import LabelTrust, Reliability
from emoembed.model.model import EmotionModel
from emoembed.prediction.arguments import listed
from emoembed.reading.understanding import understood

CUES = (
    ("sounds", "audio", "such as loud or quiet, high or low, fast or slow"),
    ("looks", "video", "such as brows, eyes, mouth or gaze and how they move"),
)
"""Part of a label's description, the modality that it describes, and examples of the cues it may name."""
FAR = 0.4
"""Cosine to the nearest label. Below it, that label says little about this label."""
WEAK = 0.65
"""AUC below which scores are little better than chance."""

KEPT = 64
"""How many label lists a recognizer keeps in its cache."""
FOR_ALL = ("label-unknown", "cues-unknown")
"""Codes of notes on a label that every result gets, whatever its answer is."""


@dataclass(frozen=True)
class LabelSet:
    """The labels of a call: their names, their points and calibration by modality, and the notes on them."""

    names: tuple[str, ...]
    points: dict[str, Tensor]
    calibration: dict[str, Reliability]
    trust: dict[str, LabelTrust]
    notes: tuple[tuple[str, Note], ...] = ()
    """Each note with the name of its label."""
    familiarity: Mapping[str, float] = field(default_factory=dict)
    """0 to 1 for labels that resemble no known emotion; see `familiarity_of`. The confidence is multiplied by this
    value."""

    def notes_on(self, answered: Collection[str], modalities: Iterable[str]) -> list[Note]:
        """The notes on the answered labels, and those that affect the scores of every answer (`FOR_ALL`)."""
        named = ("labels", *modalities)
        return [
            note for label, note in self.notes if note.modality in named and (label in answered or note.code in FOR_ALL)
        ]


class LabelSets:
    """The label sets of a model, kept for calls with the same labels until the model changes."""

    def __init__(self, model: EmotionModel) -> None:
        self.model = model
        self._kept: tuple[Any, Cache[tuple[Any, ...], LabelSet]] = ((), Cache(KEPT))

    def of(self, labels: Labels | None, *, context: bool = False) -> LabelSet:
        """The label set of the caller's labels; by default the model's own labels.

        With `context`, its calibration is that of turns in context.

        Raises:
            LabelError: no labels are given and the model has none, or a label is wrong.
        """
        model = self.model
        if labels is None and not model.state.labels:
            raise LabelError("this checkpoint names no default labels; give labels=['joy', 'anger']")
        requested_labels = model.state.labels if labels is None else listed(labels)
        names_only = not isinstance(requested_labels, Mapping) and all(
            isinstance(label, str) for label in requested_labels
        )
        key = (context, *(requested_labels if names_only else resolve(requested_labels).items()))
        state = model.versions()
        if state != self._kept[0]:
            self._kept = (state, Cache(KEPT))
        cache = self._kept[1]
        label_set = cache.get(key)
        if label_set is None:
            points = model.label_points(requested_labels)
            resolved_labels = model.resolve_labels(requested_labels)
            notes = notes_of(model, resolved_labels, points)
            calibration = model.calibrations(context=context)
            trust = {name: model.modality(name).trust(points[name], calibration[name]) for name in points}
            familiarity = familiarity_of(model, resolved_labels)
            label_set = LabelSet(tuple(resolved_labels), points, calibration, trust, notes, familiarity)
            cache.put(key, label_set)
        return label_set


def notes_of(
    model: EmotionModel, labels: Mapping[str, Label], points: Mapping[str, Tensor]
) -> tuple[tuple[str, Note], ...]:
    """Notes on labels, each with the caller's spelling of the label.

    Args:
        model: the model that scores the labels.
        labels: the caller's spelling -> label.
        points: modality -> points of the labels, `(labels, point_dim)`.
    """
    notes = _cues_unknown(labels, points)
    unfamiliar_labels = unlike_any(model, labels)
    for name in unfamiliar_labels:
        if _is_not_understood(model, labels[name]):
            text = (
                f"{name!r} contains no English word that the model knows, so its scores are a guess; "
                f"{_suggestion(name)}describe it"
            )
            notes.append((name, Note("label-unknown", "labels", text)))
        else:
            text = f"no known emotion is similar to {name!r}; {_suggestion(name)}add a description or a few examples"
            notes.append((name, Note("label-far", "labels", text)))
    for modality, matrix in points.items():
        trust = model.modality(modality).calibration
        if not model.state.seen_in(modality) or not bool(trust.familiar.any()):
            continue
        known_labels = {canonical(label) for label in model.state.seen_in(modality)}
        known_labels |= {label for label, counts in model.state.taught.items() if modality in counts}
        expected_auc, _ = trust.expected_auc(matrix)
        warnings = {
            name: warning_of(name, modality, cosine, auc)
            for name, cosine, auc in zip(labels, trust.nearest(matrix).tolist(), expected_auc.tolist(), strict=True)
            if name not in unfamiliar_labels and canonical(name) not in known_labels
        }
        notes += [(name, Note("label-far", modality, text)) for name, text in warnings.items() if text]
    return tuple(notes)


def familiarity_of(model: EmotionModel, labels: Mapping[str, Label], *, by_examples: bool = True) -> dict[str, float]:
    """The familiarity of labels that resemble no known emotion; other labels are left out.

    The familiarity is the cosine to the nearest emotion, divided by the cosine from which a label counts as similar,
    and 0 if the model knows no word of the label. A label that was taught counts as known, unless `by_examples` is
    False.
    """
    return {
        name: 0.0 if _is_not_understood(model, labels[name]) else min(max(cosine / FAR, 0.0), 1.0)
        for name, cosine in unlike_any(model, labels, by_examples=by_examples).items()
    }


def _suggestion(name: str) -> str:
    """A question for a name that is spelled like a known emotion, such as `nostaliga`; else empty."""
    alike = similar_spelling(name)
    return f"did you mean {alike!r}? If not, " if alike else ""


def _cues_unknown(labels: Mapping[str, Label], modalities: Collection[str]) -> list[tuple[str, Note]]:
    """A note for each description by the caller of how a label sounds or looks that names no cue."""
    notes = []
    for name, label in labels.items():
        for cue, modality, examples in CUES:
            description = getattr(label, cue)
            if modality in modalities and description and label != find(name) and attributes(cue, description) is None:
                text = (
                    f"how {name!r} {cue} is described by {description[:40]!r}, which names no known cue ({examples}); "
                    "its cues are estimated from its name"
                )
                notes.append((name, Note("cues-unknown", modality, text)))
    return notes


def warning_of(name: str, modality: str, cosine: float, auc: float) -> str:
    """The warning for a label that a modality was not trained on; empty if there is none.

    Args:
        name: name of the label.
        modality: the modality that scores it.
        cosine: cosine to the nearest seen label.
        auc: expected AUC of an unseen label at this distance from the seen labels; NaN if it was never measured.
    """
    if cosine < FAR:
        return f"nothing like {name} was in the training data of {modality}; check its scores before you rely on them"
    if auc < WEAK:
        return f"in {modality}, labels as far from the training labels as {name} scored little better than by chance"
    return ""


def unlike_any(model: EmotionModel, labels: Mapping[str, Label], *, by_examples: bool = True) -> dict[str, float]:
    """Unknown labels that are similar to no emotion of the table: label -> cosine to the nearest emotion.

    A label is unknown if it is not in the table, the model was neither trained on it nor taught it, and it has no
    description. With `by_examples=False`, a label that was taught may be unknown too.
    """
    known_labels = {*table(), *map(canonical, model.state.known if by_examples else model.state.all_seen)}
    unknown_labels = {
        name: label for name, label in labels.items() if canonical(name) not in known_labels and not label.definition
    }
    if not unknown_labels:
        return {}
    text = slice(0, model.config.phrase_dim)
    label_vectors = torch.nn.functional.normalize(model.embed(list(unknown_labels.values()))[:, text], dim=-1)
    table_vectors = torch.nn.functional.normalize(model.embed(list(table().values()))[:, text], dim=-1)
    cosines = (label_vectors @ table_vectors.T).amax(dim=1).tolist()
    return {name: cosine for name, cosine in zip(unknown_labels, cosines, strict=True) if cosine < FAR}


def _is_not_understood(model: EmotionModel, label: Label) -> bool:
    """Whether the model knows no word of the label's name, synonyms and definition."""
    if not isinstance(model.phrases, SentenceEncoder):
        return False
    words = " ".join((label.name, *label.synonyms, label.definition))
    return understood(words, model.phrases.tokenizer) == 0.0
