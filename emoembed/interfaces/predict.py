"""`emoembed predict`."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from emoembed.errors import InputError
from emoembed.features.addresses import is_address
from emoembed.interfaces.options import (
    OUTPUT_PANEL,
    TABLES,
    USUAL,
    AbstainOptions,
    BatchOptions,
    ColumnOptions,
    LabelOptions,
    PrecisionOptions,
    WorkerOptions,
    require_commas,
)
from emoembed.interfaces.printing import (
    print_failures,
    print_trust,
    readable,
    readable_dialogue,
    readable_list,
    to_json,
)

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus
    from emoembed.prediction.dialogue.result import DialogueResult

BATCH_SIZE = 32
NUMBER_OR_NONE = ("--abstain", "--context")
MANY_VALUES = ("--audio", "--video", "--source")


class VariadicCommand(TyperCommand):
    """A command whose options take several values or none: `--audio a.wav b.wav`, `--abstain`, `--context`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each file, and a value to `--abstain` and `--context` without a number."""
        require_commas(ctx, args)
        return super().parse_args(ctx, spread(args))


@dataclass(frozen=True, kw_only=True)
class Predict(PrecisionOptions, BatchOptions, WorkerOptions, LabelOptions, AbstainOptions, ColumnOptions):
    """Score emotion names for a sentence, a recording or a face, or for many of them.

    Examples:

        emoembed predict "We made it!" --labels relief,joy,fear

        cat answers.txt | emoembed predict - --labels relief,joy,fear --output scores.csv

        emoembed predict --audio call.wav --video face.jpg

        emoembed predict --audio interviews/*.wav --labels relief,joy --output scores.csv

        emoembed predict --manifest clips.csv --output scores.csv --multi-label

        emoembed predict --dialogue call.vtt --audio call.wav --labels frustrated,relieved --plot call.png
    """

    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help="One or more texts, before the options; - reads standard input, one text per line.",
            show_default=False,
        ),
    ] = None
    text: Annotated[str | None, typer.Option(help="One text; - reads all of standard input as one text.")] = None
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
    manifest: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help=f"Table of items to score: {TABLES}, a folder of tables, or an address such as s3://bucket/calls. Its "
            "columns: any of text, audio, video (paths relative to the table); optional id, start and end (seconds), "
            "speaker, dialogue, turn. Other columns are copied to the output.",
        ),
    ] = None
    dialogue: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Transcript of a dialogue: .vtt, .srt, .cha, .json, .txt or a table. --audio and --video are its "
            "recording. Each turn is scored in the context of earlier turns.",
        ),
    ] = None
    join: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="With --dialogue: join neighbouring turns of one speaker if the gap is at most this long.",
        ),
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            metavar="[STRENGTH]",
            help="With --manifest: score the rows that name a dialogue in the context of its earlier turns. With "
            "--dialogue: the weight of earlier turns, by default that of the model.",
        ),
    ] = None
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help=f"Table for the scores of many items: {TABLES}. A folder such as scores/, or an address, gets Parquet "
            "files, which the processes write themselves.",
        ),
    ] = None
    part_rows: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Rows of each file in a folder of scores.", rich_help_panel=OUTPUT_PANEL),
    ] = 1000
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --dialogue: a picture of the dialogue (.png, .svg or .pdf)."),
    ] = None
    multi_label: Annotated[bool, typer.Option("--multi-label", help="Give every label its own probability.")] = False
    json: Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT_PANEL)] = False

    def run(self) -> int:
        """Print the results, or write the results of many to a file."""
        if self.texts and (self.text is not None or self.manifest is not None or self.dialogue is not None):
            raise InputError(
                "give the texts before the options, or with --text, --manifest or --dialogue, not both; "
                f"given both, the first is {self.texts[0]!r:.60}"
            )
        if self.dialogue is not None:
            return self._predict_dialogue()
        if self.join is not None or self.plot is not None or (self.context is not None and self.manifest is None):
            raise InputError("--join and --plot need --dialogue; --context needs --dialogue or --manifest")
        if self.column and self.manifest is None:
            raise InputError("--column names columns of --manifest; leave it out")
        if self.texts and (len(self.texts) > 1 or "-" in self.texts):
            return self._predict_texts(self.texts)
        rows = self.manifest or self._many_files()
        if rows is None:
            return self._predict_one()
        if self.json or (self.manifest is not None and (self.text or self.audio or self.video)):
            raise InputError(
                "many rows are written to --output; leave out --json, and with --manifest also --text, --audio, --video"
            )
        return self._predict_many(rows)

    def _predict_one(self) -> int:
        self.require_no_workers("one item has one process")
        if self.output is not None:
            raise InputError(
                "--output is for rows of a manifest or of files; for one item use --json, which prints JSON"
            )
        text = self.texts[0] if self.texts else sys.stdin.read() if self.text == "-" else self.text
        if text is not None and not text.strip():
            raise InputError("the sentence of --text is empty; give one, or leave it out")
        if text is None and not self.audio and not self.video:
            raise InputError("nothing to work on; give a text, --audio, --video, --manifest or --dialogue")
        recognizer = self.load()
        result = recognizer.predict(
            text,
            self.audio[0] if self.audio else None,
            self.video[0] if self.video else None,
            self.labels_for(recognizer),
            multi_label=self.multi_label,
            abstain=self.risk(),
        )
        print(to_json(result.to_dict()) if self.json else readable(result))
        return 0

    def _predict_texts(self, arguments: Sequence[str]) -> int:
        """Print the results of several texts, or write them to --output. `-` means the lines of standard input."""
        if self.audio or self.video:
            raise InputError("--audio and --video go with one text; list several items in a manifest")
        texts = [text for part in arguments for text in (sys.stdin.read().splitlines() if part == "-" else [part])]
        if not texts:
            raise InputError("standard input is empty; give one text per line")
        if self.output is not None:
            from emoembed.corpora import manifest

            return self._predict_many(manifest.of_texts(texts))
        self.require_no_workers("scores that are printed are computed by one process")
        recognizer = self.load()
        results = recognizer.predict(
            texts,
            labels=self.labels_for(recognizer),
            multi_label=self.multi_label,
            abstain=self.risk(),
            errors="skip",
            batch_size=self.batch_size or BATCH_SIZE,
        )
        print(to_json([result.to_dict() for result in results]) if self.json else readable_list(texts, results))
        failures = {f"text {i}": "; ".join(result.absent.values()) for i, result in enumerate(results, 1)}
        return print_failures("failed", {name: reason for name, reason in failures.items() if reason}, "text")

    def _predict_many(self, rows: str | Corpus) -> int:
        from emoembed.prediction.manifests.parts import is_folder_of_parts, predict_parts
        from emoembed.prediction.manifests.scoring import predict_manifest

        if self.output is None:
            count = "the rows of a manifest" if isinstance(rows, str) else f"{len(rows.samples)} files"
            raise InputError(f"the scores of {count} are written to a table; give --output, a {TABLES} file")
        recognizer = self.load()
        labels = self.labels_for(recognizer)
        options: dict[str, Any] = {
            "multi_label": self.multi_label,
            "abstain": self.risk(),
            "batch_size": self.batch_size or BATCH_SIZE,
            "workers": self.processes(self.device),
            "columns": self.columns(),
            "progress": not self.quiet,  # without a terminal, a line every 30 seconds
        }
        if not is_folder_of_parts(self.output):
            summary = predict_manifest(recognizer, rows, labels, self.output, context=self._strength(), **options)
        elif self.context is not None:
            raise InputError(f"--context reads rows in order, so its scores go to one table; give a {TABLES} file")
        else:
            summary = predict_parts(recognizer, rows, labels, self.output, rows_of_part=self.part_rows, **options)
        if summary.resumed and not self.quiet:
            print(f"resumed after {summary.resumed} rows that an earlier run had scored", file=sys.stderr)
        print(f"{summary.rows - len(summary.failures)} of {summary.rows} rows scored -> {self.output}")
        if not self.quiet:
            print_failures("scored without a modality", summary.absent)
            print_trust(summary)
        return print_failures("failed", summary.failures)

    def _predict_dialogue(self) -> int:
        from emoembed.corpora.tables import require_output, write_table
        from emoembed.plots import require_picture
        from emoembed.reading.transcripts import read_transcript

        self.require_no_workers("the turns of a dialogue are read in order, by one process")
        recordings = [self.audio or [], self.video or []]
        if self.manifest is not None or self.text is not None or any(len(files) > 1 for files in recordings):
            raise InputError("--dialogue takes at most one --audio and one --video, and neither --text nor --manifest")
        if self.output is not None:
            require_output(self.output, self.dialogue)
        if self.plot is not None:
            require_picture(self.plot)
        strength = self._strength()
        audio, video = (files[0] if files else None for files in recordings)
        turns = read_transcript(self.dialogue or "", audio=audio, video=video, join=self.join)
        options: dict[str, Any] = {} if isinstance(strength, bool) else {"strength": strength}
        result = self.load().predict_dialogue(
            turns,
            self.read_labels(),
            multi_label=self.multi_label,
            abstain=self.risk(),
            errors="skip",
            batch_size=self.batch_size or BATCH_SIZE,
            **options,
        )
        if self.plot is not None:
            result.plot(self.plot)
        if self.output is not None:
            write_table(result.to_frame().reset_index(), self.output)
            print(f"{sum(bool(turn.scores) for turn in result)} of {len(result)} turns scored -> {self.output}")
        elif self.json:
            print(to_json(result.to_dict()))
        else:
            print(readable_dialogue(result))
        return self._print_absent(result)

    def _print_absent(self, dialogue: DialogueResult) -> int:
        """Print which turns lack a modality or an answer, and why. Returns 1 if a turn has no answer, else 0."""
        absent: dict[bool, dict[str, str]] = {True: {}, False: {}}
        for turn in dialogue:
            if turn.absent or not turn.scores:
                absent[bool(turn.scores)][f"turn {turn.turn}"] = "; ".join(dict.fromkeys(turn.absent.values()))
        if not self.quiet:
            print_failures("scored without a modality", absent[True], "turn")
        return print_failures("without an answer", absent[False], "turn")

    def _strength(self) -> bool | float:
        """Whether rows are scored in context, or the strength of the context."""
        if self.context is None or self.context == USUAL:
            return self.context == USUAL
        try:
            return float(self.context)
        except ValueError:
            raise InputError(f"--context takes a strength, such as 0.5; given {self.context!r}") from None

    def _many_files(self) -> Corpus | None:
        """The rows of several files, a folder or a pattern, or of one file for --output; None for a single item."""
        paths_by_modality = {"audio": self.audio or [], "video": self.video or []}
        many_files = {
            name: paths
            for name, paths in paths_by_modality.items()
            if len(paths) > 1 or any(map(_is_folder_or_pattern, paths))
        }
        has_text = self.text is not None or bool(self.texts)
        if not many_files and self.output is not None and not has_text:
            given = {name: paths for name, paths in paths_by_modality.items() if paths}
            many_files = given if len(given) == 1 else {}
        if not many_files:
            return None
        if has_text or all(paths_by_modality.values()):
            raise InputError(
                "several files must have the same modality; to combine text, sound and faces, list them in a manifest"
            )
        from emoembed.corpora import manifest

        return manifest.of_files(*next(iter(many_files.items())))


def _is_folder_or_pattern(path: str) -> bool:
    if is_address(path):
        return not os.path.splitext(path)[1]
    return os.path.isdir(path) or (glob.has_magic(path) and not os.path.exists(path))


def spread(arguments: list[str]) -> list[str]:
    """Rewrite `--audio a b` to `--audio a --audio b`, and a lone `--abstain` or `--context` to `--abstain usual`.

    `MANY_VALUES` are the options that take several values.

    The value of `--text` may begin with a dash.
    """
    remaining_arguments, rewritten_arguments = list(arguments), []
    while remaining_arguments:
        option, values = remaining_arguments.pop(0), []
        if option == "--text" and remaining_arguments:
            values = [remaining_arguments.pop(0)]
        elif option in NUMBER_OR_NONE and (not remaining_arguments or remaining_arguments[0].startswith("-")):
            values = [USUAL]
        while option in MANY_VALUES and remaining_arguments and not remaining_arguments[0].startswith("-"):
            values.append(remaining_arguments.pop(0))
        rewritten_arguments += [part for value in values for part in (option, value)] or [option]
    return rewritten_arguments
