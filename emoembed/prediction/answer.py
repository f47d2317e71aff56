"""Points of items and of labels to results: probabilities, what each modality said, confidence, abstention."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from emoembed.features.notes import Note
from emoembed.model.calibration import LabelTrust, confidence
from emoembed.model.model import EmotionModel
from emoembed.prediction.result import ModalityResult, Result, disagreement, probabilities, ranked
from emoembed.reading.items import Item


@dataclass(frozen=True)
class LabelSet:
    """Labels of a call: their names, their points and trust by modality, and what should be known of them."""

    names: tuple[str, ...]
    points: dict[str, Tensor]
    known: dict[str, LabelTrust]
    notes: dict[str, dict[str, Note]] = field(default_factory=dict)
    """By modality and label; under `labels` those that hold in all modalities."""

    def notes_on(self, answered: Collection[str], modalities: Iterable[str]) -> list[Note]:
        """The notes on what was answered, and on names that are not understood: these share in every answer."""
        return [
            note
            for name in ("labels", *modalities)
            for label, note in self.notes.get(name, {}).items()
            if label in answered or note.code == "label-unknown"
        ]


def answer(
    model: EmotionModel,
    points: Mapping[str, Tensor],
    items: Sequence[Item],
    asked: LabelSet,
    *,
    multi_label: bool,
    risk: float | None,
) -> list[Result]:
    """One result an item.

    Args:
        model: that answers.
        points: of the items, by modality; NaN where an item lacks it.
        items: what was read of each.
        asked: the labels.
        multi_label: a probability of its own for every label, instead of shares of one.
        risk: share of wrong answers above which none is given; None answers every item.
    """
    if not items:
        return []
    names, known = asked.names, asked.known
    raw = model.score(points, asked.points, known)
    both = {several: model.calibrated(raw, known, multi_label=several) for several in (False, True)}
    weights = {name: matrix.cpu().numpy() for name, matrix in model.weights(raw, known).items()}
    fused = {several: probabilities(model.fuse(both[several], known, among=not several), several) for several in both}
    shares = {name: probabilities(matrix, False) for name, matrix in both[False].items()}
    tables = {name: probabilities(matrix, multi_label) for name, matrix in both[multi_label].items()}
    answers = fused[multi_label].argmax(axis=1)
    sure = confidence(*map(torch.from_numpy, (fused[False], fused[True], answers))).tolist()
    results = []
    for row, item in enumerate(items):
        best = int(answers[row])
        own = {
            name: ModalityResult(
                ranked(names, tables[name][row]),
                round(float(weights[name][row, best]), 6),
                {label: round(float(weights[name][row, i]), 6) for i, label in enumerate(names)},
            )
            for name in points
            if name in item.readings
        }
        bar = (
            0.0
            if risk is None
            else sum(model.modality(name).calibration.threshold(risk) * one.weight for name, one in own.items())
        )
        # what is not understood gives no confidence
        sure[row] *= 1.0 - sum(own[name].weight for name in own if not item.readings[name].understood)
        abstained = sure[row] < bar or (risk is not None and sure[row] <= 0.0)
        answered = {name for name, score in zip(names, fused[True][row], strict=True) if multi_label and score >= 0.5}
        notes = [note for name in own for note in item.readings[name].notes]
        notes += asked.notes_on({names[best], *answered}, own)
        results.append(
            Result(
                None if abstained else names[best],
                ranked(names, fused[multi_label][row]),
                own,
                dict(item.absent),
                multi_label,
                round(sure[row], 6),
                abstained,
                round(disagreement([shares[n][row] for n in own], [one.weight for one in own.values()]), 6),
                tuple(notes),
            )
        )
    return results
