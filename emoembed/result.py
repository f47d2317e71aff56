"""What `predict` answers: named scores, and what each modality said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ModalityResult:
    """What one modality said on its own, and how much of the result it is (weights sum to one)."""

    scores: dict[str, float]
    weight: float


@dataclass(frozen=True)
class Result:
    """The answer for one item.

    Attributes:
        label: the name with the highest score.
        scores: label -> probability, highest first; they sum to one unless `multi_label`.
        modalities: modality -> its own scores and its weight, for those that were there.
        absent: modality -> why it could not be used, for those that were given but hold nothing to work on.
        multi_label: whether each score is a probability of its own.
    """

    label: str
    scores: dict[str, float]
    modalities: dict[str, ModalityResult]
    absent: dict[str, str] = field(default_factory=dict)
    multi_label: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `json.dumps` takes them."""
        return {
            "label": self.label,
            "scores": dict(self.scores),
            "modalities": {
                name: {"weight": one.weight, "scores": dict(one.scores)} for name, one in self.modalities.items()
            },
            "absent": dict(self.absent),
            "multi_label": self.multi_label,
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
