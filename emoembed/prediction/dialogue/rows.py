"""The dialogues of a manifest: its rows are scored in the context of earlier turns, in the order of the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
from emoembed.prediction.dialogue.live import Dialogue
from emoembed.prediction.dialogue.result import TurnResult
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.sources import Sources, read_row
from emoembed.reading.turns import Turn


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


def score_dialogues(
    recognizer: Recognizer,
    groups: Sequence[Sequence[int]],
    rows: Sequence[tuple[str, Sources]],
    speakers: Sequence[str | None],
    options: Mapping[str, Any],
    batch_size: int,
    begin: int,
) -> Iterator[tuple[int, list[tuple[TurnResult, str]]]]:
    """Yield each row's result in the order of the manifest, and why it failed ("" if it has scores).

    Each dialogue is computed up to the row that is due. A dialogue whose rows all come before `begin` is not computed.

    Args:
        recognizer: the recognizer that scores.
        groups: positions of the rows of each dialogue, from `dialogue_rows`.
        rows: id and sources of each row.
        speakers: speaker of each row.
        options: arguments of `Recognizer.dialogue`.
        batch_size: turns per batch.
        begin: position of the first row to yield.
    """
    group_of = {position: group for group in groups for position in group}
    running: dict[int, Iterator[tuple[int, tuple[TurnResult, str]]]] = {}
    answered: dict[int, tuple[TurnResult, str]] = {}
    for position in range(begin, len(rows)):
        group = group_of[position]
        if group[0] not in running:
            dialogue = recognizer.dialogue(**options, errors="skip")
            running[group[0]] = _score(dialogue, group, rows, speakers, batch_size)
        while position not in answered:
            answered_position, answer = next(running[group[0]])
            answered[answered_position] = answer
        yield position, [answered.pop(position)]


def _score(
    dialogue: Dialogue,
    group: Sequence[int],
    rows: Sequence[tuple[str, Sources]],
    speakers: Sequence[str | None],
    size: int,
) -> Iterator[tuple[int, tuple[TurnResult, str]]]:
    """Yield position, result and failure of each row of one dialogue, computed in batches."""
    for first in range(0, len(group), size):
        positions = group[first : first + size]
        row_inputs = [read_row(rows[position][1]) for position in positions]
        turns = [
            Turn(**inputs, speaker=speakers[position])
            for position, (inputs, _) in zip(positions, row_inputs, strict=True)
        ]
        for position, result, (_, reasons) in zip(positions, dialogue.answer(turns), row_inputs, strict=True):
            absent = {**(result.absent if result.scores or not reasons else {}), **reasons}
            reason = "" if result.scores else "; ".join(dict.fromkeys(absent.values()))
            yield position, (replace(result, absent=absent), reason)
