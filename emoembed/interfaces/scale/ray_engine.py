"""Process items in actors of a Ray cluster. Ray Data hands the items out and replaces actors that are lost."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from numbers import Real
from typing import Any, TypeVar

from emoembed.errors import InputError, OutputError
from emoembed.features.workers import MEMORY_OF_WORKER, cores, free_memory

Item = TypeVar("Item")
Answer = TypeVar("Answer")
MOST_TOGETHER, ROUNDS = 32, 8
"""Items that are handed to an actor at once: at most this many, and so few that each actor gets this many portions."""
AT_ONCE = 10_000
"""Items per actor that Ray Data has at once, so that memory does not grow with the items."""
TRIES_ALONE = 2
"""How often an item is tried alone. A process may also stop because its machine stops."""
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Environment of Ray, unless the user sets it otherwise. Nothing is sent to the makers of Ray."""


@dataclass(frozen=True)
class Ray:
    """The actors of a Ray cluster, in place of the processes of one machine.

    Each actor has one core and loads the model once. Answers come in the order of the items. If an actor or a machine
    is lost, its items are processed again. Every machine needs emoembed installed, and the media files under the same
    path.

    Args:
        address: address of the cluster, such as `auto` on one of its machines. None starts Ray on this machine alone.
            If this process is already connected to a cluster (`ray.init`), that cluster is used.
        actors: number of actors; None for one per core of the cluster.
        gpus: GPUs per actor, such as 0.5. With a GPU, an actor computes on it. We have not tested this.

    Raises:
        InputError: ray is not installed, or a number is out of range.

    Examples:
        >>> from emoembed.interfaces.scale import Ray
        >>> cluster = Ray("auto", actors=8)  # pass it to predict_manifest as workers=cluster
        >>> cluster.device
        'cpu'
    """

    address: str | None = None
    actors: int | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if importlib.util.find_spec("ray") is None:
            raise InputError('--engine ray needs Ray; install it with: pip install "emoembed[scale]"')
        actors_are_whole = isinstance(self.actors, int | None) and not isinstance(self.actors, bool)
        if not actors_are_whole or (self.actors is not None and self.actors < 1):
            raise InputError(f"actors must be a whole number of at least 1; given {self.actors!r:.40}")
        if not isinstance(self.gpus, Real) or not self.gpus >= 0:
            raise InputError(f"gpus must be the number of GPUs per actor, at least 0; given {self.gpus!r:.40}")

    @property
    def device(self) -> str:
        """The device of an actor."""
        return "cuda" if self.gpus else "cpu"

    def in_order(
        self,
        task: Callable[[Item], Answer],
        items: Iterable[Item],
        stopped: Callable[[Item], Answer],
        setup: Callable[[bytes], None] | None = None,
        state: bytes = b"",
    ) -> Generator[Answer]:
        """Yield `task(item)` for each item, in the order of the items.

        The items of a lost actor are processed again, one at a time. An item that stops its process each time gets
        `stopped(item)`.

        Args:
            task: a function of a module.
            items: read as they are needed.
            stopped: the answer for an item that stops its process.
            setup: prepares each actor; it is called with `state`.
            state: what `setup` needs, pickled.

        Raises:
            OutputError: there is no cluster at the address, or an actor cannot be prepared.
        """
        waiting = iter(items)
        first = list(islice(waiting, 1))
        if not first:
            return
        with _connected(self.address):
            import ray

            # in a list, because Ray replaces a reference that is an argument by what it refers to
            arguments = {"task": task, "setup": setup, "state": [ray.put(state)]}
            actors, alone = self._actors(), _Alone(arguments)
            more = chain(first, waiting)
            while together := list(islice(more, actors * AT_ONCE)):
                yield from self._in_order(together, arguments, actors, alone, stopped)

    def _in_order(
        self,
        items: list[Item],
        arguments: dict[str, Any],
        actors: int,
        alone: _Alone,
        stopped: Callable[[Item], Answer],
    ) -> Generator[Answer]:
        """The answers of the items that Ray Data processes at the same time."""
        from ray.exceptions import ObjectLostError

        size = min(max(len(items) // (actors * ROUNDS), 1), MOST_TOGETHER)
        portions = [items[first : first + size] for first in range(0, len(items), size)]
        done = 0  # number of portions whose answers were given
        while done < len(portions):
            begin = done
            try:
                for number, answers in _answers(portions[begin:], arguments, actors, self.gpus):
                    for portion in portions[done : begin + number]:  # lost with their actor
                        yield from (alone.answer(item, stopped) for item in portion)
                    yield from answers
                    done = begin + number + 1
            except ObjectLostError:  # answers were on a machine that is lost
                if done == begin:
                    yield from (alone.answer(item, stopped) for item in portions[done])
                    done += 1
                continue
            for portion in portions[done:]:
                yield from (alone.answer(item, stopped) for item in portion)
            done = len(portions)

    def _actors(self) -> int:
        """The number of actors. Raises OutputError if the cluster has no room for one."""
        import ray

        cores, gpus = (ray.cluster_resources().get(name, 0) for name in ("CPU", "GPU"))
        if self.gpus > gpus or cores < 1:
            raise OutputError(
                f"an actor needs a core and {self.gpus:g} GPUs; the cluster has {cores:g} cores and {gpus:g} GPUs"
            )
        most = int(min(cores, gpus / self.gpus) if self.gpus else cores)
        return max(self.actors or most, 1)


class _Actor:
    """A process that works on portions of items."""

    def __init__(self, task: Callable[[Any], Any], setup: Callable[[bytes], None] | None, state: list[Any]) -> None:
        import cv2
        import ray

        cv2.setNumThreads(1)
        self.task = task
        if setup is not None:
            setup(ray.get(state[0]))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        answers = [self.task(item) for item in pickle.loads(row["items"])]  # what this package has pickled
        return {"number": row["number"], "answers": pickle.dumps(answers)}


def _answers(
    portions: list[list[Item]], arguments: dict[str, Any], actors: int, gpus: float
) -> Iterator[tuple[int, list[Any]]]:
    """Yield the number and the answers of each portion, in order. Portions of lost actors are left out."""
    from ray.data import ActorPoolStrategy, from_items
    from ray.exceptions import ObjectLostError, RayError

    actors = min(actors, len(portions))
    actor_class: Any = _Actor  # Ray's types name functions alone
    rows = [{"number": number, "items": pickle.dumps(portion)} for number, portion in enumerate(portions)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of `max_task_retries`, which has no other name yet
        answered = from_items(rows, override_num_blocks=len(rows)).map(
            actor_class,
            fn_constructor_kwargs=arguments,
            compute=ActorPoolStrategy(size=actors),
            num_cpus=1,
            num_gpus=gpus or None,
            max_task_retries=0,  # an item that stops its process would be retried without end
        )
    context = answered.context
    context.execution_options.preserve_order = True
    context.max_errored_blocks = -1  # `Ray.in_order` processes them again
    context.execution_no_progress_timeout_s = -1  # long films need much time
    context.enable_progress_bars = context.print_on_execution_start = False
    try:
        for row in answered.iter_rows():
            yield row["number"], pickle.loads(row["answers"])
    except ObjectLostError:
        raise
    except RayError as error:
        raise _not_prepared(error) from error


class _Alone:
    """Processes single items in a separate actor, which needs no free core and computes on the CPU."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._actor: Any = None

    def answer(self, item: Item, stopped: Callable[[Item], Answer]) -> Answer:
        """The answer of an item; that of `stopped` if its process stops each time."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        row = {"number": 0, "items": pickle.dumps([item])}
        for _ in range(TRIES_ALONE):
            if self._actor is None:
                self._actor = ray.remote(num_cpus=0)(_Actor).remote(**self._arguments)
            try:
                (answer,) = pickle.loads(ray.get(self._actor.__call__.remote(row))["answers"])
                return answer
            except RayTaskError as error:
                raise error.cause from error
            except RayError as error:  # the process or its machine has stopped
                if getattr(error, "actor_init_failed", False):
                    raise _not_prepared(error) from error
                self._actor = None
        return stopped(item)


def _not_prepared(error: Exception) -> OutputError:
    return OutputError(f"the actors cannot work: {str(error).strip().splitlines()[-1]}")


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """Within the block, Ray is connected. It is stopped afterwards if it was started here."""
    added = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    import ray.data

    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.CRITICAL)  # it prints a traceback for each lost actor
    was_connected = ray.is_initialized()
    local = min(cores(), max(free_memory() // MEMORY_OF_WORKER, 1))
    options: dict[str, Any] = (
        {"address": address} if address else {"address": "local", "num_cpus": local, "include_dashboard": False}
    )
    try:
        if not was_connected:
            try:
                ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as error:
                where = f"connect to a cluster at {address!r}" if address else "start"
                raise OutputError(f"Ray cannot {where}: {error}") from error
        yield
    finally:
        log.setLevel(level)
        if not was_connected:
            ray.shutdown()
        for name in added:
            os.environ.pop(name, None)
