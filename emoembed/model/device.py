"""Check that torch can compute: on a device, and in this process."""

from __future__ import annotations

import os

import torch

from emoembed.errors import InputError

_process_ids: set[int] = set()
"""Ids of the processes that computed: this process and the ones it was forked from."""


def check_device(device: str) -> None:
    """Raise InputError if torch cannot compute on a device."""
    if not isinstance(device, str | torch.device):
        raise InputError(f"device must be a name such as 'cpu' or 'cuda'; given {device!r:.40}")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"device {device!r} cannot be used here: {error}") from error


def require_no_fork() -> None:
    """Record that this process computes.

    Raises:
        InputError: this process was forked from one that computed, and torch uses several threads. A fork does not
            copy threads, so torch would wait for them forever.
    """
    if _process_ids - {os.getpid()} and torch.get_num_threads() > 1:
        raise InputError(
            "this process was forked from one in which emoembed had computed, and torch's threads do not survive "
            "a fork; start workers with multiprocessing.get_context('spawn'), or call "
            "torch.set_num_threads(1) in them first"
        )
    _process_ids.add(os.getpid())
