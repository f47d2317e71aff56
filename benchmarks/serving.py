"""Measure the web service: requests a second and waiting times, and a long mixed load with bad input.

    python benchmarks/serving.py [--minutes 30] [--output docs/serving]

The service runs in a process of its own. Each client is a thread that sends one request after another, one sentence
each with eight labels. Beside it: `predict` called in a loop in this process, without a service.
"""

from __future__ import annotations

import argparse
import http.client
import json
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

import emoembed
from emoembed.evaluation.report import Report, write

SENTENCES = (
    "We made it home before the storm.",
    "He never called back, and I stopped waiting.",
    "I can't believe you kept that ticket.",
    "The meeting is at ten in room four.",
)
LABELS = ["joy", "anger", "fear", "sadness", "relief", "nostalgia", "awe", "neutral"]
BAD = (
    b"{",
    b'{"text": 3}',
    b'{"text": "a", "labels": []}',
    b'{"text": "a", "labels": ["joy", "joy"]}',
    json.dumps({"text": "so " * 30_000}).encode(),
    json.dumps({"text": ["a"] * 300}).encode(),
)
"""Bodies of requests that must be refused."""


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
                if send(port, "GET", "/health", None)[0] == 200:
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


def send(port: int, method: str, path: str, body: bytes | None) -> tuple[int, float]:
    """The status of the answer to one request, and the seconds it took."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - begin
    finally:
        connection.close()


def load(port: int, clients: int, seconds: float) -> dict[str, float]:
    """Requests a second and waiting times of so many clients."""
    times: list[float] = []
    stop = time.monotonic() + seconds

    def work(client: int) -> None:
        count = client
        while time.monotonic() < stop:
            body = json.dumps({"text": SENTENCES[count % len(SENTENCES)], "labels": LABELS}).encode()
            status, taken = send(port, "POST", "/predict", body)
            if status != 200:
                raise ValueError(f"status {status}")
            times.append(taken)
            count += 1

    in_parallel(work, clients)
    milliseconds = 1000 * np.array(times)
    return {
        "requests a second": len(times) / seconds,
        **{f"p{share} ms": float(np.percentile(milliseconds, share)) for share in (50, 95, 99)},
    }


def mixed(port: int, process: int, minutes: float) -> dict[str, float]:
    """Good and bad requests of eight clients: the answers by kind, and how much the memory of the service grows."""
    load(port, 8, 20)
    before = memory(process)
    stop = time.monotonic() + 60 * minutes
    statuses: Counter[int] = Counter()
    counting = threading.Lock()

    def work(client: int) -> None:
        generator = random.Random(client)
        while time.monotonic() < stop:
            good = generator.random() < 0.7
            text = [generator.choice(SENTENCES)] * generator.randint(1, 8)
            body = json.dumps({"text": text, "labels": LABELS}).encode() if good else generator.choice(BAD)
            try:
                status = send(port, "POST", "/predict", body)[0]
            except OSError:  # no answer at all
                status = 599
            with counting:
                statuses[status] += 1

    in_parallel(work, 8)
    return {
        "minutes": minutes,
        "requests": sum(statuses.values()),
        "answered": statuses[200],
        "refused (4xx)": sum(count for status, count in statuses.items() if 400 <= status < 500),
        "other errors": sum(count for status, count in statuses.items() if status >= 500),
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


def in_process(seconds: float) -> dict[str, float]:
    """`predict` called in a loop, without a service."""
    model = emoembed.load("base")
    times: list[float] = []
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        begin = time.perf_counter()
        model.predict(SENTENCES[len(times) % len(SENTENCES)], labels=LABELS)
        times.append(1000 * (time.perf_counter() - begin))
    shares = {f"p{share} ms": float(np.percentile(times, share)) for share in (50, 95, 99)}
    return {"requests a second": len(times) / seconds, **shares}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20, help="seconds per row")
    parser.add_argument("--minutes", type=float, default=30, help="minutes of mixed load")
    parser.add_argument("--output", type=Path, help="folder for the report")
    parsed = parser.parse_args()
    rows = {"predict in a loop": in_process(parsed.seconds)}
    with service() as (port, process):
        for clients in (1, 8, 32):
            rows[f"{clients} clients"] = {**load(port, clients, parsed.seconds), "memory MB": memory(process)}
            print(clients, rows[f"{clients} clients"], flush=True)
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
