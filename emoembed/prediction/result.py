"""What `predict` answers: named scores, and what each modality said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from emoembed.features.notes import Note

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ModalityResult:
    """What one modality said on its own, and how much of the result it is (weights sum to one).

    Attributes:
        scores: label -> its own probability, highest first.
        weight: its share of the result's best label.
        weights: label -> its share of that label's score: a modality counts where it is reliable.
    """

    scores: dict[str, float]
    weight: float
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The answer for one item.

    Attributes:
        label: the name with the highest score; None where the answer is "none of these", see `abstained`, and where
            the item could not be used and was skipped.
        scores: label -> probability, highest first; they sum to one unless `multi_label`.
        modalities: modality -> its own scores and its weight, for those that were there.
        absent: modality -> why it could not be used, for those that were given but hold nothing to work on.
        multi_label: whether each score is a probability of its own.
        confidence: 0 to 1, that the best label is right: it beats the others, and is there at all; NaN (None in
            `to_dict`) where the item was skipped.
        abstained: whether confidence was too low for the risk asked for.
        disagreement: 0 where modalities say the same (or there is one), 1 where each is sure of another label: the
            Jensen-Shannon divergence of their scores, in bits, over its largest value.
        notes: what should be known of the answer: what was cut, not understood or not seen; `features.notes.CODES`
            lists their codes.
    """

    label: str | None
    scores: dict[str, float]
    modalities: dict[str, ModalityResult]
    absent: dict[str, str] = field(default_factory=dict)
    multi_label: bool = False
    confidence: float = float("nan")
    abstained: bool = False
    disagreement: float = 0.0
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `json.dumps` takes them."""
        return {
            "label": self.label,
            "scores": dict(self.scores),
            "modalities": {
                name: {"weight": one.weight, "scores": dict(one.scores), "weights": dict(one.weights)}
                for name, one in self.modalities.items()
            },
            "absent": dict(self.absent),
            "multi_label": self.multi_label,
            "confidence": None if math.isnan(self.confidence) else self.confidence,
            "abstained": self.abstained,
            "disagreement": self.disagreement,
            "notes": [{"code": note.code, "modality": note.modality, "text": note.text} for note in self.notes],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row a label, highest first: the result's score and each modality's."""
        import pandas as pd

        columns = {"score": self.scores} | {name: one.scores for name, one in self.modalities.items()}
        return pd.DataFrame(columns, index=list(self.scores)).rename_axis("label")


def probabilities(logits: Tensor, multi_label: bool) -> np.ndarray:
    """Logits `(items, labels)` -> shares that sum to one, or a probability of its own for each."""
    logits = logits.float()
    return (logits.sigmoid() if multi_label else logits.softmax(dim=-1)).cpu().numpy()


def ranked(names: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    """Label -> score `(labels,)`, highest first."""
    order = np.argsort(-scores, kind="stable")
    values = scores.tolist()
    return {names[i]: values[i] for i in order}


def disagreement(shares: Sequence[np.ndarray], weights: Sequence[float]) -> float:
    """Jensen-Shannon divergence of modalities' shares `(labels,)`, each summing to one, over its largest value.

    Its largest value is the entropy of the weights (Lin 1991, eq. 5.1): 1 is full disagreement, 0 none.
    """
    if len(shares) < 2:
        return 0.0
    mix = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    parts = np.stack(shares).astype(np.float64)
    most = _entropy(mix)
    return (
        float(np.clip((_entropy(mix @ parts) - mix @ [_entropy(p) for p in parts]) / most, 0, 1)) if most > 0 else 0.0
    )


def _entropy(shares: np.ndarray) -> float:
    there = shares[shares > 0]
    return float(-(there * np.log2(there)).sum())
