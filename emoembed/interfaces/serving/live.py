"""Live sound over a WebSocket."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from emoembed.errors import EmoembedError, InputError
from emoembed.interfaces.serving.service import Refused, Service

MOST_BYTES = 2_000_000
"""Bytes of a message of a live stream."""
MOST_OVERLAP = 8
"""Windows of a live stream that may hold the same second of sound."""


def add_stream(app: FastAPI, service: Service) -> None:
    """Add `/stream` to the application."""

    @app.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        """Live sound: a JSON message with labels, sampling_rate, window and hop; then 16-bit samples; then `end`."""
        await socket.accept()
        if service.open_streams >= service.limits.streams:
            await socket.close(1013, f"{service.open_streams} streams are open; try again later")
            return
        service.open_streams += 1
        service.streams.set(service.open_streams)
        try:
            await _answer_stream(socket, service)
        except WebSocketDisconnect:
            return
        except (EmoembedError, Refused, ValueError, TypeError, RecursionError) as error:
            await _end_stream(socket, getattr(error, "code", "unusable-input"), str(error), 1008)
        except Exception as error:
            await _end_stream(socket, "internal", f"an error of the service: {type(error).__name__}", 1011)
            raise
        finally:
            service.open_streams -= 1
            service.streams.set(service.open_streams)


def _check_work(settings: Mapping[str, Any]) -> None:
    """Refuse a sampling rate that is no finite number, and windows that overlap more than `MOST_OVERLAP` times."""
    rate, window, hop = settings["sampling_rate"], settings.get("window", 4.0), settings.get("hop")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not math.isfinite(rate):
        raise InputError(f"sampling_rate is a number of samples per second; given {rate!r:.40}")
    if isinstance(window, int | float) and isinstance(hop, int | float) and window > MOST_OVERLAP * hop:
        raise InputError(f"hop must be at least window / {MOST_OVERLAP}; given window={window:g}, hop={hop:g}")


async def _end_stream(socket: WebSocket, code: str, message: str, status: int) -> None:
    """Tell the client why the stream ends. The client may have gone."""
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_json({"error": code, "message": message})
        await socket.close(status)


async def _answer_stream(socket: WebSocket, service: Service) -> None:
    worker = service.ready()
    settings = await _first_message(socket, service)
    service.check_labels(settings.get("labels"))
    rate = settings["sampling_rate"]
    _check_work(settings)
    start = partial(worker.recognizer.stream, window=settings.get("window", 4.0), hop=settings.get("hop"))
    live = await worker.run(partial(start, settings.get("labels")))
    while True:
        message = await _next_message(socket, service)
        if message.get("text") is not None:
            if message["text"] != "end":
                raise InputError(f"a text message after the first is 'end'; given {message['text']!r:.40}")
            results = await worker.run(live.finish)
            await socket.send_json({"results": [result.to_dict() for result in results], "end": True})
            await socket.close()
            return
        content = message.get("bytes") or b""
        if len(content) > MOST_BYTES:
            raise Refused(413, "too-large", f"a message holds at most {MOST_BYTES} bytes; given {len(content)}")
        if len(content) % 2:
            raise InputError(f"sound is 16-bit samples, two bytes each; given {len(content)} bytes")
        samples = np.frombuffer(content, dtype="<i2")
        for piece in _seconds_of(samples, rate):  # so that other requests are answered in between
            if service.stopping.is_set():
                raise Refused(503, "stopping", "the service stops")
            results = await worker.run(partial(live.push, piece, rate))
            if results:
                await socket.send_json({"results": [result.to_dict() for result in results]})


def _seconds_of(samples: np.ndarray, rate: Any) -> Iterator[np.ndarray]:
    """Pieces of at most a second."""
    size = max(int(rate), 1)
    return (samples[first : first + size] for first in range(0, len(samples), size))


async def _next_message(socket: WebSocket, service: Service) -> Mapping[str, Any]:
    """The next message of a stream. If the client sends nothing for a long time, the stream is closed."""
    try:
        message = await asyncio.wait_for(socket.receive(), service.limits.patience)
    except TimeoutError:
        message_text = f"nothing was sent for {service.limits.patience:g} s, so the stream is closed"
        raise Refused(408, "timeout", message_text) from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    return message


async def _first_message(socket: WebSocket, service: Service) -> Mapping[str, Any]:
    """The settings of a stream."""
    allowed = {"labels", "sampling_rate", "window", "hop"}
    settings = json.loads((await _next_message(socket, service)).get("text") or "null")
    if not isinstance(settings, Mapping) or set(settings) - allowed or "sampling_rate" not in settings:
        raise InputError(f"the first message is JSON with sampling_rate and any of {', '.join(sorted(allowed))}")
    return settings
