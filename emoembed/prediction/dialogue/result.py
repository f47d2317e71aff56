"""The results of a dialogue: one per turn, a table, and a summary by speaker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoembed import plots
from emoembed.errors import InputError
from emoembed.prediction.result import Result
from emoembed.prediction.result_list import ResultList, columns_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NO_SPEAKER = "unknown"
"""Name of the speaker of turns without a speaker."""
STRONGEST = 3
"""How many of a speaker's strongest turns a summary lists."""
DRAWN_LABELS = 8
"""Lines per panel of a picture: the labels with the highest scores in the whole dialogue."""
SHORTEST_SIDE = 3
"""A turning point has at least this many turns of the speaker on each side."""


@dataclass(frozen=True, repr=False)
class TurnResult(Result):
    """The result for one turn of a dialogue.

    Attributes:
        turn: position in the dialogue, from 0.
        speaker, start, end, text: as given.
        alone: the result of `predict` for this turn by itself.
        context_turns: number of earlier turns that informed this result.

    Examples:
        >>> import emoembed
        >>> turns = [{"text": "You lied to me again!", "start": 0.0, "end": 1.5}, {"text": "Get out of my house!"}]
        >>> first, second = emoembed.load("base").predict_dialogue(turns, labels=["anger", "joy"])
        >>> first.label, first.seconds
        ('anger', 1.5)
        >>> second.alone.label, second.context_turns
        ('anger', 1)
    """

    turn: int = 0
    speaker: str | None = None
    start: float | None = None
    end: float | None = None
    text: str | None = None
    alone: Result = field(default_factory=lambda: Result(None, {}, {}))
    context_turns: int = 0

    @property
    def seconds(self) -> float | None:
        """Duration in seconds; None if the times are unknown."""
        return None if self.start is None or self.end is None else self.end - self.start

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values, ready for `json.dumps`."""
        place = {name: getattr(self, name) for name in ("turn", "speaker", "start", "end", "text", "context_turns")}
        return {**place, **super().to_dict(), "alone": self.alone.to_dict()}


@dataclass(frozen=True)
class TurningPoint:
    """Where the emotion of a speaker changed most: the first turn after the change, and the labels of both sides."""

    turn: int
    before: str
    after: str


@dataclass(frozen=True)
class SpeakerSummary:
    """The emotions of one speaker.

    Attributes:
        turns: number of turns with an answer.
        seconds: their duration; None if a turn of the dialogue has no times, or all have a duration of 0.
        shares: label -> mean score of the turns, weighted by their seconds, highest first. If `seconds` is None or 0,
            all turns have the same weight.
        turning_point: where the scores changed most. None if the same label is highest before and after it, or if the
            speaker has fewer than six turns.
        strongest: positions of the three turns with the highest confidence.
    """

    turns: int
    seconds: float | None
    shares: dict[str, float]
    turning_point: TurningPoint | None
    strongest: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values, ready for `json.dumps`."""
        return asdict(self)


