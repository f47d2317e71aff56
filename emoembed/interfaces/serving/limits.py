"""The limits of the web service, and a check of requests before and while their bodies arrive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """The limits of the service. A request beyond a limit gets a 4xx answer that names the limit.

    Attributes:
        megabytes: size of a request with files.
        json_megabytes: size of a request with texts.
        texts: number of texts in a request.
        characters: length of a text.
        labels: number of labels in a request.
        label_characters: length of all labels and their descriptions.
        seconds: length of a recording or film.
        waiting: number of requests that are received, in progress or waiting; further requests get 429.
        patience: seconds after which a request that has not arrived or was not answered gets 408, and after which a
            silent stream is closed.
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


class Unread(Exception):
    """The body of a request is larger than the limit, or does not arrive."""


class LimitedBody:
    """ASGI middleware: a request whose body is too large gets 413, whatever length it declares.

    While the service is full, a request gets 429 before its body is read. A body that does not arrive in time gets 408.

    Args:
        app: the application.
        most: bytes of a request.
        most_json: bytes of a request that is not a form.
        waiting: number of requests that may be read, in progress or waiting.
        patience: seconds in which a body must arrive.
    """

    def __init__(self, app: App, most: int, most_json: int, waiting: int, patience: float) -> None:
        self.app, self.most, self.most_json = app, most, most_json
        self.waiting, self.patience, self.open = waiting, patience, 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Limit the requests that are open, of those with a body."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
        elif self.open >= self.waiting:
            await _refuse(send, 429, "too-many-requests", "the service is full; try again later")
        else:
            self.open += 1
            try:
                await self._limit_body(scope, receive, send)
            finally:
                self.open -= 1

    async def _limit_body(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Count the bytes of the body. An answer that has begun is not replaced."""
        count, begun, complete = 0, False, False
        refusal: tuple[int, str, str] | None = None
        ends = asyncio.get_running_loop().time() + self.patience
        headers = dict(scope["headers"])
        most = self.most if headers.get(b"content-type", b"").startswith(b"multipart/") else self.most_json

        too_large = 413, "too-large", f"this request holds at most {most / 1e6:g} MB"
        too_slow = 408, "timeout", f"the request did not arrive within {self.patience:g} s"

        async def counted() -> Message:
            nonlocal count, complete, refusal
            if complete:  # the next message is that the client has gone, which may take long
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(ends - asyncio.get_running_loop().time(), 0.0))
            except TimeoutError:
                refusal = too_slow
                raise Unread from None
            complete = not message.get("more_body", False)
            count += len(message.get("body", b""))
            if count > most:
                refusal = too_large
                raise Unread
            return message

        async def noted(message: Message) -> None:
            nonlocal begun
            if refusal and not begun:  # the application has answered the broken body; the answer is replaced below
                return
            begun = True
            await send(message)

        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            await _refuse(send, *too_large)
            return
        with suppress(Unread):
            await self.app(scope, counted, noted)
        if refusal and not begun:
            await _refuse(send, *refusal)


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    """Answer a request whose body is not read to its end."""
    content = json.dumps({"error": code, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers += [(b"connection", b"close"), *([(b"retry-after", b"2")] if status == 429 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
