"""Examples that teach a model labels: rows as callers give them, the labels they bear, and their points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from emoembed.errors import EmoembedError, InputError
from emoembed.labels.emotion import Label, Labels, canonical
from emoembed.model.config import MODALITIES
from emoembed.model.model import EmotionModel
from emoembed.prediction.arguments import is_missing, listed
from emoembed.reading.items import batch_of, read_item

UNREAD = ("id", "split", "speaker", "dialogue", "turn")  # columns a support table may bring along

Row = Mapping[str, Any]


def support_rows(support: Any) -> list[dict[str, Any]]:
    """Rows of examples, each with a list of labels. Raises InputError for none, or for a row that teaches nothing."""
    listed = (
        isinstance(support, Iterable) and not isinstance(support, str | Mapping) and getattr(support, "ndim", 1) != 0
    )
    if not (hasattr(support, "columns") or listed) or hasattr(support, "to_frame"):
        raise InputError(f"the support is a list of rows or a table; given {type(support).__name__}")
    if hasattr(support, "columns"):
        support = support.astype(object).where(support.notna(), None).to_dict("records")
    support = list(support)
    strange = next((row for row in support if not isinstance(row, Mapping)), None)
    if strange is not None:
        raise InputError(
            f"a row of the support is a dictionary such as {{'text': ..., 'label': 'awe'}}; given {strange!r:.60}"
        )
    records = [{str(key): None if is_missing(value) else value for key, value in row.items()} for row in support]
    if not records:
        raise InputError("the support is empty; give at least one row with a label and a text, audio or video")
    for i, row in enumerate(records):
        label = row.get("label")
        row["label"] = [label] if isinstance(label, str) else list(label) if isinstance(label, list | tuple) else []
        if not row["label"] or not all(isinstance(name, str) for name in row["label"]):
            said = (
                f"its label is {label!r:.40}" if "label" in support[i] else f"it has {', '.join(map(str, support[i]))}"
            )
            raise InputError(f"row {i} of the support has no label, a name or a list of names under 'label'; {said}")
        unknown = [key for key in row if key not in (*MODALITIES, "label", *UNREAD)]
        if unknown:
            raise InputError(f"row {i} of the support has {', '.join(unknown)}; rows hold label, text, audio, video")
        odd = next((name for name in row["label"] if re.fullmatch(r"\W*\d[\d.]*\W*", name) or "," in name), None)
        if odd is not None:
            meant = "list the names: ['joy', 'pride']" if "," in odd else "give the emotion's name"
            raise InputError(f"row {i} of the support has the label {odd!r:.40}; {meant}")
        row["label"] = list({canonical(name): name for name in row["label"]}.values())
    return records


def taught_labels(model: EmotionModel, rows: Sequence[Row], labels: Labels | None) -> dict[str, Label]:
    """The labels that rows teach, each as it is meant; `labels` as `Recognizer.adapt` takes them.

    Raises:
        InputError: a row bears a label that `labels` does not name.
    """
    borne = list({canonical(label): label for row in rows for label in row["label"]}.values())
    taught = model.meant(borne if labels is None else listed(labels))
    named = {canonical(name) for name in taught}
    strange = sorted({label for row in rows for label in row["label"] if canonical(label) not in named})
    if strange:
        raise InputError(f"the support teaches {', '.join(strange)}, which labels does not name")
    return taught


def support_points(
    model: EmotionModel, rows: Sequence[Row], errors: str
) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """The points of rows, and why rows were skipped.

    Args:
        model: that places them.
        rows: from `support_rows`.
        errors: "raise" or "skip", as `Recognizer.adapt` takes it.

    Returns:
        Canonical label -> modality -> points `(rows that bear it, point_dim)`; and a reason for each row left out.
    """
    points: dict[str, dict[str, list[Tensor]]] = {}
    skipped: list[str] = []
    for i, row in enumerate(rows):
        place = f"item {i}: "
        try:  # each modality is read by itself: all that a row gives must be usable
            readings = {
                name: read_item(model, {name: row[name]}, place).readings[name]
                for name in MODALITIES
                if row.get(name) is not None
            }
            if not readings:
                raise InputError(f"row {i} of the support has no text, audio or video")
        except EmoembedError as error:
            if errors == "raise":
                raise
            skipped.append(str(error))
            continue
        for name, matrix in model.encode(batch_of(model, [readings])).items():
            for label in row["label"] if not bool(matrix.isnan().any()) else ():
                points.setdefault(canonical(label), {}).setdefault(name, []).append(matrix[0])
    stacked = {
        label: {name: torch.stack(examples) for name, examples in each.items()} for label, each in points.items()
    }
    return stacked, skipped
