"""The dialogues of a manifest: its rows are scored in the context of earlier turns, in the order of the manifest."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emoembed.prediction.dialogue.live import Dialogue
from emoembed.prediction.dialogue.result import TurnResult
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.sources import Sources, read_row
from emoembed.reading.turns import Turn


def score_dialogues(
    recognizer: Recognizer,
    groups: Sequence[Sequence[int]],
    rows: Sequence[tuple[str, Sources]],
    speakers: Sequence[str | None],
    options: Mapping[str, Any],
    batch_size: int,
    begin: int,
) -> Generator[tuple[int, list[tuple[TurnResult, str]]]]:
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
    """Yield position, result and failure of each row of one dialogue, computed in batches; one by one with media."""
    has_media = any(rows[position][1].get(name) is not None for position in group for name in ("audio", "video"))
    size = 1 if has_media else size
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
