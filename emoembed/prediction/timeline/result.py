"""A timeline: the results of the windows of a recording, as a table, a summary and a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoembed import plots
from emoembed.errors import InputError
from emoembed.model.config import MODALITIES
from emoembed.prediction.result_list import ResultList, columns_of
from emoembed.prediction.timeline import subtitles
from emoembed.prediction.timeline.windows import Segment, WindowResult, score_matrix, segments_of, smoothed

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DRAWN_LABELS = 8
"""Lines per panel of a picture: the labels with the highest mean scores."""
DRAWN_FACES = 12
"""Panels of a picture of several faces: those with the most windows."""
SAVED_AS = (*subtitles.FORMATS, ".json")
"""Suffixes of the files of `Timeline.save` beside those of tables."""
TOGETHER = "together"
"""Name of the scores of all modalities together."""


@dataclass(frozen=True)
class TimelineSummary:
    """A recording in numbers.

    Attributes:
        seconds: from the start of the first window to the end of the last.
        windows: their number.
        answered: the share of windows that have a label.
        scores: label -> mean score of the windows with scores, highest first.
        shares: label -> share of the answered time, highest first.

    Examples:
        >>> from emoembed.prediction.timeline.result import Timeline
        >>> from emoembed.prediction.timeline.windows import WindowResult
        >>> window = WindowResult("joy", {"joy": 0.75, "fear": 0.25}, {}, start=0.0, end=4.0)
        >>> Timeline([window]).summary().to_dict()["scores"]
        {'joy': 0.75, 'fear': 0.25}
    """

    seconds: float
    windows: int
    answered: float
    scores: dict[str, float]
    shares: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values, ready for `json.dumps`."""
        return asdict(self)


