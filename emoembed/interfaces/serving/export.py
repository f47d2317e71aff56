"""`emoembed export`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from emoembed.interfaces.options import MODEL_PANEL, Command


@dataclass(frozen=True, kw_only=True)
class ExportOnnx(Command):
    """Export the text encoder for ONNX Runtime into the cache, where --backend onnx finds it.

    Do this once before a machine goes offline or its disk becomes read-only. Other programs can read the file as well:
    its inputs are token ids and a mask, its output is a vector for each token.

    Examples:

        emoembed export onnx

        emoembed export onnx --model text-permissive --int8
    """

    model: Annotated[
        str,
        typer.Option(help="Name of a checkpoint that ships, a folder, or a hub id.", rich_help_panel=MODEL_PANEL),
    ] = "base"
    int8: Annotated[bool, typer.Option("--int8", help="Compute with 8-bit integers, as --backend onnx-int8.")] = False

    def run(self) -> int:
        """Export the encoder and print the file."""
        from emoembed.prediction.public import export_onnx

        print(export_onnx(self.model, "onnx-int8" if self.int8 else "onnx"))
        return 0
