"""Options that commands share. A command is a frozen dataclass: its fields are the options, `run` executes it."""

from __future__ import annotations

import inspect
import logging
import math
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from emoembed.errors import EmoembedError, InputError, LabelError

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus
    from emoembed.features.workers import Workers
    from emoembed.labels.emotion import Description
    from emoembed.prediction.recognizer import Recognizer

MODEL_PANEL = "Model"
OUTPUT_PANEL = "Output"
CLUSTER_PANEL = "Cluster"
LABEL_PANEL = "Emotions"
USUAL = "usual"
"""The value of `--abstain` and `--context` without a number: what True means in Python."""
BROKEN_PIPE = 141
"""The exit code of a program whose output is no longer read: 128 and the number of the signal SIGPIPE."""
TABLES = ".csv, .tsv, .jsonl, .parquet or .xlsx"


@dataclass(frozen=True, kw_only=True)
class Command:
    """Options of every command."""

    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Print only results and errors.", rich_help_panel=OUTPUT_PANEL),
    ] = False
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Show progress even without a terminal, and the full traceback of an error.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = False

    def run(self) -> int:
        """Run the command and print the result. Returns the exit code: 1 if some rows failed, else 0."""
        raise NotImplementedError

    @property
    def progress(self) -> bool:
        """Whether to show progress: with `--verbose`, or on a terminal without `--quiet`."""
        return self.verbose or (sys.stderr.isatty() and not self.quiet)


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Command):
    """Options for the model and its device."""

    model: Annotated[
        str,
        typer.Option(help="Name of a checkpoint that ships, a folder, or a hub id.", rich_help_panel=MODEL_PANEL),
    ] = "base"
    device: Annotated[
        str,
        typer.Option(help="Device to compute on, such as cuda.", rich_help_panel=MODEL_PANEL),
    ] = "cpu"
    backend: Annotated[
        Literal["torch", "onnx", "onnx-int8"],
        typer.Option(
            help="Backend of the text encoder. onnx (ONNX Runtime) is faster for single short texts. onnx-int8 "
            "is faster for all texts, but its scores differ slightly.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = "torch"

    def load(self) -> Recognizer:
        """Load the model onto the device."""
        from emoembed.prediction.public import load

        return load(self.model, device=self.device, backend=self.backend)


@dataclass(frozen=True, kw_only=True)
class PrecisionOptions(ModelOptions):
    """The option for the arithmetic of the encoders."""

    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(
            help="Arithmetic of the encoders. bf16 suits GPUs; scores differ slightly.", rich_help_panel=MODEL_PANEL
        ),
    ] = "fp32"

    def load(self) -> Recognizer:
        """Load the model onto the device, with this precision."""
        from emoembed.prediction.public import load

        return load(self.model, device=self.device, backend=self.backend, precision=self.precision)


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ModelOptions):
    """Options for a model that computes in batches."""

    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Rows per batch.", rich_help_panel=MODEL_PANEL),
    ] = None


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(Command):
    """Options for work on many rows."""

    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of processes; by default as many as cores and memory allow, if there is much work.",
            rich_help_panel=MODEL_PANEL,
        ),
    ] = None

    engine: Annotated[
        Literal["processes", "ray"],
        typer.Option(
            help="Where rows are computed: in processes of this machine, or in actors of a Ray cluster.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = "processes"
    address: Annotated[
        str | None,
        typer.Option(
            help="Address of the Ray cluster, such as auto on one of its machines; by default this machine alone.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None
    num_actors: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Number of actors; by default one per core.", rich_help_panel=CLUSTER_PANEL
        ),
    ] = None
    num_gpus: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="N",
            help="GPUs per actor, such as 0.5; an actor with a GPU computes on it.",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = 0.0

    def processes(self, device: str = "cpu") -> Workers | None:
        """The number of processes, or the engine; None if the number is to be chosen. Only the CPU has several.

        Raises:
            InputError: an option does not go with the engine or the device, or ray is not installed.
        """
        if self.engine == "ray":
            if self.workers is not None or device != "cpu":
                raise InputError("--engine ray takes --num-actors and --num-gpus in place of --workers and --device")
            from emoembed.interfaces.scale import Ray

            return Ray(self.address, self.num_actors, self.num_gpus)
        if self.address is not None or self.num_actors is not None or self.num_gpus:
            raise InputError("--address, --num-actors and --num-gpus need --engine ray")
        if device == "cpu":
            return self.workers
        if self.workers is not None and self.workers > 1:
            raise InputError(f"several --workers compute on the CPU; leave out --workers or --device {device}")
        return 1

    def require_no_workers(self, work: str) -> None:
        """Raise InputError if an option for sharing rows was given for work that is not shared, such as one item."""
        given = self.workers, self.address, self.num_actors
        if any(value is not None for value in given) or self.engine != "processes" or self.num_gpus:
            raise InputError(f"--workers and --engine are for many rows; {work}: leave them out")


@dataclass(frozen=True, kw_only=True)
class ColumnOptions(Command):
    """The option for tables whose columns have other names."""

    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Which column of the table is NAME (text, audio, video, id, labels, ...), such as text=Q5. Can be "
            "repeated.",
        ),
    ] = None

    def columns(self) -> dict[str, str]:
        """The name of a manifest's column -> the column of the table.

        Raises:
            InputError: a value is not of the form NAME=COLUMN.
        """
        pairs = [text.partition("=") for text in self.column or ()]
        wrong = [name for name, _, given in pairs if not (name.strip() and given.strip())]
        if wrong:
            raise InputError(f"--column takes NAME=COLUMN, such as text=Q5; given {wrong[0]!r}")
        return {name.strip(): given.strip() for name, _, given in pairs}

    def rows(self, path: str | Path) -> str | Path | Corpus:
        """The table at a path: the path itself, or its rows if columns have other names."""
        if not self.column:
            return path
        from emoembed.corpora import manifest

        return manifest.read(path, columns=self.columns())


