"""The command `emoembed`. Each subcommand has its own file, calls one public function and prints the result.

Exit codes: 0 for success; 1 if some rows failed and the others were written; 2 if the command failed, with the reason
on stderr; 130 if the user interrupts it; 141 if the program that reads its output ends first.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from emoembed import __version__
from emoembed.interfaces.adapt import Adapt
from emoembed.interfaces.attune import Attune
from emoembed.interfaces.demo.command import Demo
from emoembed.interfaces.evaluate import Evaluate
from emoembed.interfaces.extract import Extract
from emoembed.interfaces.info import Info, Labels, Models
from emoembed.interfaces.options import as_command
from emoembed.interfaces.predict import Predict, VariadicCommand
from emoembed.interfaces.prepare import Prepare
from emoembed.interfaces.pretrain import PretrainDialogue
from emoembed.interfaces.serving.command import Serve
from emoembed.interfaces.serving.export import ExportOnnx
from emoembed.interfaces.timeline import Timeline, TimelineCommand
from emoembed.interfaces.train import Train, TrainCommand
from emoembed.interfaces.transfer import Transfer

USE, DATA = "Use and train models", "Corpora and features"
app = typer.Typer(
    name="emoembed",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.command("predict", cls=VariadicCommand, rich_help_panel=USE)(as_command(Predict))
app.command("timeline", cls=TimelineCommand, rich_help_panel=USE)(as_command(Timeline))
app.command("demo", rich_help_panel=USE)(as_command(Demo))
app.command("serve", rich_help_panel=USE)(as_command(Serve))
pretrain = typer.Typer(help="Pre-train a part of a model without labels.")
pretrain.command("dialogue")(as_command(PretrainDialogue))
app.add_typer(pretrain, name="pretrain", rich_help_panel=USE)
export = typer.Typer(help="Export a part of a model for other programs.")
export.command("onnx")(as_command(ExportOnnx))
app.add_typer(export, name="export", rich_help_panel=USE)
app.command("train", cls=TrainCommand, rich_help_panel=USE)(as_command(Train))
app.command("transfer", cls=VariadicCommand, rich_help_panel=USE)(as_command(Transfer))
app.command("adapt", cls=VariadicCommand, rich_help_panel=USE)(as_command(Adapt))
app.command("attune", cls=VariadicCommand, rich_help_panel=USE)(as_command(Attune))
app.command("evaluate", rich_help_panel=USE)(as_command(Evaluate))
app.command("extract", rich_help_panel=DATA)(as_command(Extract))
app.command("prepare", rich_help_panel=DATA)(as_command(Prepare))
app.command("info", rich_help_panel=DATA)(as_command(Info))
app.command("models", rich_help_panel=DATA)(as_command(Models))
app.command("labels", rich_help_panel=DATA)(as_command(Labels))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # the terminal may not have all letters of a label
    try:
        app(sys.argv[1:] if argv is None else list(map(str, argv)), prog_name="emoembed")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def _print_version(requested: bool) -> None:
    if requested:
        print(f"emoembed {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recognise any named emotion in text, speech and faces."""


if __name__ == "__main__":
    sys.exit(main())
