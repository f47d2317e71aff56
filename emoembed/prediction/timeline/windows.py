"""Windows of a recording: the result of each, runs of one emotion, and averages over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emoembed.prediction.result import Result


@dataclass(frozen=True, repr=False)
class WindowResult(Result):
    """The result for one window of a recording.

    Attributes:
        start, end: start and end of the window, in seconds.
        face: number of the face, if every face is scored. A face keeps its number until it is lost.
        text: what is said in the window, if a transcript is given.

    Examples:
        >>> from emoembed.prediction.timeline.windows import WindowResult
        >>> window = WindowResult("joy", {"joy": 0.8, "fear": 0.2}, {}, start=2.0, end=6.0)
        >>> window.label, window.middle
        ('joy', 4.0)
    """

    start: float = 0.0
    end: float = 0.0
    face: int | None = None
    text: str | None = None

    @property
    def middle(self) -> float:
        """The middle of the window, in seconds."""
        return (self.start + self.end) / 2

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values, ready for `json.dumps`."""
        return {
            **{"start": self.start, "end": self.end, "face": self.face, "text": self.text},
            **super().to_dict(),
        }


@dataclass(frozen=True)
class Segment:
    """A run of windows with the same label.

    Attributes:
        start, end: in seconds. Where two windows overlap, the border is the middle of the overlap, so segments do not
            overlap.
        label: the label of all its windows.
        confidence: mean confidence of its windows.
        windows: their number.
        face: number of the face, if every face is scored.

    Examples:
        >>> from emoembed.prediction.timeline.windows import Segment
        >>> segment = Segment(start=3.0, end=9.0, label="joy", confidence=0.7, windows=3)
        >>> segment.end - segment.start
        6.0
    """

    start: float
    end: float
    label: str
    confidence: float
    windows: int
    face: int | None = None


def score_matrix(windows: Sequence[Result], labels: Iterable[str]) -> np.ndarray:
    """Scores `(windows, labels)`; NaN where a window has no scores."""
    return np.array([[window.scores.get(label, np.nan) for label in labels] for window in windows], dtype=np.float64)


def segments_of(windows: Sequence[WindowResult]) -> list[Segment]:
    """Runs of one label among windows in the order of time. Windows without a label end a run."""
    segments: list[Segment] = []
    spans = _spans(windows)
    run: list[int] = []
    for i, window in enumerate(windows):
        continues = run and window.label == windows[run[-1]].label and spans[i][0] <= spans[run[-1]][1] + 1e-6
        if run and not continues:
            segments.append(_segment(windows, spans, run))
            run = []
        if window.label is not None:
            run.append(i)
    if run:
        segments.append(_segment(windows, spans, run))
    return segments


def _spans(windows: Sequence[WindowResult]) -> list[tuple[float, float]]:
    """The time of each window. Neighbours that overlap share the time of the overlap in equal parts."""
    spans = []
    for i, window in enumerate(windows):
        start, end = window.start, window.end
        if i > 0 and _overlap(windows[i - 1], window):
            start = (start + windows[i - 1].end) / 2
        if i < len(windows) - 1 and _overlap(window, windows[i + 1]):
            end = (windows[i + 1].start + end) / 2
        spans.append((start, max(start, end)))
    return spans


def _overlap(window: WindowResult, following: WindowResult) -> bool:
    """Whether two windows overlap. If the second ends first, as a turn inside another, both keep their own time."""
    return following.start < window.end <= following.end


def _segment(windows: Sequence[WindowResult], spans: Sequence[tuple[float, float]], run: Sequence[int]) -> Segment:
    confidence = float(np.mean([windows[i].confidence for i in run]))
    first = windows[run[0]]
    return Segment(spans[run[0]][0], spans[run[-1]][1], first.label or "", round(confidence, 6), len(run), first.face)


def smoothed(windows: Sequence[WindowResult], seconds: float) -> Iterator[tuple[WindowResult, WindowResult]]:
    """Each window with scores, and the same after smoothing."""
    scored = [window for window in windows if window.scores]
    if not scored:
        return
    labels = list(scored[0].scores)
    scores, middles = score_matrix(scored, labels), np.array([window.middle for window in scored])
    confidences = np.array([window.confidence for window in scored])
    for window in scored:
        weights = np.maximum(1.0 - np.abs(middles - window.middle) / seconds, 0.0)
        means = weights @ scores / weights.sum()
        order = np.argsort(-means, kind="stable")
        ranked = {labels[i]: float(means[i]) for i in order}
        confidence = round(float(weights @ confidences / weights.sum()), 6)
        label = None if window.label is None else labels[order[0]]
        yield window, replace(window, scores=ranked, label=label, confidence=confidence)
