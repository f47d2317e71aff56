"""`emoembed adapt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emoembed.interfaces.options import LabelOptions, ModelOptions


@dataclass(frozen=True, kw_only=True)
class Adapt(ModelOptions, LabelOptions):
    """Move labels towards a few examples.

    Example:

        emoembed adapt --support examples.csv --output my-model
    """

    support: Annotated[Path, typer.Option(metavar="FILE", help="Columns: label, and text, audio or video.")]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the checkpoint goes.")]
    steps: Annotated[int, typer.Option(help="Gradient steps of a light fine-tune.")] = 0
    max_harm: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Of other labels' items that a taught label may win over; 0.02 if left out."
        ),
    ] = None

    def run(self) -> int:
        """A few labelled rows to a checkpoint whose labels stand nearer to them."""
        from emoembed.prediction import bulk

        settings = {"steps": self.steps} | ({} if self.max_harm is None else {"max_harm": self.max_harm})
        adapted = bulk.adapt_table(self.load(), self.support, self.output, self.read_labels(), **settings)
        print(f"labels moved by examples: {', '.join(adapted.model.state.taught)}\nsaved -> {self.output}")
        return 0
