"""`emoembed train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from emoembed.errors import InputError
from emoembed.interfaces.options import BatchOptions, ColumnOptions, names, with_value
from emoembed.interfaces.printing import print_failures

if TYPE_CHECKING:
    from emoembed.training.dialogue.manifest import Changes
    from emoembed.training.execution.distributed import Group
    from emoembed.training.manifest import Trained
    from emoembed.transfer.dialogue.files import PretrainedStart


NO_FOLDER = ""
"""The value of `--context` without a folder: training starts from random weights."""


class TrainCommand(TyperCommand):
    """A command whose option `--context` takes a folder or nothing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Add a value to `--context` without a folder."""
        return super().parse_args(ctx, with_value(args, "--context", NO_FOLDER))


@dataclass(frozen=True, kw_only=True)
class Train(BatchOptions, ColumnOptions):
    """Train a model on the labelled rows of a manifest.

    Several processes train together if torchrun starts the command with --distributed. To let torchrun restart them,
    also give it --max-restarts, set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1, and give --resume.

    Examples:

        emoembed train --manifest mine.csv --output my-model

        emoembed train --manifest mine.csv --output my-model --encoder audio=facebook/wav2vec2-base

        emoembed train --manifest chats.csv --output my-model --context

        emoembed train --manifest chats.csv --output my-model --context chats-context

        torchrun --nproc-per-node 2 -m emoembed train --distributed --manifest mine.csv --output my-model --resume state
    """

    manifest: Annotated[Path, typer.Option(metavar="FILE", help="Table with labels, splits, and text, audio or video.")]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the new checkpoint.")]
    modality: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Modalities to train: text, audio, video. By default all that the rows have."),
    ] = None
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=NAME",
            help="Start from a transformer (hub id or folder), e.g. audio=facebook/wav2vec2-base. Can be repeated.",
        ),
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            metavar="[DIR]",
            help="Also train the context of dialogues, on the rows that name a dialogue. With DIR, the training starts "
            "from the pre-trained context in DIR.",
        ),
    ] = None
    seed: Annotated[int, typer.Option(help="Random seed of the weights and of the held-out rows.")] = 0
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Training epochs, instead of the recipe's number.")
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for the state of the training after each epoch. Run the command again to resume a stopped "
            "run.",
        ),
    ] = None
    accumulate: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Divide each batch into N parts, so that it needs less memory."),
    ] = 1
    precision: Annotated[
        Literal["bf16", "fp32"] | None,
        typer.Option(help="Arithmetic of the encoders in training; by default that of the recipe."),
    ] = None
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed", help="Train in the processes that torchrun starts: each computes its part of every batch."
        ),
    ] = False

    def run(self) -> int:
        """Train the model and save a checkpoint."""
        from emoembed.training.execution.distributed import Group, joined

        if not self.distributed:
            return self._train(Group(device=self.device))
        with joined(self.device) as group:
            return self._train(group)

    def _train(self, group: Group) -> int:
        from emoembed.prediction.public import load
        from emoembed.training.config import Execution
        from emoembed.training.manifest import train_manifest

        context = self._context()
        changes: Changes = {"seed": self.seed}
        if self.epochs is not None:
            changes["epochs"] = self.epochs
        if self.batch_size is not None:
            changes["batch_size"] = self.batch_size
        if self.precision is not None:
            changes["bf16"] = self.precision == "bf16"
        result = train_manifest(
            self.rows(self.manifest),
            self.output,
            None if self.modality is None else names(self.modality),
            base=load(self.model).model,
            encoders=dict(_split_encoder(text) for text in self.encoder or ()),
            context=context,
            execution=Execution(group.device, self.progress and group.leads, self.resume, group, self.accumulate),
            **changes,
        )
        return self._report(result, context) if group.leads else 0

    def _report(self, result: Trained, context: bool | PretrainedStart) -> int:
        """Print a summary of the training. Returns the exit code."""
        if result.held_out:
            print(f"no valid rows; {result.held_out} train rows held out for validation (seed {self.seed})")
        for name, (rows, valid) in result.rows.items():
            print(f"{name}: {rows} train and {valid} valid rows, best validation score {result.scores[name]:.3f}")
        if self.context is not None:
            print(f"context: best validation score {result.scores['context']:.3f}")
        if not isinstance(context, bool) and context.report is not None:
            fits = f"; {', '.join(context.report.mismatched)} do not fit" if context.report.mismatched else ""
            print(f"context: {context.report.share:.0%} of its numbers come from {self.context}{fits}")
        print(f"labels: {', '.join(result.model.state.labels)}\nsaved -> {self.output}")
        return print_failures("could not be read", result.failures)

    def _context(self) -> bool | PretrainedStart:
        """Whether the context is trained, or the pre-trained context that training starts from."""
        if not self.context:
            return self.context == NO_FOLDER
        from emoembed.transfer.dialogue.files import PretrainedStart, read_pretrained

        return PretrainedStart(read_pretrained(self.context))


def _split_encoder(text: str) -> tuple[str, str]:
    modality, _, name = text.partition("=")
    if modality not in ("text", "audio", "video") or not name:
        raise InputError(f"--encoder takes text=NAME, audio=NAME or video=NAME; given {text!r}")
    return modality, name
