"""Padded arrays back to what they were padded from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoembed.errors import CorpusError

SIDES = ("left", "right", "none")


def padding_side(filled: np.ndarray) -> str:
    """On which side a corpus is padded: `left`, `right`, or `none`.

    Args:
        filled: boolean `(items, steps)`: the step holds anything but zeros in any modality.
    """
    leading = int((~filled[:, 0]).sum()) if filled.size else 0
    trailing = int((~filled[:, -1]).sum()) if filled.size else 0
    return "none" if not leading and not trailing else "left" if leading > trailing else "right"


def lengths_of(filled: np.ndarray, side: str) -> np.ndarray:
    """How many steps of each item are data, `(items,)`: all but the run of empty steps on the padded side.

    Empty steps between others stay: they are words, or faces, that were not found.
    """
    if side not in SIDES:
        raise CorpusError(f"padding is on one side of {', '.join(SIDES)}; given {side!r}")
    steps = filled.shape[1]
    if side == "none":
        return np.where(filled.any(axis=1), steps, 0)
    from_padding = filled if side == "left" else filled[:, ::-1]
    return np.where(filled.any(axis=1), steps - from_padding.argmax(axis=1), 0)


def unpad(array: np.ndarray, lengths: Sequence[int] | np.ndarray, side: str) -> list[np.ndarray]:
    """`(items, steps, dim)` -> each item's own `(length, dim)`.

    Raises:
        CorpusError: an item is said to be longer than the array.
    """
    steps = array.shape[1]
    if len(lengths) != len(array) or (len(lengths) and int(np.max(lengths)) > steps):
        raise CorpusError(f"{len(lengths)} lengths of at most {np.max(lengths)} do not fit an array {array.shape}")
    if side == "left":
        return [item[steps - length :] for item, length in zip(array, lengths, strict=True)]
    return [item[:length] for item, length in zip(array, lengths, strict=True)]


def filled_steps(*arrays: np.ndarray) -> np.ndarray:
    """Boolean `(items, steps)`: any of the arrays `(items, steps, dim)` holds something there. NaN is something."""
    return np.logical_or.reduce([(array != 0).any(axis=2) for array in arrays])
