"""`emoembed attune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from emoembed.interfaces.options import ModelOptions, names
from emoembed.interfaces.printing import print_failures


@dataclass(frozen=True, kw_only=True)
class Attune(ModelOptions):
    """Adapt a model to your microphone or camera from unlabelled recordings (mean alignment).

    Examples:

        emoembed attune --manifest calls.csv --output my-model

        emoembed attune --manifest chats.csv --modality text --output my-model
    """

    manifest: Annotated[
        Path, typer.Option(metavar="FILE", help="Table with a column audio or video; text for dialogues.")
    ]
    modality: Annotated[
        str,
        typer.Option(metavar="A,B", help="Modalities to attune. Add text only if the texts are turns of dialogues."),
    ] = "audio,video"
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the new checkpoint.")]

    def run(self) -> int:
        """Attune the model to the recordings and save a checkpoint."""
        from emoembed.prediction.manifests import tasks

        recognizer, failures = tasks.attune_manifest(self.load(), self.manifest, self.output, names(self.modality))
        counts = recognizer.model.state.attuned
        print(f"attuned to: {', '.join(f'{count} {name}' for name, count in counts.items())}\nsaved -> {self.output}")
        return print_failures("could not be read", failures)
