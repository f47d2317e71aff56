"""The lists of results: those of a list of items here, and the base of timelines and dialogues.

Slices, sums and copies of a list of results keep its methods.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeVar, overload

import numpy as np

from emoembed.model.config import MODALITIES
from emoembed.prediction.result import Result

if TYPE_CHECKING:
    import pandas as pd

Entry = TypeVar("Entry")
Other = TypeVar("Other")
SHOWN_LABELS = 5
"""Labels that the one-line form of a list names."""
SHOWN_ROWS, SHOWN_COLUMNS = 40, 20
"""Size of the table that a notebook shows."""


class ResultList(list[Entry]):
    """A list of results. A slice, a sum and a copy have the same type and the same attributes."""

    @property
    def labels(self) -> list[str]:
        """The scored labels, in alphabetical order."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """A table with one row per result."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Entry: ...
    @overload
    def __getitem__(self, index: slice, /) -> Self: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Entry | Self:
        """One result, or a list of the same type for a slice."""
        if isinstance(index, slice):
            return self._like(super().__getitem__(index), vars(self))
        return super().__getitem__(index)

    @overload
    def __add__(self, other: list[Entry], /) -> Self: ...
    @overload
    def __add__(self, other: list[Other], /) -> list[Entry | Other]: ...
    def __add__(self, other: Any, /) -> Any:
        """The results of both lists. An attribute in which they differ is left out."""
        if not isinstance(other, list):
            return NotImplemented
        theirs = vars(other) if isinstance(other, ResultList) else {}
        shared = {name: value for name, value in vars(self).items() if name in theirs and theirs[name] == value}
        return self._like([*self, *other], shared)

    def copy(self) -> Self:
        """A list of the same results."""
        return self._like(self, vars(self))

    def _like(self, results: Iterable[Entry], attributes: Mapping[str, Any]) -> Self:
        part = type(self)(results)
        vars(part).update(attributes)
        return part

    def __repr__(self) -> str:
        """One line: how many results there are, and their labels."""
        labels = self.labels
        more = f" and {len(labels) - SHOWN_LABELS} more" if len(labels) > SHOWN_LABELS else ""
        return f"{type(self).__name__}({self._count()}; labels: {', '.join(labels[:SHOWN_LABELS]) or 'none'}{more})"

    def _count(self) -> str:
        return f"{len(self)} results"

    def _repr_html_(self) -> str:
        """The table, for notebooks, without the middle of a large one."""
        return self.to_frame().to_html(max_rows=SHOWN_ROWS, max_cols=SHOWN_COLUMNS)


class Results(ResultList[Result]):
    """The results of a list of items, in their order. `predict` returns one for lists.

    Examples:
        >>> import emoembed
        >>> results = emoembed.predict(["How dare you lie to me!", "I passed the exam!"], labels=["joy", "anger"])
        >>> [result.label for result in results], results.labels
        (['anger', 'joy'], ['anger', 'joy'])
    """

    @property
    def labels(self) -> list[str]:
        """The scored labels, in alphabetical order."""
        return sorted({label for result in self for label in result.scores})

    def to_frame(self) -> pd.DataFrame:
        """A table with one row per item, in the form of the tables of `emoembed predict`.

        Columns: `label`, `confidence`, `notes`, `absent`, the weight of each modality that any item has, such as
        `weight_text`, and the score of each label. The score of a label with the name of another column, such as
        confidence, is in `score_confidence`.

        Examples:
            >>> import emoembed
            >>> results = emoembed.predict(["How dare you lie to me!", "I passed!"], labels=["joy", "anger"])
            >>> table = results.to_frame()
            >>> list(table.columns), list(table["label"])
            (['label', 'confidence', 'notes', 'absent', 'weight_text', 'anger', 'joy'], ['anger', 'joy'])
        """
        import pandas as pd

        weights = {name: f"weight_{name}" for name in MODALITIES if any(name in result.modalities for result in self)}
        columns = ["label", "confidence", "notes", "absent", *weights.values()]
        shown = columns_of(self.labels, columns)
        rows = [
            [
                result.label,
                result.confidence,
                "; ".join(f"{note.modality} {note.code}: {note.text}" for note in result.notes),
                "; ".join(f"{name}: {reason}" for name, reason in result.absent.items()),
                *(result.modalities[name].weight if name in result.modalities else np.nan for name in weights),
                *(result.scores.get(label, np.nan) for label in shown),
            ]
            for result in self
        ]
        return pd.DataFrame(rows, columns=[*columns, *shown.values()])

    def __repr__(self) -> str:
        """The results, each in one line."""
        return f"[{', '.join(map(repr, self))}]"


def columns_of(labels: Iterable[str], taken: Collection[str]) -> dict[str, str]:
    """Label -> the column of its scores. A label with the name of another column gets `score_` before it.

    Args:
        labels: the labels, each once.
        taken: names of the other columns.
    """
    names, columns = list(labels), {}
    used = set(taken)
    for label in names:
        column = label
        while column in used or (column != label and column in names):
            column = f"score_{column}"
        columns[label] = column
        used.add(column)
    return columns
