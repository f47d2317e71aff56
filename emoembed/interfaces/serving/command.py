"""`emoembed serve`."""

from __future__ import annotations

import signal
import socket
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

import typer

from emoembed.errors import InputError
from emoembed.interfaces.options import ModelOptions

LIMITS_PANEL = "Limits"


@dataclass(frozen=True, kw_only=True)
class Serve(ModelOptions):
    """Serve a model over HTTP: texts, files, timelines and live sound. Needs pip install "emoembed[serve]".

    http://HOST:PORT/docs describes the requests.

    Example:

        emoembed serve --model base --port 8000
    """

    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines connect.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Largest request.", rich_help_panel=LIMITS_PANEL)] = (
        100.0
    )
    max_texts: Annotated[int, typer.Option(min=1, help="Texts in a request.", rich_help_panel=LIMITS_PANEL)] = 256
    max_seconds: Annotated[float, typer.Option(min=1, help="Longest recording.", rich_help_panel=LIMITS_PANEL)] = 7200.0
    max_waiting: Annotated[
        int,
        typer.Option(
            min=1, help="Requests in progress and waiting; further requests get 429.", rich_help_panel=LIMITS_PANEL
        ),
    ] = 128
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds until a request gets 408.", rich_help_panel=LIMITS_PANEL)
    ] = 120.0

    def run(self) -> int:
        """Serve until the process is stopped. Requests in progress are finished first.

        Raises:
            InputError: the packages of the extra are missing, or the port is taken.
        """
        if find_spec("fastapi") is None or find_spec("uvicorn") is None:
            raise InputError('serving needs FastAPI and uvicorn; install them with pip install "emoembed[serve]"')
        _check_address(self.host, self.port)
        import uvicorn

        from emoembed.model import checkpoint_files
        from emoembed.model.device import check_device

        checkpoint_files.find_folder(self.model)  # a wrong name or device is an error now, not a service without model
        check_device(self.device)
        from emoembed.interfaces.serving.app import create_app
        from emoembed.interfaces.serving.limits import Limits

        limits = Limits(
            megabytes=self.max_megabytes,
            texts=self.max_texts,
            seconds=self.max_seconds,
            waiting=self.max_waiting,
            patience=self.patience,
        )
        # uvicorn finishes the requests in progress and raises the signal again; to be stopped is not a failure
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        uvicorn.run(
            create_app(self.load, limits),
            host=self.host,
            port=self.port,
            log_level="warning" if self.quiet else "info",
            timeout_graceful_shutdown=30,
            limit_concurrency=limits.waiting + limits.streams + 64,
        )
        return 0


def _check_address(host: str, port: int) -> None:
    """Raise InputError if nothing can listen at an address. uvicorn would end with its own exit code."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        raise InputError(f"port {port} at {host} cannot be used; choose another with --port ({error})") from error
