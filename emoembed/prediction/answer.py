"""Turn the points of items and labels into results: probabilities, each modality's scores, confidence, abstention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emoembed.model.calibration import confidence
from emoembed.model.model import EmotionModel
from emoembed.prediction.label_sets import LabelSet
from emoembed.prediction.result import ModalityResult, Result, disagreement, probabilities, ranked
from emoembed.reading.items import Item, batch_of


@dataclass(frozen=True)
class Scores:
    """The model's scores of a batch of items: arrays `(items, labels)`."""

    weights: dict[str, np.ndarray]  # weight of each modality in each label's score
    alone: dict[str, np.ndarray]  # probabilities of each modality: softmax, or sigmoid if multi_label
    shares: dict[str, np.ndarray]  # softmax probabilities of each modality
    fused: np.ndarray  # probabilities of all modalities together: softmax, or sigmoid if multi_label
    independent: np.ndarray  # sigmoid probabilities of all modalities together
    best: np.ndarray  # (items,) index of the label with the highest probability
    confidence: list[float]


def answer(
    model: EmotionModel,
    points: Mapping[str, Tensor],
    items: Sequence[Item],
    label_set: LabelSet,
    *,
    multi_label: bool,
    risk: float | None,
) -> list[Result]:
    """Score a batch of items and return one result per item.

    Args:
        model: the model that scores.
        points: modality -> points of the items; NaN where an item lacks the modality.
        items: the readings of each item.
        label_set: the labels.
        multi_label: each label gets its own probability. Otherwise, the probabilities of all labels sum to one.
        risk: the accepted share of wrong answers; the model abstains if its confidence is too low for this share. None:
            the model never abstains.
    """
    if not items:
        return []
    scores = score(model, points, label_set, multi_label)
    thresholds = {name: 0.0 if risk is None else label_set.calibration[name].threshold(risk) for name in scores.weights}
    results = []
    for row, item in enumerate(items):
        modality_results = _results_by_modality(scores, row, item, label_set.names)
        threshold = sum(thresholds[name] * modality.weight for name, modality in modality_results.items())
        # a modality that is not understood adds nothing to the confidence
        understood_weight = 1.0 - sum(
            modality.weight for name, modality in modality_results.items() if not item.readings[name].understood
        )
        best_label = label_set.names[int(scores.best[row])]
        confidence = scores.confidence[row] * understood_weight * label_set.familiarity.get(best_label, 1.0)
        abstained = confidence < threshold or (risk is not None and confidence <= 0.0)
        likely_labels = (
            [label_set.names[i] for i in np.flatnonzero(scores.independent[row] >= 0.5)] if multi_label else []
        )
        notes = [note for name in modality_results for note in item.readings[name].notes]
        notes += label_set.notes_on({best_label, *likely_labels}, modality_results)
        divergence = disagreement(
            [scores.shares[name][row] for name in modality_results],
            [modality.weight for modality in modality_results.values()],
        )
        results.append(
            Result(
                label=None if abstained else best_label,
                scores=ranked(label_set.names, scores.fused[row]),
                modalities=modality_results,
                absent=dict(item.absent),
                multi_label=multi_label,
                confidence=round(confidence, 6),
                abstained=abstained,
                disagreement=round(divergence, 6),
                notes=tuple(notes),
            )
        )
    return results


def answer_items(
    model: EmotionModel, items: Sequence[Item], label_set: LabelSet, *, multi_label: bool, risk: float | None
) -> list[Result]:
    """Encode and score items as one batch. An item without readings gets a result without label and scores."""
    usable_items = [item for item in items if item.readings]
    points = model.encode(batch_of(model, [item.readings for item in usable_items]))
    answers = iter(answer(model, points, usable_items, label_set, multi_label=multi_label, risk=risk))
    return [next(answers) if item.readings else Result(None, {}, {}, dict(item.absent), multi_label) for item in items]


def score(model: EmotionModel, points: Mapping[str, Tensor], label_set: LabelSet, multi_label: bool) -> Scores:
    """Compute the calibrated probabilities of a batch, for each modality and for all together."""
    trust = label_set.trust
    logits = model.score(points, label_set.points, trust)
    calibrated = {sigmoid: model.calibrated(logits, trust, multi_label=sigmoid) for sigmoid in (False, True)}
    fused = {
        sigmoid: probabilities(model.fuse(calibrated[sigmoid], trust, among=not sigmoid), sigmoid)
        for sigmoid in calibrated
    }
    best_index = fused[multi_label].argmax(axis=1)
    return Scores(
        weights={name: matrix.cpu().numpy() for name, matrix in model.weights(logits, trust).items()},
        alone={name: probabilities(matrix, multi_label) for name, matrix in calibrated[multi_label].items()},
        shares={name: probabilities(matrix, False) for name, matrix in calibrated[False].items()},
        fused=fused[multi_label],
        independent=fused[True],
        best=best_index,
        confidence=confidence(*map(torch.from_numpy, (fused[False], fused[True], best_index))).tolist(),
    )


def _results_by_modality(scores: Scores, row: int, item: Item, names: Sequence[str]) -> dict[str, ModalityResult]:
    """The scores and weights of each modality that the item has."""
    best_index = int(scores.best[row])
    return {
        name: ModalityResult(
            ranked(names, scores.alone[name][row]),
            round(float(weights[row, best_index]), 6),
            {label: round(float(weights[row, i]), 6) for i, label in enumerate(names)},
        )
        for name, weights in scores.weights.items()
        if name in item.readings
    }
