"""Training in several processes, which torchrun starts: each computes its part of every batch.

The gradients of the parts are added up, so all processes make the same step as one process would make on the whole
batch, if all rows have the same modalities. `torch.nn.parallel.DistributedDataParallel` does the same for models that
compute in `forward`. Here a batch goes through `encode` and the loss through `project` and `score`, and an encoder is
not used if a part lacks its modality.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed
from torch.nn import Module, Parameter

from emoembed.errors import InputError, TrainingError
from emoembed.model.device import check_device

FEWEST_ROWS = 2
"""Fewest rows of a part. Batch normalisation needs them."""
SHARED_STORE, OWN_STORE = "TORCHELASTIC_USE_AGENT_STORE", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""Environment variables: the first says whether the processes find each other through torchrun's own store, the second
prevents this. That store keeps the addresses of stopped processes
(https://github.com/pytorch/pytorch/issues/135712)."""


@dataclass(frozen=True)
class Group:
    """The processes that train one model together, and the place of this process among them."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints. The others only compute."""
        return self.rank == 0

    def parts_of(self, rows: np.ndarray, portions: int = 1) -> list[np.ndarray]:
        """The parts of a batch that this process computes, one after the other.

        Args:
            rows: positions of the rows of a batch.
            portions: number of parts for each process.
        """
        count = max(min(self.size * portions, len(rows) // FEWEST_ROWS), 1)
        return [rows[part::count] for part in range(self.rank, count, self.size)]

    def add_up(self, parameters: Sequence[Parameter], loss: float) -> float:
        """Add up the gradients of all processes, in place, and their losses. Returns the sum of the losses."""
        if self.size == 1:
            return loss
        gradients = [torch.zeros_like(part) if part.grad is None else part.grad for part in parameters]
        used = [float(part.grad is not None) for part in parameters]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor([*used, loss])])
        distributed.all_reduce(flat)
        begin, counts = 0, flat[-1 - len(used) : -1].tolist()
        for parameter, count in zip(parameters, counts, strict=True):
            gradient = flat[begin : begin + parameter.numel()].view_as(parameter)
            parameter.grad = gradient if count else None  # a weight that no process used is not changed
            begin += parameter.numel()
        return float(flat[-1])

    def require_same(self, facts: Hashable, what: str) -> None:
        """Raise TrainingError if the processes do not have equal values."""
        if self.size > 1:
            gathered: list[Hashable] = [None] * self.size
            distributed.all_gather_object(gathered, facts)
            if len(set(gathered)) > 1:
                raise TrainingError(f"the processes do not have the same {what}; give all of them the same files")

    def average_statistics(self, model: Module) -> None:
        """Average the statistics that layers such as batch normalisation have collected in each process."""
        if self.size > 1:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer /= self.size

    def of_leader(self, number: float) -> float:
        """A number that the leading process has computed, in all processes."""
        if self.size == 1:
            return number
        shared = torch.tensor(number, dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined(device: str = "cpu") -> Iterator[Group]:
    """Within the block, this process is one of those that torchrun has started.

    Args:
        device: `cpu`, or `cuda` for one GPU per process.

    Raises:
        InputError: torchrun did not start this process, its settings do not allow restarts, or the device cannot be
            used.
        TrainingError: the processes cannot find each other.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise InputError(
            "training in several processes is started by torchrun, for example: torchrun --nproc-per-node 2 -m "
            f"emoembed train --distributed ...; here the environment lacks {', '.join(missing)}"
        )
    if os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and os.environ.get(SHARED_STORE) == "True":
        raise InputError(
            f"with --max-restarts, set {OWN_STORE}=1 for torchrun, and give --standalone or --rdzv-backend c10d: "
            "otherwise restarted processes may find the addresses of stopped processes, and wait for them"
        )
    if device not in ("cpu", "cuda"):
        raise InputError(f"several processes compute on cpu, or on cuda with a GPU for each; given {device!r:.40}")
    own_device = f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device
    check_device(own_device)
    if device == "cuda":
        torch.cuda.set_device(own_device)
    try:
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the processes cannot find each other: {error}") from error
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size(), own_device)
    finally:
        distributed.destroy_process_group()


ALONE = Group()
"""This process alone."""
