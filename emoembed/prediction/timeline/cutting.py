"""Cut a recording into the parts that are scored: windows of equal length, stretches of speech, or turns of a
transcript.

A cutter receives the sound in order and returns the parts that are complete. It keeps a state of fixed size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple, Protocol

import numpy as np

from emoembed.errors import InputError
from emoembed.features.sound_files import SAMPLING_RATE
from emoembed.reading.turns import Turn


class Part(NamedTuple):
    """A part of a recording: start and end in seconds, and the spoken text if it is a turn."""

    start: float
    end: float
    text: str | None = None


SHORTEST = 0.5
"""Seconds: the shortest part, and the least that a last window must add to the window before it."""
MOST_SECONDS, LONGEST_TURN = 30.0, 300.0
"""Seconds: the longest window, because speech is read up to 30 s; and the longest turn, whose end is cut."""
FRAME = SAMPLING_RATE // 100
PAUSE, LONGEST = 0.6, 15.0
"""Seconds of a pause that ends a stretch of speech, and of the longest stretch."""
AROUND = 0.1
"""Seconds kept before and after a stretch."""
DEPTH, FLOOR = 35.0, -60.0
"""A frame is a pause if its level is this many dB below the loudest one, or below this level of full scale."""
FORGET = 0.01
"""dB per frame by which the level of the loudest frame falls, so that it follows the speaker."""


def cutter_of(window: float, hop: float | None, segments: str, turns: Sequence[Turn] = ()) -> Cutter:
    """The cutter that the arguments of `Recognizer.timeline` describe.

    Raises:
        InputError: an argument has a wrong value, or `segments` is "turns" without turns that have a start and an end.
    """
    for name, value, least in (("window", window, SHORTEST), ("hop", hop, SHORTEST / 2)):
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if name == "hop" and value is None:
            continue
        if not (is_number and least <= float(value or 0) <= MOST_SECONDS):
            raise InputError(f"{name} must be a number of seconds from {least} to {MOST_SECONDS}; given {value!r:.40}")
    if segments == "windows":
        return Windows(float(window), float(window / 2 if hop is None else hop))
    if segments == "speech":
        return Stretches()
    if segments != "turns":
        raise InputError(f"segments must be 'windows', 'speech' or 'turns'; given {segments!r:.40}")
    parts = [
        Part(float(turn.start), min(float(turn.end), float(turn.start) + LONGEST_TURN), turn.text)
        for turn in turns
        if turn.start is not None and turn.end is not None and turn.end > turn.start
    ]
    if len(parts) < len(turns) or not parts:
        raise InputError(
            "segments='turns' needs a transcript whose turns have a start and a later end; "
            f"{len(parts)} of {len(turns)} do"
        )
    return Turns(sorted(parts, key=lambda part: part[:2]))


class Cutter(Protocol):
    """Decides which parts of a recording are scored."""

    def hear(self, samples: np.ndarray) -> None:
        """Receive the next samples `(samples,)`, mono at 16 kHz."""

    def complete(self, clock: float) -> list[Part]:
        """The parts that are complete at this time, in seconds, and that were not returned before."""

    def rest(self, clock: float) -> list[Part]:
        """The parts that remain when the recording ends at this time."""

    def needed_from(self) -> float:
        """The time from which sound and frames may still be needed."""


class Windows:
    """Windows of `length` seconds, one every `hop` seconds. The last one may be shorter."""

    def __init__(self, length: float, hop: float) -> None:
        self.length, self.hop = length, hop
        self._count = 0
        self._answered_to = 0.0

    def hear(self, samples: np.ndarray) -> None:
        """Windows do not depend on the sound."""

    def complete(self, clock: float) -> list[Part]:
        """The windows that end at or before this time."""
        parts = []
        while (end := self._count * self.hop + self.length) <= clock + 1e-6:
            parts.append(Part(self._count * self.hop, end))
            self._answered_to = end
            self._count += 1
        return parts

    def rest(self, clock: float) -> list[Part]:
        """One window up to the end, if it adds enough. A recording shorter than one window is one part."""
        start = self._count * self.hop
        adds_enough = clock - max(start, self._answered_to) >= SHORTEST
        return [Part(start, clock)] if clock > 0 and (adds_enough or not self._count) else []

    def needed_from(self) -> float:
        """The start of the next window."""
        return self._count * self.hop


class Stretches:
    """Stretches of speech between pauses, at most `LONGEST` seconds long. Loudness decides what is a pause."""

    def __init__(self) -> None:
        self._frames = 0
        self._tail = np.zeros(0, np.float32)
        self._loudest = -math.inf
        self._start: int | None = None
        self._last_loud = 0
        self._found: list[Part] = []

    def hear(self, samples: np.ndarray) -> None:
        """Find the stretches that these samples end."""
        samples = np.concatenate([self._tail, samples])
        count = len(samples) // FRAME
        self._tail = samples[count * FRAME :]
        power = np.square(samples[: count * FRAME].reshape(count, FRAME), dtype=np.float64).mean(axis=1)
        for level in (10.0 * np.log10(power + 1e-12)).tolist():
            self._add(level)

    def _add(self, level: float) -> None:
        self._loudest = max(level, self._loudest - FORGET)
        if level > max(self._loudest - DEPTH, FLOOR):
            self._start = self._frames if self._start is None else self._start
            self._last_loud = self._frames
        self._frames += 1
        if self._start is None:
            return
        paused = self._frames - self._last_loud >= PAUSE * 100
        if paused or self._frames - self._start >= LONGEST * 100:
            self._end()

    def _end(self) -> None:
        start, end = self._start or 0, self._last_loud + 1
        self._start = None
        if end - start >= SHORTEST * 100:
            self._found.append(Part(max(start / 100 - AROUND, 0.0), min(end / 100 + AROUND, self._frames / 100)))

    def complete(self, clock: float) -> list[Part]:
        """The stretches that have ended."""
        found, self._found = self._found, []
        return found

    def rest(self, clock: float) -> list[Part]:
        """The stretch that the end of the recording ends."""
        if self._start is not None:
            self._end()
        return self.complete(clock)

    def needed_from(self) -> float:
        """The start of the present stretch, or the present time."""
        begins = [part.start for part in self._found]
        current = self._frames if self._start is None else self._start
        return max(min([*begins, current / 100]) - AROUND, 0.0)


class Turns:
    """The turns of a transcript, in the order of their start."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = list(parts)

    def hear(self, samples: np.ndarray) -> None:
        """Turns do not depend on the sound."""

    def complete(self, clock: float) -> list[Part]:
        """The turns that end at or before this time, up to the first that does not."""
        parts = []
        while self._parts and self._parts[0].end <= clock + 1e-6:
            parts.append(self._parts.pop(0))
        return parts

    def rest(self, clock: float) -> list[Part]:
        """The other turns. Those that begin after the end of the recording have only their text."""
        parts = [part._replace(end=min(part.end, clock)) if part.start < clock else part for part in self._parts]
        self._parts = []
        return parts

    def needed_from(self) -> float:
        """The start of the next turn."""
        return min((part.start for part in self._parts), default=math.inf)
