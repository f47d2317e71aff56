"""The limits of the web service, and a check of requests before and while their bodies arrive."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """What the service accepts. A request beyond a limit gets a 4xx answer that names the limit.

    Attributes:
        megabytes: size of a request with files.
        json_megabytes: size of a request with texts.
        texts: number of texts in a request.
        characters: length of a text.
        labels: number of labels in a request.
        label_characters: length of all labels and their descriptions.
        seconds: length of a recording or film.
        waiting: number of requests in work and waiting; more get 429.
        patience: seconds until a request that is not answered gets 408, and until a silent stream is closed.
        streams: number of live streams at a time.
    """

    megabytes: float = 100.0
    json_megabytes: float = 8.0
    texts: int = 256
    characters: int = 20_000
    labels: int = 200
    label_characters: int = 50_000
    seconds: float = 7200.0
    waiting: int = 128
    patience: float = 120.0
    streams: int = 16


class TooLarge(Exception):
    """The body of a request is larger than the limit."""


class LimitedBody:
    """ASGI middleware: a request whose body is too large gets 413, whatever length it declares.

    While the service is full, a request gets 429 before its body is read.

    Args:
        app: the application.
        most: bytes of a request.
        most_json: bytes of a request that is not a form.
        is_full: whether as many requests are in work as the service accepts.
    """

    def __init__(self, app: App, most: int, most_json: int, is_full: Callable[[], bool]) -> None:
        self.app, self.most, self.most_json, self.is_full = app, most, most_json, is_full

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Count the bytes of the body. An answer that has begun is not replaced."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "POST" and self.is_full():
            await _refuse(send, 429, "too-many-requests", "the service is full; try again later")
            return
        count, begun, refused = 0, False, False
        headers = dict(scope["headers"])
        most = self.most if headers.get(b"content-type", b"").startswith(b"multipart/") else self.most_json

        too_large = f"this request holds at most {most / 1e6:g} MB"

        async def counted() -> Message:
            nonlocal count, refused
            message = await receive()
            count += len(message.get("body", b""))
            if count > most:
                refused = True
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            if refused and not begun:  # the application has answered the broken body; the answer is replaced below
                return
            begun = True
            await send(message)

        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            await _refuse(send, 413, "too-large", too_large)
            return
        try:
            await self.app(scope, counted, noted)
        except TooLarge:
            refused = True
        if refused and not begun:
            await _refuse(send, 413, "too-large", too_large)


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    """Answer a request whose body is not read to its end."""
    content = json.dumps({"error": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers += [(b"connection", b"close"), *([(b"retry-after", b"2")] if status == 429 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
