"""`emoembed attune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoembed.errors import InputError
from emoembed.interfaces.options import ColumnOptions, ModelOptions, names
from emoembed.interfaces.printing import print_failures

if TYPE_CHECKING:
    from emoembed.corpora.corpus import Corpus


@dataclass(frozen=True, kw_only=True)
class Attune(ModelOptions, ColumnOptions):
    """Adapt a model to your microphone or camera from unlabelled recordings (mean alignment).

    Examples:

        emoembed attune --audio interviews/ --output my-model

        emoembed attune --manifest calls.csv --output my-model

        emoembed attune --manifest chats.csv --modality text --output my-model
    """

    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table with a column audio or video; text for dialogues.")
    ] = None
    audio: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Recordings, a folder, or a pattern such as 'calls/*.wav'.")
    ] = None
    video: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Films or pictures, a folder, or a pattern.")
    ] = None
    modality: Annotated[
        str,
        typer.Option(metavar="A,B", help="Modalities to attune. Add text only if the texts are turns of dialogues."),
    ] = "audio,video"
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the new checkpoint.")]

    def run(self) -> int:
        """Attune the model to the recordings and save a checkpoint."""
        from emoembed.prediction.manifests import tasks

        rows = self._rows()
        recognizer, failures = tasks.attune_manifest(self.load(), rows, self.output, names(self.modality))
        counts = recognizer.model.state.attuned
        print(f"attuned to: {', '.join(f'{count} {name}' for name, count in counts.items())}\nsaved -> {self.output}")
        return print_failures("could not be read", failures)

    def _rows(self) -> str | Path | Corpus:
        from emoembed.corpora import manifest

        if sum(bool(source) for source in (self.manifest, self.audio, self.video)) != 1:
            raise InputError("give the recordings by one of --manifest, --audio and --video")
        if self.manifest is not None:
            return self.rows(self.manifest)
        if self.column:
            raise InputError("--column names columns of --manifest; leave it out")
        return manifest.of_files("audio", self.audio) if self.audio else manifest.of_files("video", self.video or [])
