import asyncio
import io
import json
import threading
import time

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi", reason="the service needs the extra serve")
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from emoembed.errors import CheckpointError
from emoembed.features.media_files import Tracks
from emoembed.interfaces.serving.app import create_app
from emoembed.interfaces.serving.batching import Worker
from emoembed.interfaces.serving.limits import LimitedBody, Limits
from emoembed.prediction.public import load
from emoembed.prediction.recognizer import Recognizer

LABELS = ["joy", "anger", "awe"]
RATE = 16_000


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


@pytest.fixture
def client_of(recognizer):
    clients = []

    def make(limits=None, load=None):
        client = TestClient(create_app(load or (lambda: recognizer), limits))
        client.__enter__()
        clients.append(client)
        if load is None:
            wait_until(lambda: client.get("/health").status_code == 200)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(client_of):
    return client_of()


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def wav(samples):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_texts_are_answered_as_predict_answers_them(client, recognizer):
    answer = client.post("/predict", json={"text": ["so merry", "so cross"], "labels": LABELS}).json()
    expected = recognizer.predict(["so merry", "so cross"], labels=LABELS)
    for answered, result in zip(answer["results"], expected, strict=True):
        assert answered["label"] == result.label
        assert answered["scores"] == pytest.approx(result.scores, abs=1e-5)
    one = client.post("/predict", json={"text": "so merry", "labels": {"joy": "a merry feeling", "awe": "wonder"}})
    assert len(one.json()["results"]) == 1


def test_files_are_answered_together(client, recognizer, voice):
    samples = voice(1.0)
    files = {"audio": ("../../x.wav", wav(samples), "audio/wav")}
    answer = client.post("/predict/files", files=files, data={"text": "so merry", "labels": "joy,anger,awe"}).json()
    expected = recognizer.predict("so merry", (samples, RATE), labels=LABELS)
    assert answer["result"]["scores"] == pytest.approx(expected.scores, abs=1e-3)


def test_a_form_may_ask_to_withhold_unsure_answers(client_of):
    client = client_of(load=lambda: load("base"))
    wait_until(lambda: client.get("/health").status_code == 200)
    form = {"text": "The bus leaves at nine.", "labels": "joy,anger"}
    for abstain in ({}, {"abstain": "true"}, {"abstain": "0.05"}):
        answer = client.post("/predict/files", data={**form, **abstain}).json()["result"]
        assert answer["abstained"] is bool(abstain)
    refused = client.post("/predict/files", data={**form, "abstain": "0.9"})
    assert (refused.status_code, refused.json()["error"]) == (422, "unusable-input")


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("/predict/files", {"text": "so merry", "lables": "joy"}, "there is no field 'lables'; the fields are audio,"),
        ("/predict/files", {"text": "so merry", "labels": ["joy", "awe"]}, "the field labels is given more than once"),
        ("/timeline", {"windows": "2"}, "there is no field 'windows'; the fields are recording, labels, window,"),
    ],
)
def test_a_form_with_a_wrong_field_is_refused(client, voice, path, fields, message):
    files = {"recording": wav(voice(1.0))} if path == "/timeline" else None
    refused = client.post(path, data=fields, files=files)
    assert (refused.status_code, refused.json()["error"]) == (422, "invalid-request")
    assert message in refused.json()["message"]


def test_a_recording_has_a_timeline(client, voice):
    answer = client.post("/timeline", files={"recording": wav(voice(6.0))}, data={"labels": "joy,anger", "window": "2"})
    assert [window["start"] for window in answer.json()["windows"]] == [0, 1, 2, 3, 4]
    assert answer.json()["summary"]["windows"] == 5


def test_labels_and_the_page_of_the_interface_are_there(client):
    assert "awe" in client.get("/labels").json()["described"]
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/predict", "/predict/files", "/timeline", "/labels", "/health", "/metrics"} <= set(paths)
    assert client.get("/docs").status_code == 200


def test_requests_are_counted_by_path_and_status(client):
    client.post("/predict", json={"text": "so merry", "labels": LABELS})
    client.post("/predict", json={"text": []})
    metrics = client.get("/metrics").text
    assert 'emoembed_requests_total{path="/predict",status="200"} 1.0' in metrics
    assert 'emoembed_requests_total{path="/predict",status="422"} 1.0' in metrics
    assert "emoembed_request_seconds_bucket" in metrics


