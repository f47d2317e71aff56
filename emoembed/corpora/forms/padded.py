"""Remove the padding of padded arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoembed.errors import CorpusError

SIDES = ("left", "right", "none")


def padding_side(filled: np.ndarray) -> str:
    """Return the side on which a corpus is padded: `left`, `right`, or `none`.

    Args:
        filled: bool `(items, steps)`; True if the step has a non-zero value in any modality.
    """
    leading = int((~filled[:, 0]).sum()) if filled.size else 0
    trailing = int((~filled[:, -1]).sum()) if filled.size else 0
    return "none" if not leading and not trailing else "left" if leading > trailing else "right"


def lengths_of(filled: np.ndarray, side: str) -> np.ndarray:
    """Return the length of each item without padding, `(items,)`.

    Only the run of empty steps at the padded end is padding. Other empty steps stay: no word or face was found there.
    """
    if side not in SIDES:
        raise CorpusError(f"padding side must be one of {', '.join(SIDES)}; got {side!r}")
    steps = filled.shape[1]
    if side == "none":
        return np.where(filled.any(axis=1), steps, 0)
    from_padding = filled if side == "left" else filled[:, ::-1]
    return np.where(filled.any(axis=1), steps - from_padding.argmax(axis=1), 0)


def unpad(array: np.ndarray, lengths: Sequence[int] | np.ndarray, side: str) -> list[np.ndarray]:
    """Remove the padding: `(items, steps, dim)` -> one `(length, dim)` per item.

    Raises:
        CorpusError: a length exceeds the number of steps, or the number of lengths is not the number of items.
    """
    steps = array.shape[1]
    if len(lengths) != len(array) or (len(lengths) and int(np.max(lengths)) > steps):
        raise CorpusError(
            f"{len(lengths)} lengths of at most {max(lengths, default=0)} do not fit an array of shape {array.shape}"
        )
    if side == "left":
        return [item[steps - length :] for item, length in zip(array, lengths, strict=True)]
    return [item[:length] for item, length in zip(array, lengths, strict=True)]


def filled_steps(*arrays: np.ndarray) -> np.ndarray:
    """Return bool `(items, steps)`: True where any array `(items, steps, dim)` is not zero. NaN counts as not zero."""
    return np.logical_or.reduce([(array != 0).any(axis=2) for array in arrays])