@dataclass(frozen=True, kw_only=True)
class LabelOptions(Command):
    """Options for the emotions to score."""

    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B,C",
            help="Emotion names, separated by commas; or @FILE, a text file with one name per line. Can be repeated.",
            rich_help_panel=LABEL_PANEL,
        ),
    ] = None
    labels_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON file of name -> description.", rich_help_panel=LABEL_PANEL),
    ] = None

    def read_labels(self) -> list[str] | dict[str, Description] | None:
        """The names, or names with descriptions. None means the default labels of the model.

        Raises:
            InputError: both options are given, or the file names no emotion.
            MissingFileError: there is no such file.
        """
        if self.labels and self.labels_file is not None:
            raise InputError("--labels and --labels-file both name the emotions; give one of them")
        if not self.labels and self.labels_file is None:
            return None
        from emoembed.corpora import tables

        if self.labels_file is not None:
            return tables.read_labels(self.labels_file)
        lists = [
            tables.read_label_names(text[1:]) if text.startswith("@") else names(text) for text in self.labels or ()
        ]
        return [name for part in lists for name in part]

    def labels_for(self, recognizer: Recognizer) -> list[str] | dict[str, Description] | None:
        """As `read_labels`. Raises LabelError if no emotion is named and the model has no default labels."""
        labels = self.read_labels()
        if labels is None and not recognizer.labels:
            raise LabelError("this model has no default labels; name emotions, such as --labels joy,anger")
        return labels


@dataclass(frozen=True, kw_only=True)
class AbstainOptions(Command):
    """The option to withhold unsure answers."""

    abstain: Annotated[
        str | None,
        typer.Option(
            metavar="[RISK]",
            help="Withhold unsure answers ('none of these'). About this share of the other answers is then "
            "wrong; 0.2 if no number is given.",
        ),
    ] = None

    def risk(self) -> float | bool:
        """The argument `abstain` of `predict`.

        Raises:
            InputError: the value is not a number, or outside the range that models are calibrated for.
        """
        if self.abstain is None or self.abstain == USUAL:
            return self.abstain == USUAL
        from emoembed.model.calibration import RISKS

        share = float(self.abstain) if _is_number(self.abstain) else math.nan
        if not RISKS[0] <= share <= RISKS[-1]:
            raise InputError(
                f"--abstain takes a share of wrong answers from {RISKS[0]} to {RISKS[-1]}, or no number; "
                f"given {self.abstain!r}"
            )
        return share


def names(text: str) -> list[str]:
    """Split names at commas: `joy, fear` -> ["joy", "fear"]."""
    return [name.strip() for name in text.rstrip(", ").split(",")]


def require_commas(ctx: typer.Context, arguments: Sequence[str]) -> None:
    """Raise BadParameter if `--labels` is followed by several words: `--labels joy fear`.

    If the command has arguments of its own, they may follow a list such as `joy,fear`.
    """
    has_arguments = any(parameter.param_type_name == "argument" for parameter in ctx.command.params)
    for option, names_given, extra in zip(arguments, arguments[1:], arguments[2:], strict=False):
        is_list = names_given.startswith("@") or ("," in names_given and not names_given.endswith(","))
        if has_arguments and is_list:
            continue
        if option == "--labels" and not names_given.startswith("-") and not extra.startswith("-"):
            raise typer.BadParameter(
                f"separate the names by commas, and put names with spaces in quotes, as in --labels 'joy,at ease'; "
                f"given {names_given} {extra}",
                ctx=ctx,
                param_hint="--labels",
            )


def with_value(arguments: Sequence[str], option: str, value: str, *, numbers_only: bool = False) -> list[str]:
    """Add a value to an option that comes without one: at the end, or before another option.

    With `numbers_only`, also before an argument that is not a number.
    """
    following = [*arguments, "-"][1:]
    return [
        part
        for argument, after in zip(arguments, following, strict=True)
        for part in (
            (argument, value)
            if argument == option and (after.startswith("-") or (numbers_only and not _is_number(after)))
            else (argument,)
        )
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_command(options: type[Command]) -> Callable[..., None]:
    """Make a function that typer can register: its arguments are the fields, its help text is the docstring.

    The exit code is the return value of `run`, 2 after an error, 130 if the user interrupts it, or 141 if the output is
    no longer read.
    """

    def command(**values: Any) -> None:
        raise typer.Exit(_exit_code(options(**values)))

    hints = get_type_hints(options, include_extras=True)
    signature = inspect.signature(options)
    parameters = [field.replace(annotation=hints[name]) for name, field in signature.parameters.items()]
    command.__signature__ = signature.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    command.__annotations__ = {name: hints[name] for name in signature.parameters}
    command.__doc__ = (options.__doc__ or "").replace("[", "\\[")  # typer would read [NAME] as a style
    return command


def _exit_code(command: Command) -> int:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _print_warning
            if command.quiet:
                warnings.simplefilter("ignore")
                logging.getLogger("emoembed").setLevel(logging.ERROR)
            code = command.run()
            sys.stdout.flush()
            return code
    except BrokenPipeError:  # the program that reads the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is written to the pipe at exit
        return BROKEN_PIPE
    except (EmoembedError, OSError) as error:
        if command.verbose:
            traceback.print_exc()
        print(f"emoembed: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("emoembed: interrupted", file=sys.stderr)
        return 130


def _print_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Print a warning as one line, without its place in the code."""
    print(f"emoembed: warning: {message}", file=sys.stderr)
