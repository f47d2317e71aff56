"""`emoembed timeline`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from emoembed.errors import InputError, LabelError, MediaError, MissingFileError
from emoembed.interfaces.options import (
    OUTPUT_PANEL,
    TABLES,
    USUAL,
    AbstainOptions,
    LabelOptions,
    ModelOptions,
    require_commas,
    with_value,
)
from emoembed.interfaces.printing import print_failures, to_json

if TYPE_CHECKING:
    from emoembed.prediction.recognizer import Recognizer
    from emoembed.prediction.timeline.result import Timeline as Result

SHOWN = 40
"""Segments that are printed."""
FILE = "file"
"""The first column of a table of several recordings."""


class TimelineCommand(TyperCommand):
    """A command whose option `--abstain` takes a number or nothing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add a value to `--abstain` without a number."""
        require_commas(ctx, args)
        return super().parse_args(ctx, with_value(args, "--abstain", USUAL, numbers_only=True))


@dataclass(frozen=True, kw_only=True)
class Timeline(ModelOptions, LabelOptions, AbstainOptions):
    """Score emotion names over the time of a long recording or film, window by window.

    Prints the segments (stretches of time with one emotion) and a summary.

    Examples:

        emoembed timeline talk.mp4 --labels joy,surprise,boredom --output talk.csv --plot talk.png

        emoembed timeline interview.wav --segments speech --transcript interview.vtt --smooth 10

        emoembed timeline interview.wav --labels calm,anxious --output interview.TextGrid

        emoembed timeline interviews/ --labels calm,anxious,amused --output windows.csv
    """

    recordings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="A sound file or a film. With --output also several files, a folder or a pattern. With --transcript, "
            "it may be left out.",
            show_default=False,
        ),
    ] = None
    window: Annotated[float, typer.Option(metavar="SECONDS", help="Length of a window.")] = 4.0
    hop: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Time from one window to the next; half a window by default."),
    ] = None
    segments: Annotated[
        Literal["windows", "speech", "turns"],
        typer.Option(
            help="Parts to score: windows of equal length, stretches of speech between pauses, or the turns of the "
            "transcript."
        ),
    ] = "windows"
    transcript: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the spoken words and their times, such as .vtt or .srt."),
    ] = None
    every_face: Annotated[
        bool, typer.Option("--every-face", help="Score every face, instead of only the largest face.")
    ] = False
    smooth: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Average the scores over neighbouring windows.")
    ] = None
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Give every label its own probability.")] = False
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"Table of the windows: {TABLES}; the segments as subtitles: .vtt or .srt, or for Praat and ELAN: "
            ".TextGrid; or all of it: .json.",
        ),
    ] = None
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture of one recording: .png, .svg or .pdf.")
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT_PANEL)] = False

    def run(self) -> int:
        """Score the windows, write the table and the picture, and print the segments and the summary."""
        from emoembed.corpora.manifest import FILMS, SOUNDS, files_of
        from emoembed.corpora.tables import require_output
        from emoembed.prediction.timeline.result import SAVED_AS

        if self.smooth is not None and not self.smooth > 0:
            raise InputError(f"--smooth takes a number of seconds above 0; given {self.smooth:g}")
        if self.segments == "turns" and self.transcript is None:
            raise InputError("--segments turns needs --transcript, a file with times, such as .vtt or .srt")
        self.risk()
        if not self.recordings and self.transcript is None:
            raise InputError("give a recording, or a --transcript with times")
        paths = files_of(self.recordings or (), SOUNDS | FILMS, "sound or film")
        if self.output is not None:
            sources: list[str | Path] = [*paths, *([] if self.transcript is None else [self.transcript])]
            for source in sources:
                require_output(self.output, source, also=SAVED_AS)
        several = len(paths) > 1 or any(map(os.path.isdir, self.recordings or ()))
        return self._several(paths) if several else self._one(paths[0] if paths else None)

    def _one(self, path: str | None) -> int:
        from emoembed.plots import require_picture

        if self.plot is not None:
            require_picture(self.plot)
        timeline = self._timeline(self.load(), path)
        if self.output is not None:
            timeline.save(self.output)
        print(to_json(timeline.to_dict()) if self.json else readable_timeline(timeline))
        if self.plot is not None:
            timeline.plot(self.plot)
        return 0

    def _several(self, paths: Sequence[str]) -> int:
        """Write one table of all recordings, after each of them, and print their summaries."""
        import pandas as pd

        from emoembed.corpora.tables import require_output, write_table

        if self.output is None or self.json or self.plot is not None or self.transcript is not None:
            raise InputError(
                f"a folder or several files ({len(paths)} here) are written to one table: give --output; --plot, "
                "--transcript and --json are for one recording"
            )
        require_output(self.output)
        if FILE in (self.read_labels() or ()):
            raise LabelError(f"label {FILE!r} is a column of the table of several recordings; use another spelling")
        recognizer, tables, failures = self.load(), [], {}
        # raises the errors that are not of one recording
        recognizer.stream(self.labels_for(recognizer), **self._options())
        for path in paths:
            try:
                timeline = self._timeline(recognizer, path)
            except (InputError, MediaError, MissingFileError) as error:
                failures[path] = str(error).removeprefix(f"{path} ")
                continue
            table = timeline.to_frame()
            table.insert(0, FILE, path)
            tables.append(table)
            write_table(pd.concat(tables, ignore_index=True), self.output)
            print(f"{path}: {summary_line(timeline)}", flush=True)
        print(f"{len(tables)} of {len(paths)} recordings scored" + (f" -> {self.output}" if tables else ""))
        return print_failures("failed", failures, "recording")

    def _timeline(self, recognizer: Recognizer, path: str | None) -> Result:
        timeline = recognizer.timeline(
            path, self.labels_for(recognizer), transcript=self.transcript, progress=self.progress, **self._options()
        )
        return timeline if self.smooth is None else timeline.smoothed(self.smooth)

    def _options(self) -> dict[str, Any]:
        return {
            "window": self.window,
            "hop": self.hop,
            "segments": self.segments,
            "multi_label": self.multi_label,
            "every_face": self.every_face,
            "abstain": self.risk(),
        }


def summary_line(timeline: Result) -> str:
    """The summary of a timeline in one line."""
    summary = timeline.summary()
    shares = ", ".join(f"{label} {share:.0%}" for label, share in summary.shares.items()) or "nothing"
    return f"{summary.windows} windows, {summary.answered:.0%} answered; of the answered time: {shares}"


def readable_timeline(timeline: Result) -> str:
    """The segments and the summary of a timeline as text."""
    segments = timeline.segments()
    lines = [
        f"{_clock(segment.start)} - {_clock(segment.end)}  "
        + (f"face {segment.face}  " if segment.face else "")
        + f"{segment.label} ({segment.confidence:.2f})"
        for segment in segments[:SHOWN]
    ]
    if len(segments) > SHOWN:
        lines.append(f"... and {len(segments) - SHOWN} more; --output writes all windows")
    lines += ["", summary_line(timeline)]
    notes = {str(note) for window in timeline for note in window.notes}
    absent = {f"{name}: {reason}" for window in timeline for name, reason in window.absent.items()}
    lines += [f"note: {text}" for text in sorted(notes)[:5]] + [
        f"absent in windows: {text}" for text in sorted(absent)[:5]
    ]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}"
