"""Measure the web service: requests a second and waiting times, and a long mixed load with bad input.

    python benchmarks/serving.py [--minutes 30] [--output docs/serving]

The service runs in a process of its own. Each client is a thread that sends one request after another, one sentence
each with eight labels. Beside it are loops without a service, each in a process of its own, over the same sentences:

- `predict`.
- The zero-shot pipeline of transformers, with the text encoder of `base` and a new head of three classes. No model of
  natural language inference has this encoder, so its answers mean nothing. Its times are those of a trained head.
- The feature-extraction pipeline of transformers with this encoder, and cosines with the points of the names. This is
  the plain way to use a sentence encoder for zero-shot answers.

The memory of both pipelines includes that of `base`, from which they take the encoder.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import multiprocessing
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

import emoembed
from emoembed.evaluation.report import Report, write

SENTENCES = (
    "We made it home before the storm.",
    "He never called back, and I stopped waiting.",
    "I can't believe you kept that ticket.",
    "The meeting is at ten in room four.",
)
LABELS = ["joy", "anger", "fear", "sadness", "relief", "nostalgia", "awe", "neutral"]
JSON = "application/json"
BORDER = "between-two-fields"
FORM = f"multipart/form-data; boundary={BORDER}"
BAD_TEXTS = (
    b"{",
    b'{"text": 3}',
    b'{"text": "a", "labels": []}',
    b'{"text": "a", "labels": ["joy", "joy"]}',
    b'{"text": "a", "lables": ["joy"]}',
    json.dumps({"text": "so " * 30_000}).encode(),
    json.dumps({"text": ["a"] * 300}).encode(),
)
"""Bodies of requests that must be refused."""
Request = tuple[str, bytes, str]
"""The path, the body and the content type of a request."""


def form(**fields: str | bytes) -> bytes:
    """The body of a form. Bytes are files."""
    parts = []
    for name, value in fields.items():
        is_file = isinstance(value, bytes)
        head = f'--{BORDER}\r\ncontent-disposition: form-data; name="{name}"{"; filename=x" if is_file else ""}\r\n\r\n'
        parts.append(head.encode() + (value if isinstance(value, bytes) else value.encode()) + b"\r\n")
    return b"".join(parts) + f"--{BORDER}--\r\n".encode()


def voice(seconds: float) -> bytes:
    """A WAV file of a buzz whose pitch and loudness change. It passes for speech."""
    time_axis = np.arange(int(16_000 * seconds)) / 16_000
    file = io.BytesIO()
    samples = (150 * time_axis + 10 * np.sin(3 * time_axis)) % 1 * np.sin(9 * time_axis) ** 2
    soundfile.write(file, samples, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


NAMES = ",".join(LABELS)
GOOD_FORMS: tuple[Request, ...] = (
    ("/predict/files", form(audio=voice(2.0), labels=NAMES), FORM),
    ("/predict/files", form(audio=voice(2.0), text=SENTENCES[0], labels=NAMES), FORM),
    ("/timeline", form(recording=voice(6.0), labels=NAMES), FORM),
)
BAD_FORMS: tuple[Request, ...] = (
    ("/predict/files", form(audio=b"not a sound" * 999, labels=NAMES), FORM),
    ("/predict/files", form(labels=NAMES), FORM),
    ("/predict/files", form(text="a", lables=NAMES), FORM),
    ("/predict/files", voice(1.0), FORM),
    ("/timeline", form(recording=voice(2.0), window="0"), FORM),
    ("/nowhere", b"{}", JSON),
)
"""Forms that must be answered, and those that must be refused."""


@contextmanager
def service() -> Iterator[tuple[int, int]]:
    """A running service: its port and the id of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "emoembed", "serve", "--port", str(port), "--quiet"])
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                if send(port, "GET", ("/health", b"", JSON))[0] == 200:
                    break
            except OSError:
                time.sleep(0.2)
        else:
            raise SystemExit("the service did not become ready within two minutes")
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def send(port: int, method: str, request: Request) -> tuple[int, float]:
    """The status of the answer to one request, and the seconds it took."""
    path, body, kind = request
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, {"content-type": kind})
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - begin
    finally:
        connection.close()


def texts_of(texts: list[str]) -> Request:
    """A request for texts."""
    return "/predict", json.dumps({"text": texts, "labels": LABELS}).encode(), JSON


def summary(times: list[float], seconds: float) -> dict[str, float]:
    """Requests a second, and percentiles of the waiting times, of `times` in seconds."""
    shares = {f"p{share} ms": float(np.percentile(1000 * np.array(times), share)) for share in (50, 95, 99)}
    return {"requests a second": len(times) / seconds, **shares}


def load(port: int, clients: int, seconds: float) -> dict[str, float]:
    """Requests a second and waiting times of so many clients."""
    times: list[float] = []
    stop = time.monotonic() + seconds

    def work(client: int) -> None:
        count = client
        while time.monotonic() < stop:
            status, taken = send(port, "POST", texts_of([SENTENCES[count % len(SENTENCES)]]))
            if status != 200:
                raise ValueError(f"status {status}")
            times.append(taken)
            count += 1

    in_parallel(work, clients)
    return summary(times, seconds)


def mixed_request(generator: random.Random) -> tuple[Request, bool]:
    """A request with texts or files, and whether it must be answered: 7 in 10 must, and 1 in 10 has files."""
    good, has_files = generator.random() < 0.7, generator.random() < 0.1
    if has_files:
        return generator.choice(GOOD_FORMS if good else BAD_FORMS), good
    if good:
        return texts_of([generator.choice(SENTENCES)] * generator.randint(1, 8)), True
    return ("/predict", generator.choice(BAD_TEXTS), JSON), False


