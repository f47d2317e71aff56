"""The turns of a dialogue: who says what, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from emoembed.errors import EmoembedError, InputError, MediaError, MissingFileError
from emoembed.model.config import MODALITIES
from emoembed.model.model import EmotionModel
from emoembed.reading.items import Item, read_item, read_what_can_be
from emoembed.reading.sources import input_of

if TYPE_CHECKING:
    import pandas as pd

    from emoembed.corpora.corpus import Corpus

UNREAD = ("id", "split", "label", "labels", "dialogue")
"""Keys that a turn may have and that are not read, so that the rows of a manifest are turns."""


@dataclass(frozen=True)
class Turn:
    """One turn of a dialogue, in any of text, audio and video. A turn with none of them is a gap.

    Attributes:
        text, audio, video: as for `emoembed.predict`.
        speaker: a name, or None if unknown.
        start, end: seconds in the recording. Of an audio or video file, only this part is read.
        turn: position in the dialogue, or None for the order of the list.

    Examples:
        >>> from emoembed.reading.turns import Turn
        >>> turn = Turn("You lied to me again!", speaker="Ann", start=2.0, end=3.5)
        >>> turn.seconds
        1.5
    """

    text: str | None = None
    audio: Any = None
    video: Any = None
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    turn: int | None = None

    def __post_init__(self) -> None:
        if self.speaker is not None and not isinstance(self.speaker, str):
            raise InputError(f"speaker must be a name or None; given {self.speaker!r:.40}")
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= cast(float, value) < 1e300:
                raise InputError(f"{name} must be a number of seconds of at least 0, or None; given {value!r:.40}")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise InputError(f"a turn ends before it starts: start {self.start:g} s, end {self.end:g} s")
        if self.turn is not None and (isinstance(self.turn, bool) or not isinstance(self.turn, Integral)):
            raise InputError(f"turn must be a whole number or None; given {self.turn!r:.40}")

    @property
    def seconds(self) -> float | None:
        """Duration in seconds; None if the times are unknown."""
        return None if self.start is None or self.end is None else self.end - self.start

    def source(self, modality: str) -> Any:
        """The argument of `predict` for a modality; of a file, the part from `start` to `end`.

        Raises:
            MissingFileError, MediaError: the part of the file cannot be read.
        """
        source = getattr(self, modality)
        is_path = modality != "text" and isinstance(source, str | Path)
        if not is_path or self.start is self.end is None:
            return source
        return input_of(modality, (str(source), self.start, self.end, None))


TURN_KEYS = tuple(field.name for field in fields(Turn))


def turns_of(dialogue: Any) -> list[Turn]:
    """Check the turns of one dialogue and put them in order.

    Args:
        dialogue: a table, or a list of `Turn`, dictionaries with the fields of `Turn`, or texts. Turns with the field
            `turn` are ordered by it.

    Raises:
        InputError: there are no turns, the turns are of several dialogues, a turn has an unknown key or a wrong value,
            or only some turns have a `turn` or two have the same.
    """
    rows = _rows_of(dialogue)
    names = {str(row["dialogue"]) for row in rows if isinstance(row, Mapping) and row.get("dialogue") is not None}
    if len(names) > 1:
        raise InputError(
            f"these are turns of {len(names)} dialogues, such as {min(names)!r}; give one dialogue at a time"
        )
    turns = [_turn_of(i, row) for i, row in enumerate(rows)]
    if not turns:
        raise InputError("the dialogue is empty; give at least one turn")
    positions = [turn.turn for turn in turns]
    if any(position is not None for position in positions):
        missing = [i for i, position in enumerate(positions) if position is None]
        if missing:
            raise InputError(
                f"turn {missing[0]} of the dialogue has no 'turn', but others have; give all of them or none"
            )
        turns.sort(key=lambda turn: turn.turn or 0)
        twice = next((a.turn for a, b in pairwise(turns) if a.turn == b.turn), None)
        if twice is not None:
            raise InputError(f"two turns of the dialogue have turn={twice}; each position occurs once")
    return turns


def read_turn(model: EmotionModel, turn: Turn, position: int, *, skip: bool) -> Item:
    """Read a turn of a dialogue. A gap gives an item without readings.

    Args:
        model: its configuration says what to read.
        turn: the turn.
        position: its position in the dialogue, for error messages.
        skip: leave out sources that cannot be used, instead of raising an error.

    Raises:
        EmoembedError: as `read_item` does, unless `skip` is set.
    """
    inputs: dict[str, Any] = {}
    errors: dict[str, EmoembedError] = {}
    for name in MODALITIES:
        try:
            inputs[name] = turn.source(name) if name in model.modalities else getattr(turn, name)
        except (MediaError, MissingFileError, InputError) as error:
            errors[name] = error
    prefix = f"turn {position}: "
    is_empty = all(source is None for source in inputs.values())
    reason = next((error for error in errors.values() if is_empty or not isinstance(error, MediaError)), None)
    if reason is not None and not skip:
        raise type(reason)(f"{prefix}{reason}") from reason
    failures = {name: str(error) for name, error in errors.items()}
    if is_empty and failures:
        return Item({}, failures)
    item = read_what_can_be(model, inputs) if skip or is_empty else read_item(model, inputs, prefix)
    return Item(item.readings, {**item.absent, **failures})


def _rows_of(dialogue: Any) -> Sequence[Any]:
    if hasattr(dialogue, "columns"):
        return list(dialogue.astype(object).where(dialogue.notna(), None).to_dict("records"))
    is_list = isinstance(dialogue, Iterable) and not isinstance(dialogue, str | bytes | Mapping)
    if not is_list or getattr(dialogue, "ndim", 1) == 0:
        raise InputError(
            "a dialogue is a table or a list of turns, such as [{'text': 'Hello.', 'speaker': 'A'}]; given "
            f"{type(dialogue).__name__}"
        )
    return list(dialogue)


def _turn_of(position: int, row: Any) -> Turn:
    if isinstance(row, Turn):
        return row
    if isinstance(row, str) or row is None:
        return Turn(text=row)
    if not isinstance(row, Mapping):
        raise InputError(f"turn {position} must be a text or a dictionary such as {{'text': ...}}; given {row!r:.60}")
    unknown_keys = [str(key) for key in row if key not in (*TURN_KEYS, *UNREAD)]
    if unknown_keys:
        raise InputError(f"turn {position} has {', '.join(unknown_keys)}; a turn may have {', '.join(TURN_KEYS)}")
    try:
        fields_of_row = {key: _plain(row[key]) for key in TURN_KEYS if key in row}
        position_in_dialogue = fields_of_row.get("turn")
        if isinstance(position_in_dialogue, float) and position_in_dialogue.is_integer():
            fields_of_row["turn"] = int(position_in_dialogue)  # as pandas reads a column with empty cells
        return Turn(**fields_of_row)
    except InputError as error:
        raise InputError(f"turn {position}: {error}") from error


def _plain(value: Any) -> Any:
    """The value of a table cell: None for NaN and pandas' NA, and a plain number for a number of NumPy."""
    if (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.item() if isinstance(value, np.generic) else value


def dialogue_rows(corpus: Corpus) -> list[list[int]]:
    """Positions of the rows of each dialogue, ordered by `turn`, or else by `start`, or else as in the manifest.

    A row without a dialogue is a dialogue of one turn.

    Raises:
        InputError: no row names a dialogue, only some rows of a dialogue have a `turn`, or two have the same.
    """
    samples = corpus.samples
    named = samples["dialogue"].notna()
    if not named.any():
        raise InputError(f"{corpus.name} has no dialogues; context needs a column 'dialogue' that names them")
    keys = samples["dialogue"].where(named, samples["id"].map(lambda row: ("single", row)))
    groups: dict[object, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return [_ordered(str(key), positions, samples) for key, positions in groups.items()]


def _ordered(name: str, positions: list[int], samples: pd.DataFrame) -> list[int]:
    turns = samples["turn"].iloc[positions]
    if turns.notna().any():
        if turns.isna().any():
            raise InputError(f"only some rows of dialogue {name!r} have a 'turn'; give all of them or none")
        if turns.duplicated().any():
            raise InputError(f"dialogue {name!r} has turn={turns[turns.duplicated()].iloc[0]} twice")
        return sorted(positions, key=dict(zip(positions, turns, strict=True)).__getitem__)
    starts = samples["start"].iloc[positions]
    order = dict(zip(positions, starts, strict=True))
    return sorted(positions, key=order.__getitem__) if starts.notna().all() else positions
