"""`emoembed attune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emoembed.interfaces.options import ModelOptions
from emoembed.interfaces.printing import print_failures


@dataclass(frozen=True, kw_only=True)
class Attune(ModelOptions):
    """Fit a model to unlabelled sound or faces of your own.

    Example:

        emoembed attune --manifest calls.csv --output my-model
    """

    manifest: Annotated[Path, typer.Option(metavar="FILE", help="Rows with audio or video.")]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the checkpoint goes.")]

    def run(self) -> int:
        """Unlabelled sound or faces to a checkpoint that is at home among them."""
        from emoembed.prediction import bulk

        attuned, failures = bulk.attune_manifest(self.load(), self.manifest, self.output)
        counts = attuned.model.state.attuned
        print(f"attuned to: {', '.join(f'{count} {name}' for name, count in counts.items())}\nsaved -> {self.output}")
        return print_failures("could not be read", failures)