class DialogueResult(ResultList[TurnResult]):
    """The results of the turns of a dialogue, in order. `Recognizer.predict_dialogue` returns this list.

    Examples:
        >>> import emoembed
        >>> turns = [{"speaker": "Ann", "text": "Get out of here!"}, {"speaker": "Ben", "text": "I am ashamed."}]
        >>> results = emoembed.load("base").predict_dialogue(turns, labels=["anger", "joy", "shame"])
        >>> results.speakers, [turn.label for turn in results]
        (['Ann', 'Ben'], ['anger', 'shame'])
    """

    @property
    def labels(self) -> list[str]:
        """The scored labels, in alphabetical order."""
        return sorted({label for turn in self for label in turn.scores})

    @property
    def speakers(self) -> list[str]:
        """Names of the speakers, in the order of their first turns. Turns without a speaker have `NO_SPEAKER`."""
        return list(dict.fromkeys(map(self.speaker_of, self)))

    @staticmethod
    def speaker_of(turn: TurnResult) -> str:
        """Name of a turn's speaker, or `NO_SPEAKER`."""
        return turn.speaker or NO_SPEAKER

    def _count(self) -> str:
        return f"{len(self)} turns"

    def summary(self) -> dict[str, SpeakerSummary]:
        """Speaker -> summary of the speaker's turns. Turns without an answer are left out.

        Examples:
            >>> import emoembed
            >>> turns = [{"speaker": "Ann", "text": "Get out of here!"}, {"speaker": "Ben", "text": "I am ashamed."}]
            >>> results = emoembed.load("base").predict_dialogue(turns, labels=["anger", "joy", "shame"])
            >>> {speaker: next(iter(part.shares)) for speaker, part in results.summary().items()}
            {'Ann': 'anger', 'Ben': 'shame'}
        """
        durations = [turn.seconds for turn in self if turn.scores]
        timed = None not in durations and any(durations)
        turns_by_speaker = {
            speaker: [turn for turn in self if turn.scores and self.speaker_of(turn) == speaker]
            for speaker in self.speakers
        }
        return {speaker: _summarise(turns, timed) for speaker, turns in turns_by_speaker.items() if turns}

    def to_frame(self) -> pd.DataFrame:
        """A table with one row per turn: speaker, times, label, label of the turn alone, and scores by label.

        The scores of a label with the name of another column, such as confidence, are in `score_confidence`.

        Examples:
            >>> import emoembed
            >>> results = emoembed.load("base").predict_dialogue(["You lied to me again!"], labels=["anger", "joy"])
            >>> table = results.to_frame()
            >>> table.loc[0, "label"], bool(table.loc[0, "anger"] > table.loc[0, "joy"])
            ('anger', True)
        """
        import pandas as pd

        rows = [
            {
                "turn": turn.turn,
                "speaker": turn.speaker,
                "start": turn.start,
                "end": turn.end,
                "text": turn.text,
                "label": turn.label,
                "confidence": turn.confidence,
                "label_alone": turn.alone.label,
                "context_turns": turn.context_turns,
                "notes": "; ".join(map(str, turn.notes)),
                "absent": "; ".join(f"{name}: {reason}" for name, reason in turn.absent.items()),
            }
            for turn in self
        ]
        names = columns_of(self.labels, rows[0] if rows else ())
        rows = [
            {**row, **{name: turn.scores.get(label, np.nan) for label, name in names.items()}}
            for row, turn in zip(rows, self, strict=True)
        ]
        return pd.DataFrame(rows).set_index("turn") if rows else pd.DataFrame()

    def to_dict(self) -> dict[str, Any]:
        """The turns and the summary as plain values, ready for `json.dumps`."""
        summary = {speaker: part.to_dict() for speaker, part in self.summary().items()}
        return {"turns": [turn.to_dict() for turn in self], "summary": summary}

    def plot(self, path: str | Path | None = None) -> Figure | Path:
        """Draw the scores over the dialogue, one panel per speaker. A dashed line shows where the scores turn.

        Args:
            path: a file for the picture (.png, .svg or .pdf). Without it, the figure is returned.

        Raises:
            InputError: no turn has scores, or the name ends with an unknown format.
            OutputError: the file cannot be written.
        """
        answered_turns = [turn for turn in self if turn.scores]
        if not answered_turns:
            raise InputError("the dialogue has no turn with scores, so there is nothing to draw")
        timed = all(turn.start is not None for turn in answered_turns)
        totals = score_matrix(answered_turns, self.labels).sum(axis=0)
        labels = [self.labels[i] for i in sorted(np.argsort(-totals, kind="stable")[:DRAWN_LABELS])]
        times = {turn.turn: float(turn.start or 0.0) if timed else turn.turn for turn in answered_turns}
        panels = []
        for speaker, summary in self.summary().items():
            turns = [turn for turn in answered_turns if self.speaker_of(turn) == speaker]
            turning_time = times[summary.turning_point.turn] if summary.turning_point else None
            turn_times = np.array([times[turn.turn] for turn in turns])
            panels.append(plots.Panel(speaker, turn_times, score_matrix(turns, labels), turning_time))
        figure = plots.over_time(panels, labels, "seconds" if timed else "turn")
        return figure if path is None else plots.save(figure, path)


def score_matrix(turns: Sequence[TurnResult], labels: Iterable[str]) -> np.ndarray:
    """Scores of turns, `(turns, labels)`."""
    return np.array([[turn.scores[label] for label in labels] for turn in turns], dtype=np.float64)


def _summarise(turns: Sequence[TurnResult], timed: bool) -> SpeakerSummary:
    labels = list(turns[0].scores)
    seconds = np.array([turn.seconds or 0.0 for turn in turns])
    weights = seconds if timed and seconds.any() else np.ones(len(turns))
    scores = score_matrix(turns, labels)
    shares = weights @ scores / weights.sum()
    order = np.argsort(-shares, kind="stable")
    strongest = sorted(turns, key=lambda turn: -turn.confidence)[:STRONGEST]
    return SpeakerSummary(
        len(turns),
        float(seconds.sum()) if timed else None,
        {labels[i]: round(float(shares[i]), 6) for i in order},
        _turning_point(turns, scores, labels),
        tuple(turn.turn for turn in strongest),
    )


def _turning_point(turns: Sequence[TurnResult], scores: np.ndarray, labels: Sequence[str]) -> TurningPoint | None:
    """The division of the turns in two with the largest sum of squares between the sides (binary segmentation)."""
    count = len(turns)
    divisions = range(SHORTEST_SIDE, count - SHORTEST_SIDE + 1)
    if not divisions:
        return None
    means = {cut: (scores[:cut].mean(axis=0), scores[cut:].mean(axis=0)) for cut in divisions}
    gains = {
        cut: cut * (count - cut) / count * float(((before - after) ** 2).sum())
        for cut, (before, after) in means.items()
    }
    cut = max(divisions, key=gains.__getitem__)
    before, after = (labels[int(side.argmax())] for side in means[cut])
    return TurningPoint(turns[cut].turn, before, after) if before != after else None
