"""The limits of the web service, and a check of the size of requests that counts bytes as they arrive."""

from __future__ import annotations

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
        megabytes: size of a request.
        texts: number of texts in a request.
        characters: length of a text.
        labels: number of labels in a request.
        seconds: length of a recording or film.
        waiting: number of requests in work and waiting; more get 429.
        patience: seconds until a request that is not answered gets 408.
        streams: number of live streams at a time.
    """

    megabytes: float = 100.0
    texts: int = 256
    characters: int = 20_000
    labels: int = 200
    seconds: float = 7200.0
    waiting: int = 128
    patience: float = 120.0
    streams: int = 16


class TooLarge(Exception):
    """The body of a request is larger than the limit."""


class LimitedBody:
    """ASGI middleware: a request whose body is larger than `most` bytes gets 413, whatever length it declares."""

    def __init__(self, app: App, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Count the bytes of the body. An answer that has begun is not replaced."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        count, begun, refused = 0, False, False

        async def counted() -> Message:
            nonlocal count, refused
            message = await receive()
            count += len(message.get("body", b""))
            if count > self.most:
                refused = True
                raise TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            if refused and not begun:  # the application has answered the broken body; the answer is replaced below
                return
            begun = True
            await send(message)

        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.most:
            await self._refuse(send)
            return
        try:
            await self.app(scope, counted, noted)
        except TooLarge:
            refused = True
        if refused and not begun:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        text = f'{{"error": "too-large", "message": "a request holds at most {self.most / 1e6:g} MB"}}'.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": text})
