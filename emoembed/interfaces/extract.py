"""`emoembed extract`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from emoembed.interfaces.options import ColumnOptions, WorkerOptions
from emoembed.interfaces.printing import print_failures


@dataclass(frozen=True, kw_only=True)
class Extract(WorkerOptions, ColumnOptions):
    """Extract the features of audio or video into a feature store.

    Example:

        emoembed extract --manifest clips.csv --modality audio --output features
    """

    manifest: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Table with a column audio or video, a folder of tables, or an address such as s3://bucket/calls.",
        ),
    ]
    modality: Annotated[Literal["audio", "video"], typer.Option(help="Column to extract features from.")]
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the feature store, new or existing.")]

    def run(self) -> int:
        """Extract the features and print how many there are."""
        from emoembed.prediction.manifests import tasks

        store = tasks.extract_features(
            self.rows(self.manifest), self.modality, self.output, progress=self.progress, workers=self.processes()
        )
        print(f"{len(store)} items of {store.feature_set.name} are now in {self.output}")
        return print_failures("failed", store.failures)
