"""From a batch of items and labels to results: probabilities, what each modality said, confidence, abstention."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from emoembed.features.notes import Note
from emoembed.model.calibration import LabelTrust, confidence
from emoembed.model.model import EmotionModel
from emoembed.model.scorer import Batch
from emoembed.prediction.result import ModalityResult, Result, disagreement, probabilities, ranked
from emoembed.reading.media import Reading


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
    batch: Batch,
    readings: Sequence[Mapping[str, Reading]],
    absent: Sequence[Mapping[str, str]],
    asked: LabelSet,
    *,
    multi_label: bool,
    risk: float | None,
) -> list[Result]:
    """One result an item.

    Args:
        model: that answers.
        batch: frames and lengths by modality; of length 0 where an item lacks it.
        readings: what was read of each item, by modality.
        absent: why an item's other modalities could not be used.
        asked: the labels.
        multi_label: a probability of its own for every label, instead of shares of one.
        risk: share of wrong answers above which none is given; None answers every item.
    """
    names, known = asked.names, asked.known
    raw = model.score(model.encode(batch), asked.points, known)
    both = {several: model.calibrated(raw, known, multi_label=several) for several in (False, True)}
    weights = {name: matrix.cpu().numpy() for name, matrix in model.weights(raw, known).items()}
    fused = {several: probabilities(model.fuse(both[several], known, among=not several), several) for several in both}
    shares = {name: probabilities(matrix, False) for name, matrix in both[False].items()}
    tables = {name: probabilities(matrix, multi_label) for name, matrix in both[multi_label].items()}
    answers = fused[multi_label].argmax(axis=1)
    sure = confidence(*map(torch.from_numpy, (fused[False], fused[True], answers))).tolist()
    there = {name: (lengths > 0).tolist() for name, (_, lengths) in batch.items()}
    results = []
    for row, lacking in enumerate(absent):
        best = int(answers[row])
        own = {
            name: ModalityResult(
                ranked(names, tables[name][row]),
                round(float(weights[name][row, best]), 6),
                {label: round(float(weights[name][row, i]), 6) for i, label in enumerate(names)},
            )
            for name in batch
            if there[name][row]
        }
        bar = (
            0.0
            if risk is None
            else sum(model.modality(name).calibration.threshold(risk) * one.weight for name, one in own.items())
        )
        # what is not understood gives no confidence
        sure[row] *= 1.0 - sum(own[name].weight for name in own if not readings[row][name].understood)
        abstained = sure[row] < bar or (risk is not None and sure[row] <= 0.0)
        answered = {name for name, score in zip(names, fused[True][row], strict=True) if multi_label and score >= 0.5}
        notes = [note for name in own for note in readings[row][name].notes]
        notes += asked.notes_on({names[best], *answered}, own)
        results.append(
            Result(
                None if abstained else names[best],
                ranked(names, fused[multi_label][row]),
                own,
                dict(lacking),
                multi_label,
                round(sure[row], 6),
                abstained,
                round(disagreement([shares[n][row] for n in own], [one.weight for one in own.values()]), 6),
                tuple(notes),
            )
        )
    return results
