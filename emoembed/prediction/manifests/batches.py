"""Score the rows of a manifest batch by batch, in this process or in several."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from emoembed.features.workers import STOPPED, Workers, in_order
from emoembed.prediction.manifests.resumable_table import FLUSH_ROWS
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.result import Result
from emoembed.reading.items import NOTHING
from emoembed.reading.sources import Sources, read_row

Rows = Sequence[tuple[str, Sources]]
"""Ids and sources of rows."""
Scored = list[tuple[Result, str]]
"""The result of each row of a batch, and why it failed ("" if it has scores)."""


@dataclass(frozen=True)
class Batching:
    """Number of texts per batch, and number of processes that score batches, or the engine that does."""

    size: int = 32
    workers: Workers = 1


def score_batches(
    recognizer: Recognizer, rows: Rows, options: Mapping[str, Any], batching: Batching, begin: int
) -> Generator[tuple[int, Scored]]:
    """Yield each batch and the position of its first row, in order, from the row `begin` on.

    Args:
        recognizer: the recognizer that scores.
        rows: all rows.
        options: arguments of `Recognizer.predict`.
        batching: size of batches and number of processes.
        begin: position of the first row that is not scored yet.
    """
    size = max(batching.size, FLUSH_ROWS)  # `predict` makes batches of texts of similar length
    ranges = _batches(rows, size)
    starts = [(max(first, begin), last) for first, last in ranges if last > begin]
    batches = (rows[first:last] for first, last in starts)
    task = partial(_score_in_worker, {**options, "batch_size": batching.size})
    if batching.workers == 1:
        answers: Iterator[Scored] = (score_batch(recognizer, batch, task.args[0]) for batch in batches)
    else:
        workers = batching.workers
        most = min(workers, max(len(starts), 1)) if isinstance(workers, int) else workers
        answers = in_order(task, batches, most, stopped, *preparation(recognizer, workers))
    for (first, _), answer in zip(starts, answers, strict=True):
        yield first, answer


def score_batch(recognizer: Recognizer, rows: Rows, options: Mapping[str, Any]) -> Scored:
    """Score rows that go together: several texts, or one row with media."""
    row_inputs = [read_row(sources) for _, sources in rows]
    inputs_by_modality = {name: [inputs[name] for inputs, _ in row_inputs] for name in rows[0][1]}
    answers = recognizer.predict(**{**inputs_by_modality, **options}, errors="skip")
    scored: Scored = []
    for answer, (_, reasons) in zip(answers, row_inputs, strict=True):
        told = {name: why for name, why in answer.absent.items() if why != NOTHING or not reasons}
        absent = {**told, **reasons}
        reason = next(iter(absent.values()), "") if len(set(absent.values())) < 2 else join_reasons(absent)
        scored.append((replace(answer, absent=absent), "" if answer.scores else reason))
    return scored


_recognizer: Recognizer | None = None
"""The recognizer of a worker process."""


def preparation(recognizer: Recognizer, workers: Workers) -> tuple[Callable[[bytes], None], bytes]:
    """What prepares a worker process for a recognizer: a function, and its argument."""
    device = "cpu" if isinstance(workers, int) else workers.device
    return _load_recognizer, pickle.dumps((recognizer, device))


def _load_recognizer(state: bytes) -> None:
    """Unpickle the recognizer of a worker process, and put it on its device."""
    import torch

    global _recognizer
    torch.set_num_threads(1)
    _recognizer, device = pickle.loads(state)  # what the parent of this process has pickled
    if device != "cpu" and torch.version.cuda is None:
        raise RuntimeError("torch on this machine cannot compute on a GPU; leave out gpus")
    if device != "cpu" and torch.cuda.is_available():  # the actor for single rows has no GPU
        _recognizer.model.to(device)


def loaded_recognizer() -> Recognizer:
    """The recognizer of this worker process."""
    if _recognizer is None:
        raise RuntimeError("the worker process has no recognizer")
    return _recognizer


def _score_in_worker(options: Mapping[str, Any], rows: Rows) -> Scored:
    return score_batch(loaded_recognizer(), rows, options)


def stopped(rows: Rows) -> Scored:
    """The results of rows that stopped their worker."""
    reason = STOPPED if len(rows) == 1 else f"{STOPPED} ({len(rows)} rows were read together)"
    return [
        (Result(None, {}, {}, {name: reason for name, source in sources.items() if source is not None}), reason)
        for _, sources in rows
    ]


def _batches(rows: Rows, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows to score together: up to `size` texts, or one row with media. They depend only on the rows."""
    first = 0
    while first < len(rows):
        last = first + 1
        if _has_only_text(rows[first][1]):
            while last < len(rows) and last - first < size and _has_only_text(rows[last][1]):
                last += 1
        yield first, last
        first = last


def _has_only_text(sources: Sources) -> bool:
    return all(source is None for name, source in sources.items() if name != "text")


def join_reasons(absent: Mapping[str, str]) -> str:
    """Why modalities could not be used, as one text."""
    return "; ".join(f"{name}: {reason}" for name, reason in absent.items())
