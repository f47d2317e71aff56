"""`emoembed train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emoembed.errors import InputError
from emoembed.interfaces.options import BatchOptions, names
from emoembed.interfaces.printing import print_failures


@dataclass(frozen=True, kw_only=True)
class Train(BatchOptions):
    """Train on the labels of a manifest.

    Examples:

        emoembed train --manifest mine.csv --output my-model

        emoembed train --manifest mine.csv --output my-model --encoder audio=facebook/wav2vec2-base
    """

    manifest: Annotated[Path, typer.Option(metavar="FILE", help="Rows with labels and splits.")]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the checkpoint goes.")]
    modality: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="text, audio, video; by default those that the rows have."),
    ] = None
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODALITY=NAME",
            help="Start from a transformer: a hub id or a folder, e.g. audio=facebook/wav2vec2-base. May be repeated.",
        ),
    ] = None
    seed: Annotated[int, typer.Option(help="Of the weights, and of the rows held out.")] = 0
    epochs: Annotated[int | None, typer.Option(metavar="N", help="In place of the recipe's.")] = None

    def run(self) -> int:
        """A manifest to a checkpoint."""
        from emoembed.prediction.recognizer import load
        from emoembed.training.config import Execution
        from emoembed.training.manifest import train_manifest

        changes = {"seed": self.seed, "epochs": self.epochs, "batch_size": self.batch_size}
        trained = train_manifest(
            self.manifest,
            self.output,
            None if self.modality is None else names(self.modality),
            base=load(self.model).model,
            encoders=dict(_split_encoder(text) for text in self.encoder or ()),
            execution=Execution(self.device, self.progress),
            **{name: value for name, value in changes.items() if value is not None},
        )
        if trained.held_out:
            print(f"no valid rows: {trained.held_out} train rows held out for validation (seed {self.seed})")
        for name, (rows, valid) in trained.rows.items():
            print(f"{name}: {rows} train and {valid} valid rows, best validation score {trained.scores[name]:.3f}")
        print(f"labels: {', '.join(trained.model.state.labels)}\nsaved -> {self.output}")
        return print_failures("could not be read", trained.failures)


def _split_encoder(text: str) -> tuple[str, str]:
    modality, _, name = text.partition("=")
    if modality not in ("text", "audio", "video") or not name:
        raise InputError(f"--encoder takes text=NAME, audio=NAME or video=NAME; given {text!r}")
    return modality, name
