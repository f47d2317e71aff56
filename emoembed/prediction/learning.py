"""Learn from a caller's items: `adapted` from labelled examples, `attuned` from recordings without labels."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from emoembed.errors import EmoembedError, InputError
from emoembed.labels.emotion import Label, Labels, canonical, find, is_number
from emoembed.model.config import MODALITIES
from emoembed.model.model import EmotionModel
from emoembed.prediction.arguments import check_errors, is_missing, listed
from emoembed.prediction.label_sets import familiarity_of
from emoembed.reading.items import batch_of, read_item
from emoembed.transfer import attune as mean_alignment
from emoembed.transfer import few_shot

UNREAD = ("id", "split", "speaker", "dialogue", "turn")  # columns that a support table may have; they are ignored

Row = Mapping[str, Any]


def adapted(model: EmotionModel, support: Any, labels: Labels | None, errors: str) -> EmotionModel:
    """A copy of a model that has learned labels from examples. The arguments are those of `Recognizer.adapt`."""
    check_errors(errors)
    rows = support_rows(support)
    labels_to_teach = taught_labels(model, rows, labels)
    with torch.inference_mode():
        points, skip_reasons = support_points(model, rows, errors)
        label_points = model.project(model.embed(list(labels_to_teach.values())))
        rivals = [label for label in model.state.labels if canonical(label) not in points]
        rival_points = model.label_points(rivals) if rivals else {}
        familiarity = familiarity_of(model, labels_to_teach, by_examples=False)
    _warn_of_skipped("rows of the support", skip_reasons, len(rows))
    names = [canonical(name) for name in labels_to_teach]
    starts = {label: {name: matrix[names.index(label)] for name, matrix in label_points.items()} for label in points}
    adapted_model = few_shot.adapt(
        model,
        {label: _clone(examples) for label, examples in points.items()},
        {label: _clone(start) for label, start in starts.items()},
        others=_clone(rival_points),
        familiarity={canonical(name): share for name, share in familiarity.items()},
    )
    descriptions = {name: label for name, label in labels_to_teach.items() if label != find(name)}
    return adapted_model.with_state(adapted_model.state.with_described(descriptions))


def attuned(model: EmotionModel, inputs: Mapping[str, Any], errors: str) -> EmotionModel:
    """A copy of a model that is attuned to items `inputs` (modality -> list). See `Recognizer.attune`."""
    check_errors(errors)
    for name, items in inputs.items():
        if items is None:
            continue
        if not isinstance(items, list | tuple):
            raise InputError(f"attuning needs a list of {name} items; given {items!r:.80}")
        empty_positions = [i for i, item in enumerate(items) if item is None]
        if empty_positions:
            raise InputError(f"{name} item {empty_positions[0]} is None; attune needs an input for every item")
    rows = [{name: item} for name, items in inputs.items() for item in items or ()]
    skip_reasons: list[str] = []

    def batches() -> Iterator[dict[str, tuple[Tensor, Tensor]]]:
        for i, row in enumerate(rows):
            try:
                yield batch_of(model, [read_item(model, row, f"item {i}: ").readings])
            except EmoembedError as error:
                if errors == "raise":
                    raise
                skip_reasons.append(str(error))

    try:
        attuned_model = mean_alignment.attune(model, batches())
    except InputError as error:
        if skip_reasons:
            raise InputError(f"{error}; {skip_reasons[0]}") from error
        raise
    _warn_of_skipped("items", skip_reasons, len(rows))
    return attuned_model


def _clone(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that are not inference tensors, so that a model can keep them."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def _warn_of_skipped(kind: str, skip_reasons: Sequence[str], total: int) -> None:
    if skip_reasons:
        message = (
            f"{len(skip_reasons)} of {total} {kind} could not be used and were left out, such as: {skip_reasons[0]}"
        )
        warnings.warn(message, stacklevel=4)


def support_rows(support: Any) -> list[dict[str, Any]]:
    """Check the rows of a support and give each a list of labels.

    Raises:
        InputError: the support is empty or not a list of rows, or a row has no label, a wrong label or an unknown
            column.
    """
    is_row_list = (
        isinstance(support, Iterable) and not isinstance(support, str | Mapping) and getattr(support, "ndim", 1) != 0
    )
    if not (hasattr(support, "columns") or is_row_list) or hasattr(support, "to_frame"):
        raise InputError(f"the support must be a list of rows or a table; given {type(support).__name__}")
    if hasattr(support, "columns"):
        support = support.astype(object).where(support.notna(), None).to_dict("records")
    support = list(support)
    wrong_row = next((row for row in support if not isinstance(row, Mapping)), None)
    if wrong_row is not None:
        raise InputError(
            f"a row of the support is a dictionary such as {{'text': ..., 'label': 'awe'}}; given {wrong_row!r:.60}"
        )
    records = [{str(key): None if is_missing(value) else value for key, value in row.items()} for row in support]
    if not records:
        raise InputError("the support is empty; give at least one row with a label and a text, audio or video")
    for i, row in enumerate(records):
        label = row.get("label")
        row["label"] = [label] if isinstance(label, str) else list(label) if isinstance(label, list | tuple) else []
        if not row["label"] or not all(isinstance(name, str) for name in row["label"]):
            problem = (
                f"its label is {label!r:.40}" if "label" in support[i] else f"it has {', '.join(map(str, support[i]))}"
            )
            raise InputError(
                f"row {i} of the support has no label; give a name or a list of names under 'label'; {problem}"
            )
        unknown_columns = [key for key in row if key not in (*MODALITIES, "label", *UNREAD)]
        if unknown_columns:
            raise InputError(
                f"row {i} of the support has {', '.join(unknown_columns)}; rows may have label, text, audio, video"
            )
        wrong_name = next((name for name in row["label"] if is_number(name) or "," in name), None)
        if wrong_name is not None:
            advice = "list the names: ['joy', 'pride']" if "," in wrong_name else "give the emotion's name"
            raise InputError(f"row {i} of the support has the label {wrong_name!r:.40}; {advice}")
        row["label"] = list({canonical(name): name for name in row["label"]}.values())
    return records


def taught_labels(model: EmotionModel, rows: Sequence[Row], labels: Labels | None) -> dict[str, Label]:
    """The labels to teach, each with its description, by name. `labels` is the argument of `Recognizer.adapt`.

    Raises:
        InputError: a row has a label that is not in `labels`.
    """
    row_labels = list({canonical(label): label for row in rows for label in row["label"]}.values())
    labels_to_teach = model.resolve_labels(row_labels if labels is None else listed(labels))
    taught_names = {canonical(name) for name in labels_to_teach}
    unnamed_labels = sorted({label for row in rows for label in row["label"] if canonical(label) not in taught_names})
    if unnamed_labels:
        raise InputError(
            f"the support teaches {', '.join(unnamed_labels)}, which labels does not name; add it to labels"
        )
    return labels_to_teach


def support_points(
    model: EmotionModel, rows: Sequence[Row], errors: str
) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Encode the rows of a support.

    Args:
        model: the model that encodes them.
        rows: the rows that `support_rows` returns.
        errors: "raise" or "skip", as in `Recognizer.adapt`.

    Returns:
        Canonical label -> modality -> points `(rows with the label, point_dim)`, and the reason for each skipped row.
    """
    points: dict[str, dict[str, list[Tensor]]] = {}
    skip_reasons: list[str] = []
    for i, row in enumerate(rows):
        prefix = f"row {i} of the support: "
        try:  # read each modality separately: every input of a row must be usable
            readings = {
                name: read_item(model, {name: row[name]}, prefix).readings[name]
                for name in MODALITIES
                if row.get(name) is not None
            }
            if not readings:
                raise InputError(f"row {i} of the support has no text, audio or video")
        except EmoembedError as error:
            if errors == "raise":
                raise
            skip_reasons.append(str(error))
            continue
        for name, matrix in model.encode(batch_of(model, [readings])).items():
            for label in row["label"] if not bool(matrix.isnan().any()) else ():
                points.setdefault(canonical(label), {}).setdefault(name, []).append(matrix[0])
    stacked_points = {
        label: {name: torch.stack(examples) for name, examples in by_modality.items()}
        for label, by_modality in points.items()
    }
    return stacked_points, skip_reasons
