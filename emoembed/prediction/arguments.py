"""Check the arguments of `predict` and `adapt`, and bring them into one form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from emoembed.errors import InputError, LabelError
from emoembed.labels.emotion import Labels, resolve
from emoembed.model.calibration import RISKS

DEFAULT_RISK = 0.2
BATCH_SIZE = 32
PIECE = re.compile(r"\w{1,8}|[^\w\s]")
"""A word, a part of a long word, or a sign. Their number is closer to the number of tokens than the number of
characters."""

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from PIL.Image import Image

    from emoembed.features.workers import Workers

    MediaInput = (
        str | Path | bytes | IO[bytes] | tuple[Any, ...] | Mapping[str, Any] | np.ndarray | torch.Tensor | Image | None
    )
    """A recording or a face, in any form that `predict` accepts."""
    ItemList = list[Any] | pd.Series[Any] | None
    """One entry per item."""


class AnswerOptions(TypedDict, total=False):
    """Options of an answer; `emoembed.predict` explains them."""

    multi_label: bool
    abstain: bool | float


class PredictOptions(AnswerOptions, total=False):
    """Options of `predict`: those of an answer, what to do with items that cannot be used, and the size of batches."""

    errors: Literal["raise", "skip"]
    batch_size: int
    candidate_labels: Labels


class ManifestOptions(AnswerOptions, total=False):
    """Options of `predict_manifest`, which explains them."""

    batch_size: int
    workers: Workers | None
    columns: Mapping[str, str] | None


class TimelineOptions(AnswerOptions, total=False):
    """Options of `timeline`; `Recognizer.timeline` explains them."""

    every_face: bool
    progress: bool | Callable[[float], None]


@dataclass(frozen=True)
class Options:
    """Checked options of `predict`, with their defaults."""

    multi_label: bool = False
    abstain: bool | float = False
    errors: str = "raise"
    batch_size: int = BATCH_SIZE
    candidate_labels: Labels | None = None


def options_of(arguments: Mapping[str, Any]) -> Options:
    """Check the options of a call.

    Raises:
        TypeError: an option does not exist.
        InputError: an option has a wrong value.
    """
    _refuse_unknown("predict", arguments, PredictOptions.__annotations__)
    options = Options(**arguments)
    if not isinstance(options.multi_label, bool | np.bool_):
        raise InputError(f"multi_label must be True or False; given {options.multi_label!r:.40}")
    if not isinstance(options.batch_size, Integral) or options.batch_size < 1:
        raise InputError(f"batch_size must be a whole number of at least 1; given {options.batch_size!r:.40}")
    check_errors(options.errors)
    return replace(options, multi_label=bool(options.multi_label), batch_size=int(options.batch_size))


def labels_of(labels: Labels | None, options: Options) -> Labels | None:
    """The labels of a call: `labels`, or `candidate_labels`, their name in pipelines of transformers.

    Raises:
        InputError: both are given.
    """
    if labels is not None and options.candidate_labels is not None:
        raise InputError("labels and candidate_labels both name the emotions; give one of them")
    return options.candidate_labels if labels is None else labels


def timeline_options_of(
    arguments: Mapping[str, Any], call: str = "timeline"
) -> tuple[Options, bool, bool | Callable[[float], None]]:
    """Check the options of `timeline` or `stream`. Returns those of an answer, `every_face` and `progress`.

    Raises:
        TypeError: an option does not exist.
        InputError: an option has a wrong value.
    """
    _refuse_unknown(call, arguments, TimelineOptions.__annotations__)
    flags = {name: arguments.get(name, False) for name in ("every_face", "progress")}
    for name, value in flags.items():
        if not isinstance(value, bool | np.bool_) and not (name == "progress" and callable(value)):
            raise InputError(f"{name} must be True or False; given {value!r:.40}")
    options = options_of({name: value for name, value in arguments.items() if name not in flags})
    progress = flags["progress"]
    return options, bool(flags["every_face"]), progress if callable(progress) else bool(progress)


def _refuse_unknown(call: str, arguments: Mapping[str, Any], allowed: Mapping[str, Any]) -> None:
    """Raise TypeError if a call has an option that does not exist."""
    unknown_names = [name for name in arguments if name not in allowed]
    if unknown_names:
        raise TypeError(
            f"{call}() got an unexpected keyword argument {unknown_names[0]!r}; its options are {', '.join(allowed)}"
        )


def check_errors(errors: str) -> None:
    """Raise InputError unless `errors` is "raise" or "skip"."""
    if not isinstance(errors, str) or errors not in ("raise", "skip"):
        raise InputError(f"errors must be 'raise' or 'skip'; given {errors!r}")


def risk_of(abstain: bool | float) -> float | None:
    """The accepted share of wrong answers; None for no abstention. Raises InputError for a wrong value."""
    abstain = abstain.item() if isinstance(abstain, np.generic) else abstain
    risk = DEFAULT_RISK if abstain is True else abstain
    if risk is False:
        return None
    if not isinstance(risk, (int, float)) or not RISKS[0] <= risk <= RISKS[-1]:
        raise InputError(
            f"abstain must be True, False or a share of wrong answers in {RISKS[0]}..{RISKS[-1]}; given {risk!r}"
        )
    return float(risk)


def items_of(sources: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """One dictionary per item, and whether the caller gave a single item instead of lists.

    Raises:
        InputError: the lists differ in length, or a single item comes together with lists.
    """
    sources = {name: _entries(value) for name, value in sources.items()}
    lists = {name: value for name, value in sources.items() if isinstance(value, list)}
    if not lists:
        return [dict(sources)], True
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise InputError(f"lists must be equally long, with one entry per item; {listed}")
    single_inputs = [name for name, value in sources.items() if value is not None and name not in lists]
    if single_inputs:
        raise InputError(
            f"{', '.join(single_inputs)} is a single item, but other inputs are lists; give a list, with None "
            "where an item lacks it"
        )
    return [{name: value[i] for name, value in lists.items()} for i in range(next(iter(lengths.values())))], False


def batches_of(items: Sequence[Mapping[str, Any]], size: int) -> list[list[int]]:
    """The positions of the items of each batch. Texts of similar length share a batch, so that little is padded.

    Items with sound or faces keep their order.
    """
    order = list(range(len(items)))
    if all(value is None for item in items for name, value in item.items() if name != "text"):
        order.sort(key=lambda i: len(PIECE.findall(items[i]["text"])) if isinstance(items[i].get("text"), str) else 0)
    return [order[first : first + size] for first in range(0, len(order), size)]


def _entries(value: Any) -> Any:
    """A list, a sequence or a table column as a list, with None for a missing entry; any other value unchanged."""
    if hasattr(value, "columns"):
        raise InputError(
            f"a table is not a list of items; give one of its columns: {', '.join(map(str, value.columns))}"
        )
    if hasattr(value, "notna"):
        if getattr(value, "nlevels", 1) > 1:
            raise InputError("an index of several levels is not a list of items; give one of its levels")
        value = value.astype(object).where(value.notna(), None).tolist()
    elif isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview | tuple):
        value = list(value)  # also a column of the library `datasets`
    if not isinstance(value, list):
        return value
    return [None if is_missing(entry) else entry for entry in value]


def is_missing(entry: Any) -> bool:
    """Whether a table cell is empty: NaN, or pandas' NA or NaT."""
    return (isinstance(entry, float) and math.isnan(entry)) or type(entry).__name__ in ("NAType", "NaTType")


def listed(labels: Any) -> Labels:
    """Labels from any iterable, as a list or a mapping.

    Raises:
        LabelError: the labels are one string, or not iterable.
    """
    if isinstance(labels, str):
        resolve(labels)  # raises LabelError and suggests a list
    if isinstance(labels, Mapping):
        return labels
    try:
        return list(labels)
    except TypeError as error:
        raise LabelError(f"labels must be a list of names or a dictionary of descriptions; given {labels!r}") from error
