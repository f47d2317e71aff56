"""The state of the web service: the model, what a request may hold, and the counts for `/metrics`."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from emoembed.errors import InputError
from emoembed.features.media_files import tracks_of
from emoembed.interfaces.serving.batching import Worker
from emoembed.interfaces.serving.limits import Limits
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.cache import LOOKED_AT

WARM_UP = "We made it home, and I am so glad."


class Refused(Exception):
    """A request that is refused: an HTTP status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Service:
    """The state of the application: the model, the limits, and the counts for `/metrics`."""

    def __init__(self, load: Callable[[], Recognizer], limits: Limits) -> None:
        self.load, self.limits = load, limits
        self.worker: Worker | None = None
        self.fault = ""
        self.stopping = threading.Event()
        self.in_work = 0
        self.registry = CollectorRegistry()
        self.requests = Counter("emoembed_requests", "Requests", ["path", "status"], registry=self.registry)
        self.seconds = Histogram("emoembed_request_seconds", "Seconds per request", ["path"], registry=self.registry)
        self.waiting = Gauge("emoembed_requests_in_work", "Requests in progress and waiting", registry=self.registry)
        self.streams = Gauge("emoembed_streams", "Live streams", registry=self.registry)
        self.open_streams = 0

    async def start(self) -> None:
        """Load the model and answer one text, so that the first request is not slow. An error is kept and printed."""
        try:
            recognizer = await asyncio.to_thread(self.load)
            worker = Worker(recognizer)
            if "text" in recognizer.model.modalities:
                await worker.predict_texts([WARM_UP], None if recognizer.labels else ["joy", "anger"], {})
            self.worker = worker
        except Exception as error:
            self.fault = f"the model could not be loaded: {error}"
            print(f"emoembed: {self.fault}", file=sys.stderr, flush=True)

    def ready(self) -> Worker:
        """The worker. Raises Refused before the model is loaded."""
        if self.worker is None:
            waiting = "the model is being loaded; try again in a few seconds"
            raise Refused(503, "not-ready", self.fault or waiting)
        return self.worker

    async def limited(self, task: Awaitable[Any]) -> Any:
        """Await a task within the limit of time. `LimitedBody` limits the number of requests."""
        self.in_work += 1
        self.waiting.set(self.in_work)
        try:
            return await asyncio.wait_for(task, self.limits.patience)
        except TimeoutError:
            message = f"the answer takes longer than {self.limits.patience:g} s; send less at a time"
            raise Refused(408, "timeout", message) from None
        finally:
            self.in_work -= 1
            self.waiting.set(self.in_work)

    async def compute(self, worker: Worker, task: Callable[[Callable[[float], None]], Any]) -> Any:
        """Run a task in the thread of the model, within the limits.

        The task receives a function that it calls with the seconds of the recording that it has read. The function
        raises Refused beyond the limit, and after the request has ended, so that no work continues without a client.
        """
        ended = threading.Event()

        def check(seconds: float) -> None:
            if ended.is_set() or self.stopping.is_set():
                raise Refused(408, "timeout", "the request has ended")
            if seconds > self.limits.seconds:
                raise Refused(413, "too-long", f"a recording has at most {self.limits.seconds:g} s")

        try:
            return await self.limited(worker.run(lambda: task(check)))
        finally:
            ended.set()

    def check_labels(self, labels: Any) -> None:
        """Refuse more or longer labels than the limits allow."""
        if labels is None:
            return
        if not isinstance(labels, list | dict):
            raise InputError(f"labels are a list of names, or name -> description; given {labels!r:.40}")
        if len(labels) > self.limits.labels:
            message = f"a request names at most {self.limits.labels} labels; given {len(labels)}"
            raise Refused(422, "too-many-labels", message)
        length = len(json.dumps(labels))
        if length > self.limits.label_characters:
            message = f"labels and descriptions have at most {self.limits.label_characters} characters; given {length}"
            raise Refused(422, "labels-too-long", message)

    def check_texts(self, texts: list[str]) -> None:
        """Refuse more or longer texts than the limits allow."""
        if not texts:
            raise Refused(422, "no-text", "give a text, or a list with at least one text")
        if len(texts) > self.limits.texts:
            message = f"a request holds at most {self.limits.texts} texts; given {len(texts)}"
            raise Refused(413, "too-many-texts", message)
        longest = max(map(len, texts))
        if longest > self.limits.characters:
            message = f"a text has at most {self.limits.characters} characters; given {longest}"
            raise Refused(413, "text-too-long", message)

    def check_film(self, content: bytes) -> None:
        """Refuse a film that is longer than what `predict` reads of a face: searching it would take long."""
        seconds = tracks_of(content).seconds
        most = min(LOOKED_AT, self.limits.seconds)
        if seconds is not None and seconds > most:
            message = f"a film has at most {most:g} s here; send longer films to /timeline; given {seconds:.0f} s"
            raise Refused(413, "too-long", message)

    def check_length(self, content: bytes) -> None:
        """Refuse a recording that is longer than the limit."""
        seconds = tracks_of(content).seconds
        if seconds is not None and seconds > self.limits.seconds:
            message = f"a recording has at most {self.limits.seconds:g} s; given {seconds:.0f} s"
            raise Refused(413, "too-long", message)
