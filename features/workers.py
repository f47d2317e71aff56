"""Work on many items in several processes. The answers come in the order of the items."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from emoembed.errors import InputError, OutputError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
AHEAD = 4
"""Number of items per worker that are handed out before their turn. So memory does not grow with the items."""
STOPPED = (
    "the system stopped the worker process that read this row; the row may need more memory than there is, or its file "
    "may be damaged"
)
"""The reason for an item that stopped its worker when it was processed alone."""
SECONDS_OF_TEXT, SECONDS_OF_MEDIA, WORTH_STARTING = 0.003, 0.1, 15.0
"""Seconds of work for a text and for a media file, roughly, and the work for which further processes are started."""
MEMORY_OF_WORKER, UNKNOWN_MEMORY = 2**30, 2**32
"""Bytes that a worker needs, and the free memory that is assumed if the system does not report it."""
MOST_WORKERS = 61 if os.name == "nt" else 256
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
GROUP = Path("/sys/fs/cgroup")


class Engine(Protocol):
    """Other processes than those of this machine: `interfaces.scale.Ray`. It takes the place of a number of workers."""

    @property
    def device(self) -> str:
        """The device that each process computes on."""
        ...

    def in_order(
        self,
        task: Callable[[Item], Answer],
        items: Iterable[Item],
        stopped: Callable[[Item], Answer],
        setup: Callable[[bytes], None] | None = None,
        state: bytes = b"",
    ) -> Generator[Answer]:
        """As the function `in_order`."""
        ...


Workers = int | Engine
"""A number of processes of this machine, or an engine."""


def require_workers(workers: Workers | None, texts: int = 0, media: int = 0) -> Workers:
    """The number of processes: as given, or for None a suitable one for this number of texts and of media files.

    An engine is returned as it is.

    Raises:
        InputError: it is not a whole number from 1 to `MOST_WORKERS`; or a worker process is starting, which runs the
            user's script again.
    """
    if workers is None:
        seconds = texts * SECONDS_OF_TEXT + media * SECONDS_OF_MEDIA
        most = min(cores(), free_memory() // MEMORY_OF_WORKER, MOST_WORKERS)
        workers = 1 if seconds < WORTH_STARTING else max(1, most)
    if not isinstance(workers, int) and hasattr(workers, "in_order"):
        return workers
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"workers must be a whole number of at least 1, at most {MOST_WORKERS}; given {workers!r:.40}")
    if workers > 1 and getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(
            "a new worker process runs the script again, so the call that starts the workers must be under "
            "`if __name__ == '__main__':`"
        )
    return workers


def cores() -> int:
    """Number of processor cores that this process may use, at least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = [*_read(GROUP / "cpu.max").split(), "max", "1"][:2]
    return max(1, min(count, int(quota) // int(period))) if quota.isdigit() else count


def free_memory() -> int:
    """Bytes of memory that are free for this process, with what a limit of its control group leaves."""
    lines = dict(line.split(":", 1) for line in _read(Path("/proc/meminfo")).splitlines() if ":" in line)
    free = int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else UNKNOWN_MEMORY
    limit, used = _read(GROUP / "memory.max").strip(), _read(GROUP / "memory.current").strip()
    return min(free, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else free


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def in_order(
    task: Callable[[Item], Answer],
    items: Iterable[Item],
    workers: Workers,
    stopped: Callable[[Item], Answer],
    setup: Callable[[bytes], None] | None = None,
    state: bytes = b"",
) -> Generator[Answer]:
    """Yield `task(item)` for each item, computed in worker processes, in the order of the items.

    The processes are started fresh (not forked), with one thread each. If one is killed, the items that were handed out
    are processed again, one at a time. An item that stops its worker when it is processed alone gets `stopped(item)`.
    If the caller stops early, the processes are ended.

    Args:
        task: a function of a module, so that a new process can import it.
        items: read as they are needed.
        workers: number of processes, or an engine, which does the same elsewhere.
        stopped: the answer for an item that stops its worker.
        setup: prepares each new process; it is called with `state`.
        state: what `setup` needs, pickled.

    Raises:
        OutputError: no process can be started.
    """
    if not isinstance(workers, int):
        yield from workers.in_order(task, items, stopped, setup, state)
        return
    with tempfile.TemporaryDirectory() as folder:
        # in a file, because a process that dies while it reads a long state from its pipe would stop this one for ever
        file = Path(folder) / "state"
        file.write_bytes(state)
        pool = Pool(workers, setup, file)
        try:
            yield from _answers(pool, task, iter(items), stopped)
        finally:
            pool.end()


def _answers(
    pool: Pool, task: Callable[[Item], Answer], items: Iterator[Item], stopped: Callable[[Item], Answer]
) -> Iterator[Answer]:
    waiting: deque[tuple[Item, Future[Answer]]] = deque()
    alone = 0  # number of items that are processed one at a time, because one of them stopped a worker
    while True:
        if not alone:
            free = max(AHEAD * pool.workers - len(waiting), 0)
            waiting.extend((item, pool.submit(task, item)) for item in islice(items, free))
        if not waiting:
            return
        item, future = waiting[0]
        if alone and not _is_finished(future):
            future = pool.submit(task, item)
        try:
            answer = future.result()
        except BrokenProcessPool:
            pool.restart()
            if not alone:
                alone = len(waiting)
                continue
            answer = stopped(item)
        waiting.popleft()
        alone = max(alone - 1, 0)
        yield answer


def _is_finished(future: Future[Answer]) -> bool:
    """Whether a future has an answer or an error of its task."""
    return future.done() and not future.cancelled() and not isinstance(future.exception(), BrokenProcessPool)


class Pool:
    """Worker processes that can be started again.

    Args:
        workers: number of processes.
        setup: prepares each new process; it is called with the content of `state`.
        state: a file.

    Raises:
        OutputError: the processes cannot be started.
    """

    def __init__(self, workers: int, setup: Callable[[bytes], None] | None, state: Path) -> None:
        self.workers, self._setup, self._state = workers, setup, state
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(
            self.workers, mp_context=context, initializer=_begin, initargs=(self._setup, self._state)
        )
        try:
            with _one_thread():
                fault = self._pool.submit(_fault).result()
        except BrokenProcessPool as error:
            raise OutputError(
                "the worker processes stop as soon as they start, perhaps because memory is short; try fewer workers, "
                "or workers=1, which computes in this process. In a script, put the call under "
                "`if __name__ == '__main__':`"
            ) from error
        if fault:
            raise OutputError(f"a worker process could not be prepared: {fault}; try workers=1")

    def submit(self, task: Callable[[Item], Answer], item: Item) -> Future[Answer]:
        """The future of an item. If the processes have stopped meanwhile, the future says so."""
        try:
            with _one_thread():
                return self._pool.submit(task, item)
        except BrokenProcessPool as error:
            stopped: Future[Answer] = Future()
            stopped.set_exception(error)
            return stopped

    def restart(self) -> None:
        """Start new processes in place of the stopped processes."""
        self.end()
        self._start()

    def end(self) -> None:
        """End the processes, also those that are at work. They write no files."""
        for process in list((getattr(self._pool, "_processes", None) or {}).values()):
            process.terminate()
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within the block, new processes start with one thread in each numeric library."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_setup_fault = ""
"""Why this worker process could not be prepared."""


def _begin(setup: Callable[[bytes], None] | None, state: Path) -> None:
    """Prepare a worker process. Ctrl-C is left to the process that started it, and it ends when that process ends."""
    global _setup_fault
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)
    if setup is not None:
        try:
            setup(state.read_bytes())
        except Exception as error:  # reported by `_fault`; an initializer can only break the pool
            _setup_fault = f"{type(error).__name__}: {error}"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _fault() -> str:
    return _setup_fault
