"""The web application: texts, files and live sound in, scores by label name out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from emoembed import __version__
from emoembed.errors import EmoembedError
from emoembed.features import picture_files
from emoembed.interfaces.serving.limits import LimitedBody, Limits
from emoembed.interfaces.serving.live import add_stream
from emoembed.interfaces.serving.service import Refused, Service
from emoembed.labels.emotion import names_in, table
from emoembed.prediction.recognizer import Recognizer

DISCLAIMER = (
    "Scores say how near a text, a voice or a face is to an emotion name. They do not say what a person feels. Do "
    "not use them to decide about people."
)


class Texts(BaseModel):
    """A request for texts: one text or a list, and the labels to score. Other fields are refused."""

    model_config = ConfigDict(extra="forbid")

    text: str | list[str] = Field(description="A text, or a list of texts.")
    labels: list[str] | dict[str, str | dict[str, Any]] | None = Field(
        None, description="Emotion names, or name -> description. By default the labels of the model."
    )
    multi_label: bool = Field(False, description="Give every label its own probability.")
    abstain: bool | float = Field(False, description="Withhold unsure answers; true, or the accepted share of errors.")


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
    most, most_json = (int(size * 1e6) for size in (service.limits.megabytes, service.limits.json_megabytes))
    waiting, patience = service.limits.waiting, service.limits.patience
    app.add_middleware(LimitedBody, most=most, most_json=most_json, waiting=waiting, patience=patience)
    _count_requests(app, service)
    _answer_errors(app)
    _add_predict(app, service)
    _add_files(app, service)
    _add_information(app, service)
    add_stream(app, service)
    return app


def _count_requests(app: FastAPI, service: Service) -> None:
    @app.middleware("http")
    async def count(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        begin = time.perf_counter()
        try:
            response = await proceed(request)
        except Exception:
            record(request, 500, begin)
            raise
        record(request, response.status_code, begin)
        return response

    def record(request: Request, status: int, begin: float) -> None:
        known = {getattr(route, "path", "") for route in app.routes}
        path = request.scope["path"] if request.scope["path"] in known else "other"
        service.requests.labels(path, str(status)).inc()
        service.seconds.labels(path).observe(time.perf_counter() - begin)


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
    fields = [Depends(_check_fields)]

    @app.post("/predict/files", summary="Score a recording, a face and a text, alone or together", dependencies=fields)
    async def predict_files(
        audio: Annotated[UploadFile | None, File(description="A sound file, or a film with sound.")] = None,
        video: Annotated[UploadFile | None, File(description="A film or a picture.")] = None,
        text: Annotated[str | None, Form(description="What is said.")] = None,
        labels: Annotated[str | None, Form(description="Emotion names, separated by commas.")] = None,
        multi_label: Annotated[bool, Form()] = False,
        abstain: Annotated[
            bool | float, Form(description="Withhold unsure answers; true, or a share of errors.")
        ] = False,
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
                await asyncio.to_thread(service.check_length if content is sound else service.check_film, content)
        options: dict[str, Any] = {"multi_label": multi_label, "abstain": abstain}
        film: Any = {"image": picture, "face": True} if face and picture else picture
        answer: dict[str, Any] = await service.compute(
            worker, lambda _: worker.recognizer.predict(text, sound, film, names, **options).to_dict()
        )
        return {"result": answer}

    @app.post("/timeline", summary="Score a long recording or film over time", dependencies=fields)
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
        """The default labels of the model, and the package's table of emotions. You can score any other name too."""
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


async def _check_fields(request: Request) -> None:
    """Refuse a field that the form does not have, such as a wrong spelling, and a field that is given twice."""
    fields = [field.alias for field in request.scope["route"].dependant.body_params]
    sent_fields = [name for name, _ in (await request.form()).multi_items()]
    wrong = next((name for name in sent_fields if name not in fields), None)
    if wrong is not None:
        raise Refused(422, "invalid-request", f"there is no field {wrong[:40]!r}; the fields are {', '.join(fields)}")
    twice = next((name for name in sent_fields if sent_fields.count(name) > 1), None)
    if twice is not None:
        raise Refused(422, "invalid-request", f"the field {twice} is given more than once; give it once")


def _names(labels: str | None) -> list[str] | None:
    """The names in a form field; None for the labels of the model."""
    return names_in(labels or "") or None
