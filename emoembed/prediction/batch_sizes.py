"""How many items are computed together, and reading the next ones meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from emoembed.model.model import EmotionModel
from emoembed.reading.items import Item

Read = TypeVar("Read")
FRAMES = {"text": 8192, "audio": 60_000, "video": 6000}
"""Most frames of a batch with its padding, on the CPU: tokens, hundredths of a second of sound, faces."""
FRAME_BYTES = {"text": 2**16, "audio": 2**15, "video": 2**21}
"""Memory of a GPU that a frame needs at most, roughly."""
SHARE = 0.5
"""Share of the free memory of a GPU that a batch may need."""


def room_of(device: torch.device) -> Mapping[str, int]:
    """Most frames of a batch on a device, by modality: fixed on the CPU, by the free memory on a GPU."""
    if device.type != "cuda":
        return FRAMES
    free, _ = torch.cuda.mem_get_info(device)
    return {name: max(int(SHARE * free / size), 1) for name, size in FRAME_BYTES.items()}


def fitting(model: EmotionModel, items: Sequence[Item]) -> Iterator[list[Item]]:
    """Divide items into batches whose frames, with their padding, do not exceed `room_of`. One item always fits."""
    room = room_of(model.space.centre.device)
    batch: list[Item] = []
    longest: dict[str, int] = {}
    for item in items:
        lengths = {
            name: min(len(reading.values), model.config.modalities[name].longest)
            for name, reading in item.readings.items()
        }
        wanted = {name: max(longest.get(name, 0), lengths.get(name, 0)) for name in {*longest, *lengths}}
        if batch and any(length * (len(batch) + 1) > room[name] for name, length in wanted.items()):
            yield batch
            batch, wanted = [], lengths
        batch, longest = [*batch, item], wanted
    if batch:
        yield batch


def ahead(reads: Iterable[Callable[[], Read]], device: torch.device) -> Iterator[Read]:
    """The result of each call, in order. For a GPU, the next call runs on the CPU while the caller computes."""
    if device.type == "cpu":
        yield from (read() for read in reads)
        return
    with ThreadPoolExecutor(1) as thread:
        waiting = None
        for read in reads:
            coming = thread.submit(read)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
