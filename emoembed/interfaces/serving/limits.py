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

    Args:
        app: the application.
        most: bytes of a request.
        most_json: bytes of a request that is not a form.
    """

    def __init__(self, app: App, most: int, most_json: int) -> None:
        self.app, self.most, self.most_json = app, most, most_json

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Count the bytes of the body. An answer that has begun is not replaced."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        count, begun, refused = 0, False, False
        headers = dict(scope["headers"])
        most = self.most if headers.get(b"content-type", b"").startswith(b"multipart/") else self.most_json

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
            await self._refuse(send, most)
            return
        try:
            await self.app(scope, counted, noted)
        except TooLarge:
            refused = True
        if refused and not begun:
            await self._refuse(send, most)

    async def _refuse(self, send: Send, most: int) -> None:
        text = f'{{"error": "too-large", "message": "this request holds at most {most / 1e6:g} MB"}}'.encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": text})
