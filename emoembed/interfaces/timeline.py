"""`emoembed timeline`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from emoembed.errors import InputError
from emoembed.interfaces.options import OUTPUT_PANEL, TABLES, LabelOptions, ModelOptions
from emoembed.interfaces.printing import to_json

if TYPE_CHECKING:
    from emoembed.prediction.timeline.result import Timeline as Result

SHOWN = 40
"""Segments that are printed."""


@dataclass(frozen=True, kw_only=True)
class Timeline(ModelOptions, LabelOptions):
    """Score emotion names over the time of a long recording or film, window by window.

    Prints the segments (stretches of time with one emotion) and a summary.

    Examples:

        emoembed timeline talk.mp4 --labels joy,surprise,boredom --output talk.csv --plot talk.png

        emoembed timeline interview.wav --segments speech --transcript interview.vtt --smooth 10
    """

    recording: Annotated[Path, typer.Argument(metavar="FILE", help="A sound file or a film.")]
    window: Annotated[float, typer.Option(metavar="SECONDS", help="Length of a window.")] = 4.0
    hop: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Time from one window to the next; half a window by default."),
    ] = None
    segments: Annotated[
        Literal["windows", "speech", "turns"],
        typer.Option(
            help="What is scored: windows of equal length, stretches of speech between pauses, or the turns of the "
            "transcript."
        ),
    ] = "windows"
    transcript: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is said, with times, such as .vtt or .srt.")
    ] = None
    every_face: Annotated[
        bool, typer.Option("--every-face", help="Score each face, instead of only the largest one.")
    ] = False
    smooth: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Average the scores over neighbouring windows.")
    ] = None
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Give every label its own probability.")] = False
    abstain: Annotated[
        float | None,
        typer.Option(
            metavar="RISK",
            help="Withhold unsure answers, so that about this share of the others is wrong, such as 0.2.",
        ),
    ] = None
    output: Annotated[Path | None, typer.Option(metavar="FILE", help=f"Table of the windows: {TABLES}.")] = None
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="A picture: .png, .svg or .pdf.")] = None
    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT_PANEL)] = False

    def run(self) -> int:
        """Score the windows, write the table and the picture, and print the segments and the summary."""
        from emoembed.corpora.tables import require_output, write_table
        from emoembed.plots import require_picture

        if self.output is not None:
            require_output(self.output, self.recording)
        if self.plot is not None:
            require_picture(self.plot)
        if self.smooth is not None and not self.smooth > 0:
            raise InputError(f"--smooth takes a number of seconds above 0; given {self.smooth:g}")
        options: dict[str, Any] = {"multi_label": self.multi_label, "every_face": self.every_face}
        timeline = self.load().timeline(
            self.recording,
            self.read_labels(),
            window=self.window,
            hop=self.hop,
            segments=self.segments,
            transcript=self.transcript,
            abstain=False if self.abstain is None else self.abstain,
            progress=self.progress,
            **options,
        )
        timeline = timeline if self.smooth is None else timeline.smoothed(self.smooth)
        if self.output is not None:
            write_table(timeline.to_frame(), self.output)
        print(to_json(timeline.to_dict()) if self.json else readable_timeline(timeline))
        if self.plot is not None:
            timeline.plot(self.plot)
        return 0


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
    summary = timeline.summary()
    shares = ", ".join(f"{label} {share:.0%}" for label, share in summary.shares.items()) or "nothing"
    lines += ["", f"{summary.windows} windows, {summary.answered:.0%} answered; of the answered time: {shares}"]
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
