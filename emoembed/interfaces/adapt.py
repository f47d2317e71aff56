"""`emoembed adapt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emoembed.interfaces.options import ColumnOptions, LabelOptions, ModelOptions


@dataclass(frozen=True, kw_only=True)
class Adapt(ModelOptions, LabelOptions, ColumnOptions):
    """Teach a model labels from a few examples.

    Example:

        emoembed adapt --support examples.csv --output my-model
    """

    support: Annotated[
        Path, typer.Option(metavar="FILE", help="Table with the column label and any of text, audio, video.")
    ]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the new checkpoint.")]

    def run(self) -> int:
        """Adapt the labels to the support and save a checkpoint."""
        from emoembed.prediction.manifests import tasks

        recognizer = tasks.adapt_table(
            self.load(), self.support, self.output, self.read_labels(), columns=self.columns()
        )
        print(f"taught labels: {', '.join(recognizer.model.state.taught)}\nsaved -> {self.output}")
        return 0