def test_the_service_is_not_ready_before_the_model_has_answered(client_of, recognizer):
    gate = threading.Event()
    client = client_of(load=lambda: gate.wait(20) and recognizer)
    assert client.get("/health").status_code == 503
    refused = client.post("/predict", json={"text": "so merry"})
    assert (refused.status_code, refused.json()["error"]) == (503, "not-ready")
    assert refused.headers["retry-after"]
    gate.set()
    wait_until(lambda: client.get("/health").status_code == 200)
    assert client.post("/predict", json={"text": "so merry", "labels": LABELS}).status_code == 200


SMALL = Limits(megabytes=0.2, json_megabytes=0.1, texts=2, characters=20, labels=3, label_characters=99, seconds=2.0)


@pytest.mark.parametrize(
    ("request_of", "status", "error"),
    [
        ({"json": {"text": ["a", "b", "c"]}}, 413, "too-many-texts"),
        ({"json": {"text": "so merry " * 9}}, 413, "text-too-long"),
        ({"json": {"text": "so merry", "labels": ["joy", "awe", "fear", "anger"]}}, 422, "too-many-labels"),
        ({"json": {"text": "so merry", "labels": {"joy": "a" * 200}}}, 422, "labels-too-long"),
        ({"json": {"text": "so merry", "labels": []}}, 422, "unusable-input"),
        ({"json": {"text": "so merry", "labels": ["joy", "happiness"]}}, 422, "unusable-input"),
        ({"json": {"text": "so merry", "abstain": 3}}, 422, "unusable-input"),
        ({"json": {"text": 3}}, 422, "invalid-request"),
        ({"json": {"text": "so merry", "lables": ["joy", "awe"]}}, 422, "invalid-request"),
        ({"json": {"text": "so merry", "candidate_labels": ["joy", "awe"]}}, 422, "invalid-request"),
        ({"json": {}}, 422, "invalid-request"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "invalid-request"),
        ({"content": b" " * 300_000, "headers": {"content-type": "application/json"}}, 413, "too-large"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client_of, request_of, status, error):
    answer = client_of(SMALL).post("/predict", **request_of)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["message"]


def test_a_body_without_a_declared_length_is_counted(client_of):
    def pieces():
        for _ in range(30):
            yield b" " * 10_000

    answer = client_of(SMALL).post("/predict", content=pieces(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (413, "too-large")


def test_bad_files_are_told_what_is_wrong(client_of, voice):
    client = client_of(SMALL)
    long = client.post("/timeline", files={"recording": wav(voice(3.0))})
    assert (long.status_code, long.json()["error"]) == (413, "too-long")
    broken = client.post("/predict/files", files={"audio": b"not a sound" * 99})
    assert (broken.status_code, broken.json()["error"]) == (422, "unusable-input")
    nothing = client.post("/predict/files", data={"labels": "joy"})
    assert (nothing.status_code, nothing.json()["error"]) == (422, "no-input")
    assert client.get("/gone").json()["error"] == "http"


def test_too_many_requests_at_a_time_and_slow_answers_are_refused(client_of, recognizer, monkeypatch):
    gate = threading.Event()
    client = client_of(Limits(waiting=1, patience=1.0))
    worker = client.app.state.service.worker
    monkeypatch.setattr(worker.recognizer, "predict", lambda *_, **__: gate.wait(20) and [])
    answers = []
    first = threading.Thread(target=lambda: answers.append(client.post("/predict", json={"text": "so merry"})))
    first.start()
    wait_until(lambda: client.app.state.service.in_work == 1)
    refused = client.post("/predict", json={"text": "so merry"})
    assert (refused.status_code, refused.json()["error"]) == (429, "too-many-requests")
    first.join()
    gate.set()
    assert (answers[0].status_code, answers[0].json()["error"]) == (408, "timeout")


def test_a_timeline_stops_when_its_request_has_ended(client_of, voice):
    client = client_of(Limits(patience=0.5))
    worker = client.app.state.service.worker
    seconds = []

    def slow(_, __, progress, **settings):
        for clock in range(1000):
            seconds.append(clock)
            time.sleep(0.05)
            progress(float(clock))

    worker.recognizer.timeline = slow
    assert client.post("/timeline", files={"recording": wav(voice(1.0))}).json()["error"] == "timeout"
    wait_until(lambda: client.post("/predict", json={"text": "so merry", "labels": LABELS}).status_code == 200)
    assert len(seconds) < 100


def test_a_model_that_cannot_be_loaded_is_reported(client_of, capsys):
    def fail():
        raise CheckpointError("no model here")

    client = client_of(load=fail)
    wait_until(lambda: "fault" in client.get("/health").json())
    assert client.get("/health").status_code == 503
    assert "no model here" in client.post("/predict", json={"text": "so merry"}).json()["message"]
    assert "no model here" in capsys.readouterr().err


def test_an_unexpected_error_is_json_and_counted(client_of, recognizer):
    client = client_of()
    client.app.state.service.worker.recognizer.predict = lambda *_, **__: 1 / 0
    quiet = TestClient(client.app, raise_server_exceptions=False)
    answer = quiet.post("/predict", json={"text": "so merry", "labels": LABELS})
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert 'status="500"' in client.get("/metrics").text


def test_texts_that_wait_together_are_one_batch(recognizer, monkeypatch):
    sizes = []
    predict = recognizer.predict
    monkeypatch.setattr(recognizer, "predict", lambda texts, **rest: sizes.append(len(texts)) or predict(texts, **rest))

    async def ask():
        worker = Worker(recognizer)
        jobs = [worker.predict_texts([f"so merry {i}"], LABELS, {}) for i in range(20)]
        other = worker.predict_texts(["so cross"], ["joy", "anger"], {})
        results = await asyncio.gather(*jobs, other)
        await worker.close()
        return results

    results = asyncio.run(ask())
    assert sizes == [20, 1]
    assert set(results[-1][0].scores) == {"joy", "anger"}
    alone = predict("so merry 7", labels=LABELS)
    assert results[7][0].scores == pytest.approx(alone.scores, abs=1e-5)


def test_an_error_of_one_batch_does_not_stop_the_next(recognizer):
    async def ask():
        worker = Worker(recognizer)
        wrong = worker.predict_texts(["so merry"], ["joy", "joy"], {})
        right = worker.predict_texts(["so merry"], LABELS, {})
        responses = await asyncio.gather(wrong, right, return_exceptions=True)
        await worker.close()
        return responses

    wrong, right = asyncio.run(ask())
    assert "are the same emotion" in str(wrong)
    assert right[0].label in LABELS


def test_live_sound_is_answered_as_windows_fill(client, recognizer, voice):
    samples = (voice(5.0) * 32767).astype("<i2")
    with client.websocket_connect("/stream") as socket:
        socket.send_text(json.dumps({"labels": LABELS, "sampling_rate": RATE, "window": 2.0, "hop": 2.0}))
        for i in range(0, len(samples), 8000):
            socket.send_bytes(samples[i : i + 8000].tobytes())
        socket.send_text("end")
        messages = []
        while not (messages and messages[-1].get("end")):
            messages.append(socket.receive_json())
    windows = [window for message in messages for window in message["results"]]
    assert [(window["start"], window["end"]) for window in windows] == [(0, 2), (2, 4), (4, 5)]
    alone = recognizer.predict(audio=(samples[: 2 * RATE], RATE), labels=LABELS)
    assert windows[0]["scores"] == pytest.approx(alone.scores, abs=1e-4)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["not json"], "Expecting value"),
        ([b"bytes"], "the first message is JSON"),
        ([json.dumps({"sampling_rate": RATE, "labels": 5})], "labels are a list of names"),
        ([json.dumps({"sampling_rate": RATE, "labels": LABELS, "window": None})], "window must be a number"),
        ([json.dumps({"sampling_rate": "16k", "labels": LABELS})], "sampling_rate is a number"),
        (['{"sampling_rate": Infinity}'], "sampling_rate is a number"),
        ([json.dumps({"sampling_rate": RATE, "window": 30, "hop": 0.25})], "hop must be at least window / 8"),
        ([json.dumps({"labels": LABELS})], "the first message is JSON with sampling_rate"),
        ([json.dumps({"sampling_rate": RATE, "colour": 1})], "the first message is JSON"),
        ([json.dumps({"sampling_rate": 3, "labels": LABELS}), b"\0\0"], "needs its sampling_rate"),
        ([json.dumps({"sampling_rate": RATE, "labels": LABELS}), b"\0"], "two bytes each; given 1 bytes"),
        ([json.dumps({"sampling_rate": RATE, "labels": LABELS}), "stop"], "a text message after the first is 'end'"),
    ],
)
def test_a_wrong_message_ends_a_stream_with_the_reason(client, messages, expected):
    with client.websocket_connect("/stream") as socket:
        for message in messages:
            socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message)
        assert expected in socket.receive_json()["message"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_a_stream_that_sends_nothing_is_closed(client_of):
    with client_of(Limits(patience=0.3)).websocket_connect("/stream") as socket:
        assert "nothing was sent for 0.3 s" in socket.receive_json()["message"]


def test_streams_are_limited(client_of):
    client = client_of(Limits(streams=1))
    with client.websocket_connect("/stream"):
        wait_until(lambda: client.app.state.service.open_streams == 1)
        with client.websocket_connect("/stream") as second:
            with pytest.raises(WebSocketDisconnect) as ended:
                second.receive_json()
            assert ended.value.code == 1013
    wait_until(lambda: client.app.state.service.open_streams == 0)


def test_samples_of_silence_are_no_error(client):
    with client.websocket_connect("/stream") as socket:
        socket.send_text(json.dumps({"labels": LABELS, "sampling_rate": RATE, "window": 1.0, "hop": 1.0}))
        socket.send_bytes(np.zeros(RATE, "<i2").tobytes())
        assert socket.receive_json()["results"][0]["label"] is None


def post_to(limited, receive, sent):
    """A POST to a middleware: what it sends is collected in `sent`."""

    async def send(message):
        sent.append(message)

    return limited({"type": "http", "method": "POST", "headers": []}, receive, send)


async def read_body(scope, receive, send):
    """An application that reads a body to its end and answers."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def test_a_full_service_refuses_an_upload_before_reading_it():
    first, second = [], []

    async def both():
        arrived = asyncio.Event()

        async def waiting():
            await arrived.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def unread():
            raise AssertionError("the body was read")

        limited = LimitedBody(read_body, most=1000, most_json=1000, waiting=1, patience=9.0)
        pending = asyncio.create_task(post_to(limited, waiting, first))
        await asyncio.sleep(0)
        await post_to(limited, unread, second)
        arrived.set()
        await pending

    asyncio.run(both())
    assert (first[0]["status"], second[0]["status"]) == (200, 429)
    assert json.loads(second[1]["body"])["error"] == "too-many-requests"


def test_a_body_that_does_not_arrive_is_not_awaited_for_ever():
    sent = []

    async def half():
        if not sent_pieces:
            sent_pieces.append(1)
            return {"type": "http.request", "body": b"a", "more_body": True}
        return await asyncio.sleep(60)

    sent_pieces = []
    asyncio.run(post_to(LimitedBody(read_body, most=1000, most_json=1000, waiting=1, patience=0.1), half, sent))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"] == "timeout"


def test_a_long_message_of_a_stream_is_scored_in_pieces_of_a_second(client, recognizer, monkeypatch):
    pushed = []

    class Live:
        def push(self, samples, rate):
            pushed.append(len(samples))
            return []

        def finish(self):
            return []

    monkeypatch.setattr(client.app.state.service.worker.recognizer, "stream", lambda *_, **__: Live())
    with client.websocket_connect("/stream") as socket:
        socket.send_text(json.dumps({"labels": LABELS, "sampling_rate": RATE}))
        socket.send_bytes(np.zeros(RATE * 5 // 2, "<i2").tobytes())
        socket.send_text("end")
        assert socket.receive_json()["end"]
    assert pushed == [RATE, RATE, RATE // 2]


def test_a_refused_request_is_counted_at_its_path(client_of):
    client = client_of(SMALL)
    client.post("/predict", content=b" " * 300_000, headers={"content-type": "application/json"})
    client.post("/elsewhere")
    metrics = client.get("/metrics").text
    assert 'emoembed_requests_total{path="other",status="404"} 1.0' in metrics


def test_a_long_film_is_sent_to_the_timeline(client, monkeypatch):
    monkeypatch.setattr("emoembed.interfaces.serving.service.tracks_of", lambda _: Tracks(True, True, 301.0))
    answer = client.post("/predict/files", files={"video": b"a film"})
    assert (answer.status_code, answer.json()["error"]) == (413, "too-long")
    assert "send longer films to /timeline" in answer.json()["message"]
