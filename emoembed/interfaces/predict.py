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
"""The value of `--abstain` without a number: the share that `abstain=True` means in Python."""


class PredictCommand(TyperCommand):
    """A command whose options take several values or none: `--audio a.wav b.wav`, `--abstain`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each file, and add the usual share to `--abstain` without a number."""
        return super().parse_args(ctx, spread(args))


@dataclass(frozen=True, kw_only=True)
class Predict(BatchOptions, LabelOptions):
    """Score emotion names for a sentence, a recording or a face, or for a table of them.

    Examples:

        emoembed predict --text "We made it!" --labels relief,joy,fear

        emoembed predict --audio call.wav --video face.jpg

        emoembed predict --audio interviews/*.wav --labels relief,joy --output scores.csv

        emoembed predict --manifest clips.csv --output scores.csv --multi-label
    """

    text: Annotated[str | None, typer.Option(help="A sentence; - reads standard input.")] = None
    audio: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE...",
            help="A sound file, or a video with a sound track; or several files, a folder or a pattern.",
        ),
    ] = None
    video: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="A video or an image; or several files, a folder or a pattern."),
    ] = None
    manifest: Annotated[Path | None, typer.Option(metavar="FILE", help=f"Table of items to score: {TABLES}.")] = None
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Table for the scores of many items: {TABLES}.")
    ] = None
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Give every label its own probability.")] = False
    abstain: Annotated[
        str | None,
        typer.Option(
            metavar="[RISK]",
            help="Withhold unsure answers ('none of these'), so that about this share of the others is wrong; "
            "0.2 without a number.",
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT_PANEL)] = False

    def run(self) -> int:
        """Print the result of one item, or write the results of many to a file."""
        rows = self.manifest or self._many_files()
        if rows is None:
            return self._predict_one()
        if self.json or (self.manifest is not None and (self.text or self.audio or self.video)):
            raise InputError(
                "many rows are written to --output; leave out --json, and with --manifest also --text, --audio, --video"
            )
        return self._predict_many(rows)

    def _predict_one(self) -> int:
        if self.output is not None:
            raise InputError("--output is for many rows; for one item use --json, which prints JSON")
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
            raise InputError(f"the scores of {count} are written to a table; give --output, a {TABLES} file")
        summary = predict_manifest(
            self.load(),
            rows,
            self.read_labels(),
            self.output,
            multi_label=self.multi_label,
            abstain=self._risk(),
            batch_size=self.batch_size or 32,
            progress=not self.quiet,  # without a terminal, a line every 30 seconds
        )
        if summary.resumed and not self.quiet:
            print(f"resumed after {summary.resumed} rows that an earlier run had scored", file=sys.stderr)
        print(f"{summary.rows - len(summary.failures)} of {summary.rows} rows scored -> {self.output}")
        if not self.quiet:
            print_failures("scored without a modality", summary.absent)
        return print_failures("failed", summary.failures)

    def _many_files(self) -> Corpus | None:
        """The rows of several files, a folder or a pattern; None for a single file."""
        paths_by_modality = {"audio": self.audio or [], "video": self.video or []}
        many_files = {
            name: paths
            for name, paths in paths_by_modality.items()
            if len(paths) > 1 or any(map(_is_folder_or_pattern, paths))
        }
        if not many_files:
            return None
        if self.text is not None or all(paths_by_modality.values()):
            raise InputError(
                "several files must have the same modality; to combine text, sound and faces, list them in a manifest"
            )
        from emoembed.corpora import manifest

        return manifest.of_files(*next(iter(many_files.items())))

    def _risk(self) -> float | bool:
        if self.abstain is None:
            return False
        if self.abstain == USUAL_RISK:
            return True
        try:
            return float(self.abstain)
        except ValueError:
            raise InputError(f"--abstain takes a share of wrong answers, such as 0.1; given {self.abstain!r}") from None


def _is_folder_or_pattern(path: str) -> bool:
    return os.path.isdir(path) or (glob.has_magic(path) and not os.path.exists(path))


def spread(arguments: list[str]) -> list[str]:
    """Rewrite `--audio a b` to `--audio a --audio b`, and a lone `--abstain` to `--abstain usual`.

    The value of `--text` may begin with a dash.
    """
    remaining_arguments, rewritten_arguments = list(arguments), []
    while remaining_arguments:
        option, values = remaining_arguments.pop(0), []
        if option == "--text" and remaining_arguments:
            values = [remaining_arguments.pop(0)]
        elif option == "--abstain" and (not remaining_arguments or remaining_arguments[0].startswith("-")):
            values = [USUAL_RISK]
        while option in ("--audio", "--video") and remaining_arguments and not remaining_arguments[0].startswith("-"):
            values.append(remaining_arguments.pop(0))
        rewritten_arguments += [part for value in values for part in (option, value)] or [option]
    return rewritten_arguments


def readable(result: Result) -> str:
    """The result as text: scores, the scores and weight of each modality, absent modalities and notes."""
    lines = [result.label or "none of these", "", result.to_frame().round(3).to_string()]
    lines += ["", "weights: " + ", ".join(f"{name} {scores.weight:.2f}" for name, scores in result.modalities.items())]
    lines.append(f"confidence: {result.confidence:.2f}")
    if len(result.modalities) > 1:
        lines.append(f"disagreement: {result.disagreement:.2f}")
    lines += [f"absent: {name}: {reason}" for name, reason in result.absent.items()]
    return "\n".join(lines + [f"note: {note} [{note.code}]" for note in result.notes])
