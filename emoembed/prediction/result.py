"""The result of `predict`: scores by label name, together and for each modality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from emoembed import plots
from emoembed.errors import InputError
from emoembed.features.notes import Note

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = 3
"""Scores that the one-line form of a result shows."""
DRAWN = 30
"""Labels that a picture and the table of a notebook show: those with the highest scores."""
BAR = "#0072B2"
"""Colour of the bars in a notebook."""


@dataclass(frozen=True)
class ModalityResult:
    """The scores of one modality alone, and its weight in the result. Weights sum to one over the modalities.

    Attributes:
        scores: label -> probability from this modality alone, highest first.
        weight: weight of this modality in the score of the best label.
        weights: label -> weight of this modality in that label's score. A modality has more weight where it is more
            reliable.

    Examples:
        A buzz whose pitch and loudness change stands in for a voice.

        >>> import emoembed, numpy as np
        >>> time = np.arange(2 * 16_000) / 16_000
        >>> voice = (150 * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2
        >>> result = emoembed.predict("How dare you!", audio=(voice, 16_000), labels=["joy", "anger"])
        >>> result.modalities["text"].scores["anger"] > 0.9
        True
        >>> round(sum(modality.weight for modality in result.modalities.values()), 3)
        1.0
    """

    scores: dict[str, float]
    weight: float
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Result:
    """The result for one item. In a notebook it shows as a small table with bars.

    Attributes:
        label: the label with the highest score. None if the model abstained ("none of these", see `abstained`), or if
            the item could not be used and was skipped.
        scores: label -> probability, highest first. They sum to one unless `multi_label`.
        modalities: modality -> its own scores and its weight, for each modality that was used.
        absent: modality -> reason, for each modality that was given but could not be used.
        multi_label: whether every label has its own probability.
        confidence: 0 to 1, how sure the model is of the best label: its probability among the labels, times its
            probability on its own. Input that is not understood lowers the confidence, and so does a label that
            resembles no known emotion. NaN (None in `to_dict`) if the item was skipped.
        abstained: whether the confidence was too low for the accepted share of wrong answers.
        disagreement: 0 if the modalities agree or there is only one; 1 if each is sure of a different label. It is the
            Jensen-Shannon divergence of their scores, in bits, divided by its largest value.
        notes: warnings about the answer: for example, the input was cut or not understood, or a label is unlike all
            training labels. `features.notes.CODES` lists their codes.

    Examples:
        >>> import emoembed
        >>> result = emoembed.predict("The old songs take me back.", labels=["joy", "anger", "nostalgia"])
        >>> result.label, next(iter(result.scores)), result.confidence > 0.5
        ('nostalgia', 'nostalgia', True)
        >>> list(result.modalities), result.absent, result.notes
        (['text'], {}, ())
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
        """The result as plain values, ready for `json.dumps`.

        Examples:
            >>> import json
            >>> import emoembed
            >>> result = emoembed.predict("How dare you lie to me!", labels=["joy", "anger"])
            >>> json.loads(json.dumps(result.to_dict()))["label"]
            'anger'
        """
        return {
            "label": self.label,
            "scores": dict(self.scores),
            "modalities": {
                name: {
                    "weight": modality.weight,
                    "scores": dict(modality.scores),
                    "weights": dict(modality.weights),
                }
                for name, modality in self.modalities.items()
            },
            "absent": dict(self.absent),
            "multi_label": self.multi_label,
            "confidence": None if math.isnan(self.confidence) else self.confidence,
            "abstained": self.abstained,
            "disagreement": self.disagreement,
            "notes": [{"code": note.code, "modality": note.modality, "text": note.text} for note in self.notes],
        }

    def __repr__(self) -> str:
        """One line: the answer, the scores, the confidence, and how many notes there are."""
        scores = ", ".join(f"{label} {score:.2f}" for label, score in list(self.scores.items())[:SHOWN])
        more = f", {len(self.scores) - SHOWN} more" if len(self.scores) > SHOWN else ""
        answer = repr(self.label) if self.label is not None else "abstained" if self.abstained else "no answer"
        parts = [answer, scores + more, f"confidence {self.confidence:.2f}" if self.scores else ""]
        parts += [f"{name} absent" for name in self.absent]
        parts.append(f"{len(self.notes)} notes" if self.notes else "")
        return f"{type(self).__name__}({'; '.join(filter(None, parts))})"

    def _repr_html_(self) -> str:
        """The 30 highest scores as a table with bars, for notebooks. Everything that a caller named is escaped."""
        names = list(self.modalities)
        head = "".join(f"<th>{escape(name)}</th>" for name in ("label", "score", *names))
        rows = "".join(
            f"<tr><td>{escape(label)}</td><td style='text-align:left'><div style='background:{BAR};height:0.8em;"
            f"width:{max(score, 0.0) * 12:.2f}em;display:inline-block'></div> {score:.2f}</td>"
            + "".join(f"<td>{self.modalities[name].scores[label]:.2f}</td>" for name in names)
            + "</tr>"
            for label, score in list(self.scores.items())[:DRAWN]
        )
        answer = self.label if self.label is not None else "none of these" if self.abstained else "no answer"
        lines = [f"and {len(self.scores) - DRAWN} labels with lower scores"] if len(self.scores) > DRAWN else []
        lines += [f"confidence {self.confidence:.2f}"] if self.scores else []
        lines += [f"{name} absent: {reason}" for name, reason in self.absent.items()] + [*map(str, self.notes)]
        table = f"<table><tr>{head}</tr>{rows}</table>" if rows else ""
        return f"<b>{escape(answer)}</b>{table}<small>{'<br>'.join(map(escape, lines))}</small>"

    def to_list(self) -> list[dict[str, Any]]:
        """The labels and scores as a list of `{"label": ..., "score": ...}`, as pipelines of transformers give them.

        Examples:
            >>> import emoembed
            >>> result = emoembed.predict("How dare you lie to me!", labels=["joy", "anger"])
            >>> [(row["label"], round(row["score"])) for row in result.to_list()]
            [('anger', 1), ('joy', 0)]
        """
        return [{"label": label, "score": score} for label, score in self.scores.items()]

    def plot(self, path: str | Path | None = None) -> Figure | Path:
        """Draw the 30 highest scores as bars: the result, and each modality alone if there are several.

        Args:
            path: a file for the picture (.png, .svg or .pdf). Without it, the figure is returned.

        Raises:
            InputError: the item has no scores, or the name ends with an unknown format.
            OutputError: the file cannot be written.
        """
        if not self.scores:
            raise InputError("the item was not scored, so there is nothing to draw")
        alone = (
            {name: modality.scores for name, modality in self.modalities.items()} if len(self.modalities) > 1 else {}
        )
        highest = dict(list(self.scores.items())[:DRAWN])
        rest = f" (the {DRAWN} highest of {len(self.scores)} scores)" if len(self.scores) > DRAWN else ""
        figure = plots.bars({"together": highest, **alone}, f"{self.label or 'no answer'}{rest}")
        return figure if path is None else plots.save(figure, path)

    def to_frame(self) -> pd.DataFrame:
        """A table with one row per label, highest first: the score of the result and of each modality.

        Examples:
            >>> import emoembed
            >>> table = emoembed.predict("How dare you lie to me!", labels=["joy", "anger"]).to_frame()
            >>> list(table.index), list(table.columns)
            (['anger', 'joy'], ['score', 'text'])
        """
        import pandas as pd

        columns = {"score": self.scores} | {name: modality.scores for name, modality in self.modalities.items()}
        return pd.DataFrame(columns, index=list(self.scores)).rename_axis("label")


def probabilities(logits: Tensor, multi_label: bool) -> np.ndarray:
    """Logits `(items, labels)` -> probabilities: a softmax over the labels, or a sigmoid of each if `multi_label`."""
    logits = logits.float()
    return (logits.sigmoid() if multi_label else logits.softmax(dim=-1)).cpu().numpy()


def ranked(names: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    """Scores `(labels,)` as label -> score, highest first."""
    order = np.argsort(-scores, kind="stable")
    values = scores.tolist()
    return {names[i]: values[i] for i in order}


def disagreement(shares: Sequence[np.ndarray], weights: Sequence[float]) -> float:
    """Jensen-Shannon divergence between modalities, divided by its largest value: 0 is agreement, 1 full disagreement.

    The largest value is the entropy of the weights (Lin 1991, eq. 5.1).

    Args:
        shares: probabilities of each modality, `(labels,)`, summing to one.
        weights: weight of each modality.
    """
    if len(shares) < 2:
        return 0.0
    mix = np.asarray(weights, dtype=np.float64) / np.sum(weights)
    parts = np.stack(shares).astype(np.float64)
    largest_value = _entropy(mix)
    return (
        float(np.clip((_entropy(mix @ parts) - mix @ [_entropy(p) for p in parts]) / largest_value, 0, 1))
        if largest_value > 0
        else 0.0
    )


def _entropy(shares: np.ndarray) -> float:
    positive_shares = shares[shares > 0]
    return float(-(positive_shares * np.log2(positive_shares)).sum())
