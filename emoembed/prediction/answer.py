"""Points of items and of labels to results: probabilities, what each modality said, confidence, abstention."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
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
    trust: dict[str, LabelTrust]
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


@dataclass(frozen=True)
class Scores:
    """What the model makes of a batch of items: arrays `(items, labels)`."""

    weights: dict[str, np.ndarray]  # of each modality in each label's score
    alone: dict[str, np.ndarray]  # each modality's probabilities, in the form that was asked for
    shares: dict[str, np.ndarray]  # each modality's shares of one
    fused: np.ndarray  # probabilities of all modalities together, in the form that was asked for
    independent: np.ndarray  # all modalities together, each label with a probability of its own
    best: np.ndarray  # (items,) the label with the highest probability
    confidence: list[float]


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
    scores = score(model, points, asked, multi_label)
    bars = {name: 0.0 if risk is None else model.modality(name).calibration.threshold(risk) for name in scores.weights}
    results = []
    for row, item in enumerate(items):
        own = _by_modality(scores, row, item, asked.names)
        bar = sum(bars[name] * one.weight for name, one in own.items())
        # what is not understood gives no confidence
        understood = 1.0 - sum(one.weight for name, one in own.items() if not item.readings[name].understood)
        confidence = scores.confidence[row] * understood
        abstained = confidence < bar or (risk is not None and confidence <= 0.0)
        best = asked.names[int(scores.best[row])]
        likely = [asked.names[i] for i in np.flatnonzero(scores.independent[row] >= 0.5)] if multi_label else []
        notes = [note for name in own for note in item.readings[name].notes]
        notes += asked.notes_on({best, *likely}, own)
        apart = disagreement([scores.shares[name][row] for name in own], [one.weight for one in own.values()])
        results.append(
            Result(
                label=None if abstained else best,
                scores=ranked(asked.names, scores.fused[row]),
                modalities=own,
                absent=dict(item.absent),
                multi_label=multi_label,
                confidence=round(confidence, 6),
                abstained=abstained,
                disagreement=round(apart, 6),
                notes=tuple(notes),
            )
        )
    return results


def score(model: EmotionModel, points: Mapping[str, Tensor], asked: LabelSet, multi_label: bool) -> Scores:
    """Calibrated probabilities of a batch, by modality and together."""
    trust = asked.trust
    logits = model.score(points, asked.points, trust)
    calibrated = {several: model.calibrated(logits, trust, multi_label=several) for several in (False, True)}
    fused = {
        several: probabilities(model.fuse(calibrated[several], trust, among=not several), several)
        for several in calibrated
    }
    best = fused[multi_label].argmax(axis=1)
    return Scores(
        weights={name: matrix.cpu().numpy() for name, matrix in model.weights(logits, trust).items()},
        alone={name: probabilities(matrix, multi_label) for name, matrix in calibrated[multi_label].items()},
        shares={name: probabilities(matrix, False) for name, matrix in calibrated[False].items()},
        fused=fused[multi_label],
        independent=fused[True],
        best=best,
        confidence=confidence(*map(torch.from_numpy, (fused[False], fused[True], best))).tolist(),
    )


def _by_modality(scores: Scores, row: int, item: Item, names: Sequence[str]) -> dict[str, ModalityResult]:
    """What each modality of an item says, and how much it weighs."""
    best = int(scores.best[row])
    return {
        name: ModalityResult(
            ranked(names, scores.alone[name][row]),
            round(float(weights[row, best]), 6),
            {label: round(float(weights[row, i]), 6) for i, label in enumerate(names)},
        )
        for name, weights in scores.weights.items()
        if name in item.readings
    }
