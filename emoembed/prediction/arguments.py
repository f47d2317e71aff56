"""What callers give: items, labels, examples, a share of wrong answers; checked, and brought into one form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from emoembed.errors import InputError, LabelError
from emoembed.labels.emotion import Labels, resolve
from emoembed.model.calibration import RISKS

DEFAULT_RISK = 0.2

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from PIL.Image import Image

    One = (
        str | Path | bytes | IO[bytes] | tuple[Any, ...] | Mapping[str, Any] | np.ndarray | torch.Tensor | Image | None
    )
    """A recording or a face, in one of the forms that `predict` takes."""
    Many = list[Any] | pd.Series[Any] | None
    """One entry an item."""


class AnswerOptions(TypedDict, total=False):
    """How items are answered; `emoembed.predict` says what each means."""

    multi_label: bool
    abstain: bool | float


class PredictOptions(AnswerOptions, total=False):
    """How `predict` answers, and what it does about items that it cannot use."""

    errors: Literal["raise", "skip"]


def options_of(given: Mapping[str, Any]) -> tuple[bool, bool | float, str]:
    """`multi_label`, `abstain` and `errors`, checked.

    Raises:
        TypeError: there is no such option.
        InputError: one has a value that it cannot have.
    """
    strange = [name for name in given if name not in PredictOptions.__annotations__]
    if strange:
        known = ", ".join(PredictOptions.__annotations__)
        raise TypeError(f"predict() got an unexpected keyword argument {strange[0]!r}; its options are {known}")
    multi_label, errors = given.get("multi_label", False), given.get("errors", "raise")
    if not isinstance(multi_label, bool | np.bool_):
        raise InputError(f"multi_label is True or False; given {multi_label!r:.40}")
    check_errors(errors)
    return bool(multi_label), given.get("abstain", False), errors


def check_errors(errors: str) -> None:
    """Raise InputError for anything but "raise" and "skip"."""
    if not isinstance(errors, str) or errors not in ("raise", "skip"):
        raise InputError(f"errors is 'raise' or 'skip'; given {errors!r}")


def risk_of(abstain: bool | float) -> float | None:
    """The share of wrong answers asked for; None where every item is to be answered."""
    abstain = abstain.item() if isinstance(abstain, np.generic) else abstain
    risk = DEFAULT_RISK if abstain is True else abstain
    if risk is False:
        return None
    if not isinstance(risk, (int, float)) or not RISKS[0] <= risk <= RISKS[-1]:
        raise InputError(
            f"abstain is True, False or a share of wrong answers in {RISKS[0]}..{RISKS[-1]}; given {risk!r}"
        )
    return float(risk)


def items_of(given: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool]:
    """One dictionary an item, and whether a single item was meant."""
    given = {name: _entries(value) for name, value in given.items()}
    lists = {name: value for name, value in given.items() if isinstance(value, list)}
    if not lists:
        return [dict(given)], True
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise InputError(f"lists must be equally long, one entry an item; {listed}")
    alone = [name for name, value in given.items() if value is not None and name not in lists]
    if alone:
        raise InputError(f"{', '.join(alone)} is a single item beside lists; give a list there too, None where absent")
    return [{name: value[i] for name, value in lists.items()} for i in range(next(iter(lengths.values())))], False


def _entries(value: Any) -> Any:
    """A list, or a column of a table, with None where an entry is missing; anything else as it is."""
    if hasattr(value, "columns"):
        raise InputError(
            f"a table is no list of items; give a column of it, one of {', '.join(map(str, value.columns))}"
        )
    if hasattr(value, "notna"):
        if getattr(value, "nlevels", 1) > 1:
            raise InputError("an index of several levels is no list of items; give one of its levels")
        value = value.astype(object).where(value.notna(), None).tolist()
    elif isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        value = value.tolist()
    if not isinstance(value, list):
        return value
    return [None if is_missing(entry) else entry for entry in value]


def is_missing(entry: Any) -> bool:
    """Whether a cell of a table holds nothing: NaN, or what pandas has in its place."""
    return (isinstance(entry, float) and math.isnan(entry)) or type(entry).__name__ in ("NAType", "NaTType")


def listed(labels: Any) -> Labels:
    """Labels as a list or a mapping, whatever iterable they came as. Raises LabelError for anything else."""
    if isinstance(labels, str):
        resolve(labels)  # raises, with advice
    if isinstance(labels, Mapping):
        return labels
    try:
        return list(labels)
    except TypeError as error:
        raise LabelError(f"labels is a list of names or a dictionary of descriptions; given {labels!r}") from error
