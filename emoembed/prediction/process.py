"""What a process must not do with torch: compute in several threads after it was forked from one that did."""

from __future__ import annotations

import os

import torch

from emoembed.errors import InputError

_computed_in: set[int] = set()
"""Ids of processes that computed: this one, and those that it was forked from."""


def require_no_fork() -> None:
    """Note that this process computes.

    Raises:
        InputError: it was forked from one that did, with several threads. The threads were not copied, and torch would
            wait for them for ever.
    """
    if _computed_in - {os.getpid()} and torch.get_num_threads() > 1:
        raise InputError(
            "this process was forked from one in which emoembed had computed, and torch's threads do not survive that: "
            "start workers with multiprocessing.get_context('spawn'), or call torch.set_num_threads(1) in them first"
        )
    _computed_in.add(os.getpid())
