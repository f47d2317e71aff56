"""Work on many items in several processes. The answers come in the order of the items."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from emoembed.errors import InputError, OutputError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
AHEAD = 4
"""Number of items per worker that are handed out before their turn. So memory does not grow with the items."""
SECONDS_OF_TEXT, SECONDS_OF_MEDIA, WORTH_STARTING = 0.003, 0.1, 15.0
"""Seconds of work for a text and for a media file, roughly, and the work for which further processes are started."""
MEMORY_OF_WORKER = 2**30  # bytes
STOPPED = (
    "the worker process that read this item was stopped by the system; it may need more memory than there is, or its "
    "file may be damaged"
)
"""The reason of an item that stopped its worker twice."""


def require_workers(workers: int | None, texts: int = 0, media: int = 0) -> int:
    """The number of processes: as given, or for None a suitable one for this number of texts and of media files.

    Raises:
        InputError: it is not a whole number of at least 1.
    """
    if workers is None:
        seconds = texts * SECONDS_OF_TEXT + media * SECONDS_OF_MEDIA
        return 1 if seconds < WORTH_STARTING else max(1, min(cores(), free_memory() // MEMORY_OF_WORKER))
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be a whole number of at least 1; given {workers!r:.40}")
    return workers


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that are free; very many if the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**62


def in_order(
    task: Callable[[Item], Answer],
    items: Iterable[Item],
    workers: int,
    stopped: Callable[[Item], Answer],
    setup: Callable[[bytes], None] | None = None,
    state: bytes = b"",
) -> Iterator[Answer]:
    """Yield `task(item)` for each item, computed in worker processes, in the order of the items.

    The processes are started fresh (not forked), with one thread each. If a worker is killed, its items are done again
    by a new one. An item that stops its worker when it is done alone gets `stopped(item)`.

    Args:
        task: a function of a module, so that a new process can import it.
        items: read as they are needed.
        workers: number of processes.
        stopped: the answer for an item that stops its worker.
        setup: prepares each new process; it is called with `state`.
        state: what `setup` needs, pickled.

    Raises:
        OutputError: the processes stop before they answer anything.
    """
    source, waiting = iter(items), deque[tuple[Item, Future[Answer]]]()
    alone = answered = False
    pool = _start(workers, setup, state)
    try:
        while True:
            if not alone:
                free = max(AHEAD * workers - len(waiting), 0)
                waiting.extend((item, _submit(pool, task, item)) for item in islice(source, free))
            if not waiting:
                return
            item, future = waiting[0]
            try:
                answer = future.result()
            except BrokenProcessPool as error:
                pool.shutdown(cancel_futures=True)
                pool = _start(workers, setup, state)
                if not alone:  # which item it was is not known, so the first one is tried alone
                    alone, waiting[0] = True, (item, _submit(pool, task, item))
                    continue
                if not answered:
                    raise OutputError(
                        "the worker processes were stopped before they answered anything, perhaps for want of memory; "
                        "try fewer workers, or workers=1, which computes in this process"
                    ) from error
                answer = stopped(item)
            waiting.popleft()
            if alone:
                alone = False
                waiting = deque(
                    (item, old if _is_finished(old) else _submit(pool, task, item)) for item, old in waiting
                )
            answered = True
            yield answer
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, task: Callable[[Item], Answer], item: Item) -> Future[Answer]:
    """The future of an item. If the pool has stopped meanwhile, the future says so."""
    try:
        return pool.submit(task, item)
    except BrokenProcessPool as error:
        stopped: Future[Answer] = Future()
        stopped.set_exception(error)
        return stopped


def _is_finished(future: Future[Answer]) -> bool:
    return future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenProcessPool)


def _start(workers: int, setup: Callable[[bytes], None] | None, state: bytes) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(setup, state))


def _begin(setup: Callable[[bytes], None] | None, state: bytes) -> None:
    """Prepare a worker process: one thread, and Ctrl-C is left to the process that started it.

    `setup` limits the threads of libraries that are already imported, such as torch.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(1)
    if setup is not None:
        setup(state)
