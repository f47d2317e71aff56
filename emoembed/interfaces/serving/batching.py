"""Texts of requests that arrive together are computed as one batch, one batch at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result

MOST = 64
"""Texts per batch."""


@dataclass(eq=False)  # a job is equal to itself only
class _Job:
    """Texts with the same labels and options, and where their results go."""

    texts: Sequence[str]
    labels: Any
    options: Mapping[str, Any]
    done: asyncio.Future[list[Result]]
    key: str = field(init=False)

    def __post_init__(self) -> None:
        self.key = json.dumps([self.labels, dict(self.options)])


class Worker:
    """One thread in which the model computes, so that requests wait for one another instead of slowing each other.

    Args:
        recognizer: the model.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="emoembed")
        self._jobs: list[_Job] = []
        self._busy: asyncio.Task[None] | None = None

    async def predict_texts(self, texts: Sequence[str], labels: Any, options: Mapping[str, Any]) -> list[Result]:
        """The results of texts. Texts with the same labels and options that wait meanwhile share a batch."""
        job = _Job(texts, labels, options, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._work())
        try:
            return await job.done
        finally:  # a request that has ended early leaves the queue
            if job in self._jobs:
                self._jobs.remove(job)

    async def run(self, task: Callable[[], Any]) -> Any:
        """Run a task in the thread of the model."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, task)

    async def close(self) -> None:
        """Finish the present task and start no other task."""
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    async def _work(self) -> None:
        while self._jobs:
            batch = self._next_batch()
            texts = [text for job in batch for text in job.texts]
            first = batch[0]
            try:
                ask = partial(self.recognizer.predict, labels=first.labels, errors="skip", **first.options)
                results = await self.run(partial(ask, texts))
            except Exception as error:
                for job in batch:
                    if not job.done.done():
                        job.done.set_exception(error)
                continue
            for job in batch:
                own, results = results[: len(job.texts)], results[len(job.texts) :]
                if not job.done.done():
                    job.done.set_result(own)

    def _next_batch(self) -> list[_Job]:
        """The oldest job, and others with the same labels and options, up to `MOST` texts."""
        first = self._jobs.pop(0)
        batch, count, rest = [first], len(first.texts), []
        for job in self._jobs:
            if job.key == first.key and count + len(job.texts) <= MOST:
                batch.append(job)
                count += len(job.texts)
            else:
                rest.append(job)
        self._jobs = rest
        return batch
