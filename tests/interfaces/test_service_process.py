"""`emoembed serve` as a process of its own, asked by HTTP and WebSocket clients over the network."""

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
import soundfile

pytest.importorskip("fastapi", reason="the service needs the extra serve")
pytest.importorskip("httpx2")
pytest.importorskip("websockets")
import httpx2
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import emoembed

LABELS = ["relief", "anger", "awe"]
RATE = 16_000


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def service(*options):
    """A process that serves, when it is ready: the process and its address."""
    port = free_port()
    call = [sys.executable, "-m", "emoembed", "serve", "--quiet", "--port", str(port), *options]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: is_ready(port) or process.poll() is not None)
        yield process, f"127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def wait_until(condition, seconds=240):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return json.load(answer)["ready"]
    except OSError:  # nothing listens yet, or the status is 503
        return False


@pytest.fixture(scope="module")
def address():
    limits = ["--max-megabytes", "1", "--max-texts", "3", "--max-seconds", "8", "--max-waiting", "64"]
    with service(*limits) as (_, where):
        yield where


@pytest.fixture
def client(address):
    with httpx2.Client(base_url=f"http://{address}", timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def recognizer():
    return emoembed.load("base")


def wav(samples):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_texts_are_answered_as_predict_answers_them(client, recognizer):
    texts = ["The scan was clear, I could breathe again.", "How dare you!"]
    answer = client.post("/predict", json={"text": texts, "labels": LABELS})
    assert answer.status_code == 200
    for answered, result in zip(answer.json()["results"], recognizer.predict(texts, labels=LABELS), strict=True):
        assert answered["label"] == result.label
        assert answered["scores"] == pytest.approx(result.scores, abs=1e-5)


def test_a_client_of_the_standard_library_is_answered(address):
    body = json.dumps({"text": "How dare you!", "labels": LABELS}).encode()
    request = urllib.request.Request(f"http://{address}/predict", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["results"][0]["label"] == "anger"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://{address}/predict", timeout=60)
    assert refused.value.code == 405
    refused.value.close()


def test_uploaded_files_are_answered_together(client, recognizer, voice):
    sound, form = wav(voice(2.0)), {"text": "How dare you!", "labels": ",".join(LABELS)}
    answer = client.post("/predict/files", files={"audio": ("../../call.wav", sound, "audio/wav")}, data=form)
    expected = recognizer.predict("How dare you!", sound, labels=LABELS)
    assert set(answer.json()["result"]["modalities"]) == {"text", "audio"}
    assert answer.json()["result"]["scores"] == pytest.approx(expected.scores, abs=1e-4)


def test_a_recording_has_a_timeline(client, voice):
    form = {"labels": ",".join(LABELS), "window": "2", "hop": "2"}
    answer = client.post("/timeline", files={"recording": wav(voice(6.0))}, data=form).json()
    assert [(window["start"], window["end"]) for window in answer["windows"]] == [(0, 2), (2, 4), (4, 6)]
    assert answer["summary"]["windows"] == 3


def test_the_service_describes_itself(client):
    assert client.get("/health").json() == {"ready": True, "version": emoembed.__version__}
    assert "nostalgia" in client.get("/labels").json()["described"]
    assert "/openapi.json" in client.get("/docs").text
    assert {"/predict", "/predict/files", "/timeline"} <= set(client.get("/openapi.json").json()["paths"])
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'emoembed_requests_total{path="/health",status="200"}' in metrics.text


def test_live_sound_is_answered_before_it_ends(address, recognizer, voice):
    samples = (voice(5.0) * 32767).astype("<i2")
    with connect(f"ws://{address}/stream", open_timeout=60) as stream:
        stream.send(json.dumps({"labels": LABELS, "sampling_rate": RATE, "window": 2.0, "hop": 2.0}))
        stream.send(samples[: 2 * RATE].tobytes())
        first = json.loads(stream.recv(timeout=60))["results"]
        for i in range(2 * RATE, len(samples), 8000):
            stream.send(samples[i : i + 8000].tobytes())
        stream.send("end")
        rest = [window for message in stream for window in json.loads(message)["results"]]
    assert [(window["start"], window["end"]) for window in first + rest] == [(0, 2), (2, 4), (4, 5)]
    alone = recognizer.predict(audio=(samples[: 2 * RATE], RATE), labels=LABELS)
    assert first[0]["scores"] == pytest.approx(alone.scores, abs=1e-4)


def test_a_wrong_message_ends_a_stream_with_the_reason(address):
    with connect(f"ws://{address}/stream", open_timeout=60) as stream:
        stream.send("not json")
        assert json.loads(stream.recv(timeout=60))["error"] == "unusable-input"
        with pytest.raises(ConnectionClosed) as ended:
            stream.recv(timeout=60)
    assert ended.value.rcvd.code == 1008


@pytest.mark.parametrize(
    ("path", "request_of", "status", "error"),
    [
        ("/predict", {"json": {"text": ["a"] * 4}}, 413, "too-many-texts"),
        ("/predict", {"json": {"text": "a" * 20_001}}, 413, "text-too-long"),
        ("/predict", {"json": {"text": "a", "labels": ["joy", "happy"]}}, 422, "unusable-input"),
        ("/predict", {"json": {"text": "a", "lables": ["joy"]}}, 422, "invalid-request"),
        ("/predict", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "invalid-request"),
        ("/predict/files", {"data": {"labels": "joy"}}, 422, "no-input"),
        ("/predict/files", {"files": {"audio": b"not a sound" * 99}}, 422, "unusable-input"),
        ("/predict/files", {"files": {"audio": b"0" * 1_100_000}}, 413, "too-large"),
        ("/timeline", {"files": {"recording": wav([0.0] * 9 * RATE)}}, 413, "too-long"),
        ("/nowhere", {"json": {}}, 404, "http"),
    ],
)
def test_a_bad_request_gets_a_4xx_with_the_reason(client, path, request_of, status, error):
    answer = client.post(path, **request_of)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert answer.json()["message"]


def test_requests_that_arrive_together_are_all_answered(address):
    answers = []

    def ask(number):
        body = {"text": f"I am so happy about number {number}!", "labels": LABELS}
        answers.append(httpx2.post(f"http://{address}/predict", json=body, timeout=60).status_code)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 16


def test_a_service_that_is_told_to_stop_answers_the_request_in_work_and_ends_without_error():
    texts = [f"Number {number}: " + "we are so happy to see you. " * 20 for number in range(40)]
    answers = []
    with service("--model", "text-permissive") as (process, where):

        def ask():
            answers.append(httpx2.post(f"http://{where}/predict", json={"text": texts, "labels": LABELS}, timeout=60))

        client = threading.Thread(target=ask)
        client.start()
        wait_until(lambda: "emoembed_requests_in_work 1.0" in httpx2.get(f"http://{where}/metrics").text)
        process.send_signal(signal.SIGTERM)
        client.join()
        assert process.wait(30) == 0
    assert [answer.status_code for answer in answers] == [200]
    assert len(answers[0].json()["results"]) == len(texts)


def test_an_idle_service_ends_without_error_when_it_is_told_to_stop():
    with service("--model", "text-permissive") as (process, where):
        with connect(f"ws://{where}/stream", open_timeout=60) as stream:  # an open stream does not hold it up
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as ended:
                stream.recv(timeout=30)
        assert process.wait(30) == 0
    assert ended.value.rcvd.code == 1012


def test_a_port_that_is_taken_is_told_with_the_exit_code_of_a_failed_command(address):
    call = [sys.executable, "-m", "emoembed", "serve", "--port", address.split(":")[1]]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 2
    assert "cannot be used; choose another with --port" in done.stderr
