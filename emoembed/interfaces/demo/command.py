"""`emoembed demo`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

import typer

from emoembed.errors import InputError
from emoembed.interfaces.options import ModelOptions


@dataclass(frozen=True, kw_only=True)
class Demo(ModelOptions):
    """Open a page in the browser to try a model. Needs pip install "emoembed[demo]".

    The page reads texts, microphone, camera and files. It shows a chart for each modality and the timeline of a long
    recording. You can teach it an emotion by examples.

    Example:

        emoembed demo
    """

    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines connect.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 7860
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True

    def run(self) -> int:
        """Show the page until the process is stopped."""
        if find_spec("gradio") is None:
            raise InputError('the page needs gradio; install it with pip install "emoembed[demo]"')
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
        from emoembed.interfaces.demo.page import create_page, launch

        launch(create_page(self.load()), self.host, self.port, browser=self.browser, quiet=self.quiet)
        return 0
