"""`emoembed predict`."""

from __future__ import annotations

import glob
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from emoembed.errors import InputError
from emoembed.interfaces.options import OUTPUT_PANEL, TABLES, BatchOptions, LabelOptions
from emoembed.interfaces.printing import print_failures, to_json

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus
    from emoembed.prediction.result import Result

USUAL_RISK = "usual"
"""What a bare `--abstain` stands for: the share that the Python API takes for `abstain=True`."""


class PredictCommand(TyperCommand):
    """Options may take several files, or none: `--audio a.wav b.wav`, `--abstain`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write each file as an option of its own, and the usual share after a bare `--abstain`."""
        return super().parse_args(ctx, spread(args))


@dataclass(frozen=True, kw_only=True)
class Predict(BatchOptions, LabelOptions):
    """Score emotion names for a sentence, a recording, a face, or a table of them.

    Examples:

        emoembed predict --text "We made it!" --labels relief,joy,fear

        emoembed predict --audio call.wav --video face.jpg

        emoembed predict --audio interviews/*.wav --labels relief,joy --output scores.csv

        emoembed predict --manifest clips.csv --output scores.csv --multi-label
    """

    text: Annotated[str | None, typer.Option(help="A sentence; - reads it from standard input.")] = None
    audio: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE...", help="A sound file, or a video with a sound track; or many, a folder, a pattern."
        ),
    ] = None
    video: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="A video or an image; or many, a folder, a pattern."),
    ] = None
    manifest: Annotated[Path | None, typer.Option(metavar="FILE", help=f"Many rows instead of one: {TABLES}.")] = None
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Where the scores of many rows go: {TABLES}.")
    ] = None
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Give every label its own probability.")] = False
    abstain: Annotated[
        str | None,
        typer.Option(
            metavar="[RISK]",
            help="Answer 'none of these' where more than this share of answers would be wrong; 0.2 if left out.",
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT_PANEL)] = False

    def run(self) -> int:
        """One item to a table or JSON, or many to a file."""
        rows = self.manifest or self._many_files()
        if rows is None:
            return self._predict_one()
        if self.json or (self.manifest is not None and (self.text or self.audio or self.video)):
            raise InputError(
                "many rows go to --output; leave out --json, and --text, --audio and --video beside --manifest"
            )
        return self._predict_many(rows)

    def _predict_one(self) -> int:
        if self.output is not None:
            raise InputError("--output goes with many rows; for one item, --json prints what a program can read")
        result = self.load().predict(
            sys.stdin.read() if self.text == "-" else self.text,
            self.audio[0] if self.audio else None,
            self.video[0] if self.video else None,
            self.read_labels(),
            multi_label=self.multi_label,
            abstain=self._risk(),
        )
        print(to_json(result.to_dict()) if self.json else readable(result))
        return 0

    def _predict_many(self, rows: Path | Corpus) -> int:
        from emoembed.prediction.manifest import predict_manifest

        if self.output is None:
            count = "the rows of a manifest" if isinstance(rows, Path) else f"{len(rows.samples)} files"
            raise InputError(f"the scores of {count} go to a table: give --output, a {TABLES} file")
        summary = predict_manifest(
            self.load(),
            rows,
            self.read_labels(),
            self.output,
            multi_label=self.multi_label,
            abstain=self._risk(),
            batch_size=self.batch_size or 32,
            progress=self.progress,
        )
        if summary.resumed and not self.quiet:
            print(f"went on after {summary.resumed} rows that an earlier run had scored", file=sys.stderr)
        print(f"{summary.rows - len(summary.failures)} of {summary.rows} rows scored -> {self.output}")
        if not self.quiet:
            print_failures("scored without a modality", summary.absent)
        return print_failures("failed", summary.failures)

    def _many_files(self) -> Corpus | None:
        """The rows of several files, a folder or a pattern; None where one file is meant."""
        given = {"audio": self.audio or [], "video": self.video or []}
        several = {name: places for name, places in given.items() if len(places) > 1 or any(map(_holds_many, places))}
        if not several:
            return None
        if self.text is not None or all(given.values()):
            raise InputError(
                "many files are of one modality; list text, sound and faces of the same items in a manifest"
            )
        from emoembed.corpora import manifest

        return manifest.of_files(*next(iter(several.items())))

    def _risk(self) -> float | bool:
        if self.abstain is None:
            return False
        if self.abstain == USUAL_RISK:
            return True
        try:
            return float(self.abstain)
        except ValueError:
            raise InputError(f"--abstain takes a share of wrong answers, such as 0.1; given {self.abstain!r}") from None


def _holds_many(place: str) -> bool:
    return os.path.isdir(place) or (glob.has_magic(place) and not os.path.exists(place))


def spread(arguments: list[str]) -> list[str]:
    """`--audio a b` -> `--audio a --audio b`; a bare `--abstain` -> `--abstain usual`. A text may begin with a dash."""
    left, written = list(arguments), []
    while left:
        option, values = left.pop(0), []
        if option == "--text" and left:
            values = [left.pop(0)]
        elif option == "--abstain" and (not left or left[0].startswith("-")):
            values = [USUAL_RISK]
        while option in ("--audio", "--video") and left and not left[0].startswith("-"):
            values.append(left.pop(0))
        written += [part for value in values for part in (option, value)] or [option]
    return written


def readable(result: Result) -> str:
    """The scores, what each modality says and weighs, and which were of no use."""
    lines = [result.label or "none of these", "", result.to_frame().round(3).to_string()]
    lines += ["", "weights: " + ", ".join(f"{name} {one.weight:.2f}" for name, one in result.modalities.items())]
    lines.append(f"confidence: {result.confidence:.2f}")
    if len(result.modalities) > 1:
        lines.append(f"disagreement: {result.disagreement:.2f}")
    lines += [f"absent: {name}: {reason}" for name, reason in result.absent.items()]
    return "\n".join(lines + [f"note: {note} [{note.code}]" for note in result.notes])