class Timeline(ResultList[WindowResult]):
    """The results of the windows of a recording, in the order of time. `Recognizer.timeline` returns this list.

    A slice, such as `timeline[:10]`, is a timeline too.

    Examples:
        >>> from emoembed.prediction.timeline.result import Timeline
        >>> from emoembed.prediction.timeline.windows import WindowResult
        >>> timeline = Timeline([WindowResult("joy", {"joy": 0.75, "fear": 0.25}, {}, start=0.0, end=4.0)])
        >>> len(timeline), timeline[0].label, timeline.labels
        (1, 'joy', ['fear', 'joy'])
    """

    smoothing: float | None = None
    """The seconds over which `smoothed` averaged the scores; None without smoothing."""

    @property
    def labels(self) -> list[str]:
        """The scored labels, in alphabetical order."""
        return sorted({label for window in self for label in window.scores})

    @property
    def modalities(self) -> list[str]:
        """The modalities that any window has."""
        return list(dict.fromkeys(name for window in self for name in window.modalities))

    def to_frame(self) -> pd.DataFrame:
        """A table with one row per window.

        Columns: `start` and `end` in seconds, `label`, `confidence`, `notes`, `absent`, and one column a label with its
        score; then one column a label and modality, such as `audio_joy`. `face` is there if a window has a face with a
        number, `text` if a transcript was given. The score of a label with the name of another column, such as
        confidence or audio_joy, is in `score_confidence` or `score_audio_joy`.

        Examples:
            >>> from emoembed.prediction.timeline.result import Timeline
            >>> from emoembed.prediction.timeline.windows import WindowResult
            >>> window = WindowResult("joy", {"joy": 0.75, "fear": 0.25}, {}, start=0.0, end=4.0)
            >>> table = Timeline([window]).to_frame()
            >>> list(table.columns)
            ['start', 'end', 'label', 'confidence', 'notes', 'absent', 'fear', 'joy']
        """
        import pandas as pd

        columns = ["start", "end", "face", "text", "label", "confidence", "notes", "absent"]
        labels, modalities = self.labels, self.modalities
        shown = columns_of(labels, {*columns, *(f"{name}_{label}" for name in MODALITIES for label in labels)})
        rows = []
        for window in self:
            row: dict[str, Any] = {name: getattr(window, name) for name in columns[:6]}
            row["notes"] = "; ".join(map(str, window.notes))
            row["absent"] = "; ".join(f"{name}: {reason}" for name, reason in window.absent.items())
            row |= {column: window.scores.get(label, np.nan) for label, column in shown.items()}
            for name in modalities:
                scores = window.modalities[name].scores if name in window.modalities else {}
                row |= {f"{name}_{label}": scores.get(label, np.nan) for label in labels}
            rows.append(row)
        table = pd.DataFrame(rows, columns=None if rows else columns)
        empty = [name for name in ("face", "text") if table[name].isna().all()]
        if "face" not in empty:
            table["face"] = table["face"].astype("Int64")
        return table.drop(columns=empty)

    def segments(self) -> list[Segment]:
        """Runs of one label, in the order of their start. Windows without a label end a run.

        Examples:
            >>> from emoembed.prediction.timeline.result import Timeline
            >>> from emoembed.prediction.timeline.windows import WindowResult
            >>> joy = WindowResult("joy", {"joy": 0.75, "fear": 0.25}, {}, start=0.0, end=4.0)
            >>> fear = WindowResult("fear", {"fear": 0.75, "joy": 0.25}, {}, start=2.0, end=6.0)
            >>> [(segment.label, segment.start, segment.end) for segment in Timeline([joy, fear]).segments()]
            [('joy', 0.0, 3.0), ('fear', 3.0, 6.0)]
        """
        segments = [segment for windows in self._by_face() for segment in segments_of(windows)]
        return sorted(segments, key=lambda segment: (segment.start, segment.face or 0))

    def summary(self) -> TimelineSummary:
        """The recording in numbers: mean scores, and the shares of the labels in the answered time.

        Examples:
            >>> from emoembed.prediction.timeline.result import Timeline
            >>> from emoembed.prediction.timeline.windows import WindowResult
            >>> joy = WindowResult("joy", {"joy": 1.0, "fear": 0.0}, {}, start=0.0, end=4.0)
            >>> fear = WindowResult("fear", {"fear": 0.75, "joy": 0.25}, {}, start=4.0, end=8.0)
            >>> summary = Timeline([joy, fear]).summary()
            >>> summary.seconds, summary.scores, summary.shares
            (8.0, {'joy': 0.625, 'fear': 0.375}, {'fear': 0.5, 'joy': 0.5})
        """
        scored = [window for window in self if window.scores]
        labels = self.labels
        means = score_matrix(scored, labels).mean(axis=0) if scored else np.zeros(0)
        segments = self.segments()
        total = sum(segment.end - segment.start for segment in segments)
        seconds = {
            label: sum(part.end - part.start for part in segments if part.label == label)
            for label in {segment.label for segment in segments}
        }
        return TimelineSummary(
            seconds=max((window.end for window in self), default=0.0) - min((w.start for w in self), default=0.0),
            windows=len(self),
            answered=sum(window.label is not None for window in self) / max(len(self), 1),
            scores={labels[i]: round(float(means[i]), 6) for i in np.argsort(-means, kind="stable")},
            shares={
                label: round(part / total, 6)
                for label, part in sorted(seconds.items(), key=lambda pair: (-pair[1], pair[0]))
                if total > 0
            },
        )

    def smoothed(self, seconds: float = 10.0) -> Timeline:
        """Average the scores over time, so that single windows change the label less.

        The scores and the confidence of a window become weighted means over the windows of the same face whose middles
        are less than `seconds` away. The weight falls linearly from 1 to 0 with the distance. The label is that with
        the highest mean. A window without scores, or whose answer was withheld, gets no label. The scores of each
        modality stay as they are.

        Raises:
            InputError: `seconds` is not a number above 0.

        Examples:
            >>> from emoembed.prediction.timeline.result import Timeline
            >>> from emoembed.prediction.timeline.windows import WindowResult
            >>> joy, fear = {"joy": 0.9, "fear": 0.1}, {"fear": 0.6, "joy": 0.4}
            >>> answers = [("joy", joy), ("fear", fear), ("joy", joy)]
            >>> windows = [WindowResult(*answer, {}, start=i, end=i + 2) for i, answer in enumerate(answers)]
            >>> [window.label for window in Timeline(windows).smoothed(seconds=3.0)]
            ['joy', 'joy', 'joy']
        """
        if isinstance(seconds, bool) or not isinstance(seconds, Real) or not 0 < seconds < float("inf"):
            raise InputError(f"seconds must be a number above 0; given {seconds!r:.40}")
        seconds = float(seconds)
        new = {id(window): result for windows in self._by_face() for window, result in smoothed(windows, seconds)}
        timeline = Timeline(new.get(id(window), window) for window in self)
        timeline.smoothing = seconds
        return timeline

    def to_dict(self) -> dict[str, Any]:
        """The windows, segments and summary as plain values, ready for `json.dumps`."""
        return {
            "windows": [window.to_dict() for window in self],
            "segments": [asdict(segment) for segment in self.segments()],
            "summary": self.summary().to_dict(),
        }

    def plot(self, path: str | Path | None = None) -> Figure | Path:
        """Draw the scores over time: all modalities together, then each alone; or one panel per face.

        Args:
            path: a file for the picture (.png, .svg or .pdf). Without it, the figure is returned.

        Raises:
            InputError: no window has scores, or the name ends with an unknown format.
            OutputError: the file cannot be written.
        """
        scored = [window for window in self if window.scores]
        if not scored:
            raise InputError("no window has scores, so there is nothing to draw")
        means = score_matrix(scored, self.labels).mean(axis=0)
        labels = [self.labels[i] for i in sorted(np.argsort(-means, kind="stable")[:DRAWN_LABELS])]
        faces = sorted(sorted(self._by_face(), key=len, reverse=True)[:DRAWN_FACES], key=lambda part: part[0].face or 0)
        whole = TOGETHER if len(self.modalities) > 1 else self.modalities[0]
        names = [whole] if len(faces) == 1 else [_face_name(windows) for windows in faces]
        panels = [_panel(part, labels, TOGETHER, name) for part, name in zip(faces, names, strict=True)]
        if len(faces) == 1 and len(self.modalities) > 1:
            panels += [_panel(faces[0], labels, name, f"{name} alone") for name in self.modalities]
        averaged = f" (each score is a mean over {self.smoothing:g} s on both sides)" if self.smoothing else ""
        figure = plots.over_time(panels, labels, f"seconds{averaged}")
        return figure if path is None else plots.save(figure, path)

    def save(self, path: str | Path) -> None:
        """Write the timeline to a file. The end of its name says how.

        `.vtt` and `.srt` are subtitles: the label and confidence of each segment. `.TextGrid` has the segments for
        Praat and ELAN, in one tier, or in one per face. `.json` has `to_dict()`, and `.csv`, `.tsv`, `.jsonl`,
        `.parquet` and `.xlsx` have the table `to_frame()`.

        Raises:
            InputError: the name ends in another way.
            OutputError: the file cannot be written.

        Examples:
            >>> from pathlib import Path
            >>> from tempfile import mkdtemp
            >>> from emoembed.prediction.timeline.result import Timeline
            >>> from emoembed.prediction.timeline.windows import WindowResult
            >>> window = WindowResult("joy", {"joy": 0.75, "fear": 0.25}, {}, start=0.0, end=4.0, confidence=0.5)
            >>> path = Path(mkdtemp()) / "talk.vtt"
            >>> Timeline([window]).save(path)
            >>> print(path.read_text().strip())
            WEBVTT
            <BLANKLINE>
            00:00:00.000 --> 00:00:04.000
            joy (0.50)
        """
        from emoembed.corpora import tables
        from emoembed.features.atomic import write_file

        tables.require_output(path, also=SAVED_AS)
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            write_file(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False).encode())
        elif suffix in subtitles.FORMATS:
            end = max((window.end for window in self), default=0.0)
            write_file(path, subtitles.FORMATS[suffix](self.segments(), end).encode())
        else:
            tables.write_table(self.to_frame(), path)

    def _count(self) -> str:
        start, end = min((w.start for w in self), default=0.0), max((w.end for w in self), default=0.0)
        return f"{len(self)} windows from {start:.1f} to {end:.1f} s"

    def _by_face(self) -> Iterator[list[WindowResult]]:
        """The windows of each face; all of them if faces have no numbers."""
        for _, windows in groupby(sorted(self, key=lambda window: window.face or 0), key=lambda window: window.face):
            yield list(windows)


def _face_name(windows: Sequence[WindowResult]) -> str:
    return "no face" if windows[0].face is None else f"face {windows[0].face}"


def _panel(windows: Sequence[WindowResult], labels: Sequence[str], name: str, title: str) -> plots.Panel:
    """The scores of one modality, or of all together, with gaps where windows have none."""
    scores = [
        window.scores if name == TOGETHER else window.modalities[name].scores if name in window.modalities else {}
        for window in windows
    ]
    matrix = np.array([[row.get(label, np.nan) for label in labels] for row in scores], dtype=np.float64)
    return plots.Panel(title, np.array([window.middle for window in windows]), matrix)