def mixed(port: int, process: int, minutes: float) -> dict[str, float]:
    """Good and bad requests of eight clients: the answers by kind, and how much the memory of the service grows."""
    for request in GOOD_FORMS:  # so that its libraries are loaded before the first measure of memory
        send(port, "POST", request)
    load(port, 8, min(20, 60 * minutes))
    before = memory(process)
    stop = time.monotonic() + 60 * minutes
    statuses: Counter[int] = Counter()
    wrong: Counter[str] = Counter()
    counting = threading.Lock()

    def work(client: int) -> None:
        generator = random.Random(client)
        while time.monotonic() < stop:
            request, good = mixed_request(generator)
            try:
                status = send(port, "POST", request)[0]
            except OSError:  # no answer at all
                status = 599
            with counting:
                statuses[status] += 1
                if (status == 200) != good:
                    wrong[f"{request[0]} {status}"] += 1

    in_parallel(work, 8)
    if wrong:
        print(f"answers of the wrong kind: {dict(wrong)}", flush=True)
    return {
        "minutes": minutes,
        "requests": sum(statuses.values()),
        "answered": statuses[200],
        "refused (4xx)": sum(count for status, count in statuses.items() if 400 <= status < 500),
        "other errors": sum(count for status, count in statuses.items() if status >= 500),
        "of the wrong kind": sum(wrong.values()),
        "growth of memory MB": memory(process) - before,
    }


def in_parallel(work: Callable[[int], None], clients: int) -> None:
    """Run `work(client)` in a thread for each client. An error of a thread is raised here."""
    with ThreadPoolExecutor(clients) as threads:
        for future in [threads.submit(work, client) for client in range(clients)]:
            future.result()


def memory(process: int) -> float:
    """The memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1000 if found else float("nan")


def predict() -> Callable[[str], Any]:
    """`predict` of the model, in this process."""
    model = emoembed.load("base")
    return lambda text: model.predict(text, labels=LABELS)


def transformers_encoder() -> tuple[Any, Any]:
    """The text encoder of `base` as a model of transformers with a new head of three classes, and its tokenizer."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    model = emoembed.load("base").model
    trunk: Any = model.modality("text").encoder.trunk
    sizes = {name: getattr(trunk.config, name) for name in trunk.config.__dataclass_fields__ if name != "model_type"}
    classes = {"contradiction": 0, "neutral": 1, "entailment": 2}
    names = {place: name for name, place in classes.items()}
    torch.manual_seed(0)
    network = BertForSequenceClassification(BertConfig(**sizes, label2id=classes, id2label=names)).eval()
    missing = network.bert.load_state_dict(trunk.state_dict(), strict=False)
    if missing.unexpected_keys or any(not key.startswith("pooler.") for key in missing.missing_keys):
        raise ValueError(f"the encoder of transformers has other weights: {missing}")
    tokens = {name: f"[{name[:3].upper()}]" for name in ("pad_token", "unk_token", "cls_token", "sep_token")}
    content: Any = model.phrases
    return network, PreTrainedTokenizerFast(tokenizer_object=content.tokenizer, model_max_length=128, **tokens)


def zero_shot() -> Callable[[str], Any]:
    """The zero-shot pipeline of transformers. Its head is new, so its answers mean nothing."""
    from transformers import pipeline

    network, tokenizer = transformers_encoder()
    pipe = pipeline("zero-shot-classification", model=network, tokenizer=tokenizer, device="cpu")
    return lambda text: pipe(text, candidate_labels=LABELS)


def cosines() -> Callable[[str], Any]:
    """The feature-extraction pipeline of transformers: means over tokens, and cosines with those of the names."""
    from transformers import pipeline

    network, tokenizer = transformers_encoder()
    pipe = pipeline("feature-extraction", model=network.bert, tokenizer=tokenizer, device="cpu")

    def point(text: str) -> np.ndarray:
        mean = np.array(pipe(text)[0]).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean))

    names = np.stack([point(label) for label in LABELS])
    return lambda text: names @ point(text)


LOOPS = {
    "none: predict in a loop": predict,
    "none: zero-shot pipeline of transformers in a loop": zero_shot,
    "none: cosines of transformers' features in a loop": cosines,
}


def in_loop(name: str, seconds: float) -> dict[str, float]:
    """One sentence after another, without a service."""
    answer = LOOPS[name]()
    answer(SENTENCES[0])
    times: list[float] = []
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        begin = time.perf_counter()
        answer(SENTENCES[len(times) % len(SENTENCES)])
        times.append(time.perf_counter() - begin)
    return {**summary(times, seconds), "memory MB": memory(os.getpid())}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="seconds per row")
    parser.add_argument("--minutes", type=float, default=30, help="minutes of mixed load")
    parser.add_argument("--output", type=Path, help="folder for the report")
    parsed = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    for name in LOOPS:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            rows[name] = alone.submit(in_loop, name, parsed.seconds).result()
        print(name, rows[name], flush=True)
    with service() as (port, process):
        for clients in (1, 8, 32):
            row = f"{clients} client{'s' if clients > 1 else ''}"
            rows[row] = {**load(port, clients, parsed.seconds), "memory MB": memory(process)}
            print(row, rows[row], flush=True)
        long = mixed(port, process, parsed.minutes)
    tables = {
        "One sentence a request": pd.DataFrame(rows).T.rename_axis("clients"),
        "Mixed load of eight clients": pd.DataFrame({"mixed": long}).T.rename_axis("load"),
    }
    report = Report("The web service", {"cores": str(len(os.sched_getaffinity(0)))}, tables)
    print(report.markdown())
    if parsed.output:
        write(report, parsed.output)


if __name__ == "__main__":
    main()
