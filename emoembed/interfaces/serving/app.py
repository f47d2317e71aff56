"""The web application: texts, files and live sound in, scores by label name out."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import FastAPI, File, Form, Request, Response, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from emoembed import __version__
from emoembed.errors import EmoembedError, InputError
from emoembed.features import picture_files
from emoembed.features.media_files import tracks_of
from emoembed.interfaces.serving.batching import Worker
from emoembed.interfaces.serving.limits import LimitedBody, Limits
from emoembed.labels.emotion import table
from emoembed.prediction.recognizer import Recognizer

MOST_BYTES = 2_000_000
"""Bytes of a message of a live stream."""
WARM_UP = "We made it home, and I am so glad."
DISCLAIMER = (
    "Scores say how near a text, a voice or a face is to an emotion name. They do not say what a person feels, and are "
    "not fit to decide about people."
)


class Texts(BaseModel):
    """A request for texts: one text or a list, and the labels to score."""

    text: str | list[str] = Field(description="A text, or a list of texts.")
    labels: list[str] | dict[str, str | dict[str, Any]] | None = Field(
        None, description="Emotion names, or name -> description. By default the labels of the model."
    )
    multi_label: bool = Field(False, description="Give every label its own probability.")
    abstain: bool | float = Field(False, description="Withhold unsure answers; true, or the accepted share of errors.")


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
        self.waiting = Gauge("emoembed_requests_in_work", "Requests in work and waiting", registry=self.registry)
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
        """Await a task within the limits of requests in work and of time."""
        if self.in_work >= self.limits.waiting:
            if asyncio.iscoroutine(task):
                task.close()
            raise Refused(429, "too-many-requests", f"{self.in_work} requests are in work; try again later")
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
        raises Refused beyond the limit, and after the request has ended, so that no work goes on for nobody.
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
        """Refuse more labels, or longer ones, than the limits."""
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
        """Refuse more texts, or longer ones, than the limits."""
        if not texts:
            raise Refused(422, "no-text", "give a text, or a list with at least one text")
        if len(texts) > self.limits.texts:
            message = f"a request holds at most {self.limits.texts} texts; given {len(texts)}"
            raise Refused(413, "too-many-texts", message)
        longest = max(map(len, texts))
        if longest > self.limits.characters:
            message = f"a text has at most {self.limits.characters} characters; given {longest}"
            raise Refused(413, "text-too-long", message)

    def check_length(self, content: bytes) -> None:
        """Refuse a recording that is longer than the limit."""
        seconds = tracks_of(content).seconds
        if seconds is not None and seconds > self.limits.seconds:
            message = f"a recording has at most {self.limits.seconds:g} s; given {seconds:.0f} s"
            raise Refused(413, "too-long", message)


def create_app(load: Callable[[], Recognizer], limits: Limits | None = None) -> FastAPI:
    """The application.

    Args:
        load: returns the model. It is called once, when the application starts.
        limits: what requests may hold.
    """
    service = Service(load, limits or Limits())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.create_task(service.start())
        yield
        service.stopping.set()
        starting.cancel()
        if service.worker is not None:
            await service.worker.close()

    app = FastAPI(title="emoembed", version=__version__, description=DISCLAIMER, lifespan=lifespan)
    app.state.service = service
    sizes = {"most": service.limits.megabytes, "most_json": service.limits.json_megabytes}
    app.add_middleware(LimitedBody, **{name: int(size * 1e6) for name, size in sizes.items()})
    _count_requests(app, service)
    _answer_errors(app)
    _add_predict(app, service)
    _add_files(app, service)
    _add_information(app, service)
    _add_stream(app, service)
    return app


def _count_requests(app: FastAPI, service: Service) -> None:
    @app.middleware("http")
    async def count(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        begin = time.perf_counter()
        try:
            response = await proceed(request)
        except Exception:
            service.requests.labels("other", "500").inc()
            raise
        route = request.scope.get("route")
        path = getattr(route, "path", "other")
        service.requests.labels(path, str(response.status_code)).inc()
        service.seconds.labels(path).observe(time.perf_counter() - begin)
        return response


def _answer_errors(app: FastAPI) -> None:
    """Every error is JSON with a code for programs and a message for people."""

    def answer(status: int, code: str, message: str) -> JSONResponse:
        headers = {"Retry-After": "2"} if status in (429, 503) else None
        return JSONResponse({"error": code, "message": message}, status_code=status, headers=headers)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return answer(error.status, error.code, str(error))

    @app.exception_handler(EmoembedError)
    async def unusable(_: Request, error: EmoembedError) -> JSONResponse:
        return answer(422, "unusable-input", str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:5]]
        return answer(422, "invalid-request", "; ".join(faults))

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        return answer(500, "internal", f"an error of the service: {type(error).__name__}; see its log")

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, "http", str(error.detail))


def _add_predict(app: FastAPI, service: Service) -> None:
    @app.post("/predict", summary="Score texts")
    async def predict(request: Texts) -> dict[str, Any]:
        """Score emotion names for one text or many. Unusable texts get no label; `absent` says why."""
        worker = service.ready()
        texts = [request.text] if isinstance(request.text, str) else request.text
        service.check_texts(texts)
        service.check_labels(request.labels)
        options = {"multi_label": request.multi_label, "abstain": request.abstain}
        results = await service.limited(worker.predict_texts(texts, request.labels, options))
        return {"results": [result.to_dict() for result in results]}


def _add_files(app: FastAPI, service: Service) -> None:
    @app.post("/predict/files", summary="Score a recording, a face and a text, alone or together")
    async def predict_files(
        audio: Annotated[UploadFile | None, File(description="A sound file, or a film with sound.")] = None,
        video: Annotated[UploadFile | None, File(description="A film or a picture.")] = None,
        text: Annotated[str | None, Form(description="What is said.")] = None,
        labels: Annotated[str | None, Form(description="Emotion names, separated by commas.")] = None,
        multi_label: Annotated[bool, Form()] = False,
        face: Annotated[bool, Form(description="The picture shows only the face.")] = False,
    ) -> dict[str, Any]:
        """Score emotion names for one item, given as files. The names of the files are not used."""
        worker, names = service.ready(), _names(labels)
        service.check_labels(names)
        if text is not None:
            service.check_texts([text])
        sound = await audio.read() if audio is not None else None
        picture = await video.read() if video is not None else None
        if sound is None and picture is None and text is None:
            raise Refused(422, "no-input", "give any of audio, video and text")
        for content in (sound, picture):
            if content and not picture_files.is_picture(content):
                await asyncio.to_thread(service.check_length, content)
        film: Any = {"image": picture, "face": True} if face and picture else picture
        answer: dict[str, Any] = await service.compute(
            worker, lambda _: worker.recognizer.predict(text, sound, film, names, multi_label=multi_label).to_dict()
        )
        return {"result": answer}

    @app.post("/timeline", summary="Score a long recording or film over time")
    async def timeline(
        recording: Annotated[UploadFile, File(description="A sound file or a film.")],
        labels: Annotated[str | None, Form(description="Emotion names, separated by commas.")] = None,
        window: Annotated[float, Form(description="Length of a window in seconds.")] = 4.0,
        hop: Annotated[float | None, Form(description="Seconds from one window to the next.")] = None,
        segments: Annotated[Literal["windows", "speech"], Form()] = "windows",
        every_face: Annotated[bool, Form(description="Score each face.")] = False,
    ) -> dict[str, Any]:
        """The windows of a recording with their scores, the runs of one emotion, and a summary."""
        worker, names = service.ready(), _names(labels)
        service.check_labels(names)
        content = await recording.read()
        await asyncio.to_thread(service.check_length, content)
        settings: dict[str, Any] = {"window": window, "hop": hop, "segments": segments, "every_face": every_face}
        answer: dict[str, Any] = await service.compute(
            worker, lambda check: worker.recognizer.timeline(content, names, progress=check, **settings).to_dict()
        )
        return answer


def _add_information(app: FastAPI, service: Service) -> None:
    @app.get("/labels", summary="The emotions that the package describes")
    async def labels() -> dict[str, Any]:
        """The default labels of the model, and the table of described emotions. Any other name works too."""
        return {
            "default": list(service.ready().recognizer.labels),
            "described": {label.name: label.definition for label in table().values()},
        }

    @app.get("/health", summary="Whether the service is ready")
    async def health() -> JSONResponse:
        """200 when the model is loaded and has answered a text; 503 before."""
        is_ready = service.worker is not None
        fault = {"fault": service.fault} if service.fault else {}
        content = {"ready": is_ready, "version": __version__, **fault}
        return JSONResponse(content, status_code=200 if is_ready else 503)

    @app.get("/metrics", summary="Counts for Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(service.registry), media_type="text/plain; version=0.0.4")


def _add_stream(app: FastAPI, service: Service) -> None:
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
        results = await worker.run(partial(live.push, samples, rate)) if len(samples) else []
        if results:
            await socket.send_json({"results": [result.to_dict() for result in results]})


async def _next_message(socket: WebSocket, service: Service) -> Mapping[str, Any]:
    """The next message of a stream. A client that sends nothing for long loses it."""
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
    known = {"labels", "sampling_rate", "window", "hop"}
    settings = json.loads((await _next_message(socket, service)).get("text") or "null")
    if not isinstance(settings, Mapping) or set(settings) - known or "sampling_rate" not in settings:
        raise InputError(f"the first message is JSON with sampling_rate and any of {', '.join(sorted(known))}")
    return settings


def _names(labels: str | None) -> list[str] | None:
    """The names in a form field; None for the labels of the model."""
    names = [name.strip() for name in (labels or "").split(",") if name.strip()]
    return names or None
