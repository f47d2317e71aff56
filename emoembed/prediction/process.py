"""Detect a forked process in which torch would hang: its parent already computed with several threads."""

from __future__ import annotations

import os

import torch

from emoembed.errors import InputError

_process_ids: set[int] = set()
"""Ids of the processes that computed: this process and the ones it was forked from."""


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
