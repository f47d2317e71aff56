"""What callers give: items, labels, examples, a share of wrong answers; checked, and brought into one form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from emoembed.errors import InputError, LabelError
from emoembed.labels.emotion import Description, Label, canonical, resolve
from emoembed.model.calibration import RISKS
from emoembed.model.config import MODALITIES

Labels = Sequence[str | Label] | Mapping[str, Description]
DEFAULT_RISK = 0.2
UNREAD = ("id", "split", "speaker", "dialogue", "turn")  # columns a support table may bring along


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
    return [None if _missing(entry) else entry for entry in value]


def _missing(entry: Any) -> bool:
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
    records = [{str(key): None if _missing(value) else value for key, value in row.items()} for row in support]
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
