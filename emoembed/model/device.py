"""Check that torch can compute: on a device, and in this process."""

from __future__ import annotations

import os

import torch

from emoembed.errors import InputError

_process_ids: set[int] = set()
"""Ids of the processes that computed: this process and the processes it was forked from."""


def check_device(device: str) -> None:
    """Raise InputError if torch cannot compute on a device."""
    if not isinstance(device, str | torch.device):
        raise InputError(f"device must be a name such as 'cpu' or 'cuda'; given {device!r:.40}")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"device {device!r} cannot be used here: {error}") from error


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device. For a GPU it is pinned first, so that the copy does not wait for the GPU."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def require_no_fork() -> None:
    """Record that this process computes.

    Raises:
        InputError: this process was forked from a process that computed, and torch uses several threads. A fork does
        not
            copy threads, so torch would wait for them forever.
    """
    if _process_ids - {os.getpid()} and torch.get_num_threads() > 1:
        raise InputError(
            "this process was forked from a process in which emoembed had computed, and torch's threads do not survive "
            "a fork; start workers with multiprocessing.get_context('spawn'), or call "
            "torch.set_num_threads(1) in them first"
        )
    _process_ids.add(os.getpid())
