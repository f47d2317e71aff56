"""Features of one rate averaged within intervals of another: frames to words, words to segments.

The CMU SDK's `align` with an averaging collapse function, vectorised: intervals are sorted once, the frames of each
word are found by bisection, and summed by segment in float64, so that one -inf or NaN stays within its word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EPSILON = 1e-5
"""Seconds; intervals that overlap by no more than this do not touch (the SDK's own tolerance)."""


@dataclass(frozen=True)
class Aligned:
    """What fell into each reference interval that anything fell into.

    Args:
        rows: `(n,)` positions of those reference intervals.
        values: `(n, dim)` mean of the features that overlap each.
        intervals: `(n, 2)` from the first to the last moment they cover of it.
    """

    rows: np.ndarray
    values: np.ndarray
    intervals: np.ndarray


def average(reference: np.ndarray, intervals: np.ndarray, values: np.ndarray) -> Aligned:
    """Mean of the features that overlap each reference interval; every overlap counts alike, however short.

    Args:
        reference: `(words, 2)` seconds.
        intervals: `(frames, 2)` seconds, in any order, with gaps and overlaps.
        values: `(frames, dim)`.
    """
    word, frame, order = overlaps(reference, intervals)
    if not len(word):
        return Aligned(np.zeros(0, int), np.zeros((0, values.shape[1]), np.float32), np.zeros((0, 2)))
    rows, first, counts = np.unique(word, return_index=True, return_counts=True)
    ordered = values if order is None else values[order]
    contiguous = len(frame) == 0 or bool((np.diff(frame)[np.diff(word) == 0] == 1).all())
    means = _range_means(ordered, frame[first], counts) if contiguous else _list_means(ordered, frame, first, counts)
    times = intervals if order is None else intervals[order]
    starts = np.maximum(np.minimum.reduceat(times[frame, 0], first), reference[rows, 0])
    ends = np.minimum(np.maximum.reduceat(times[frame, 1], first), reference[rows, 1])
    return Aligned(rows, means.astype(np.float32), np.stack([starts, ends], axis=1))


def overlaps(reference: np.ndarray, intervals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """All pairs that overlap by more than `EPSILON`, by reference interval.

    Returns:
        Positions in `reference`, positions in `intervals` once put into `order`, and `order` by start (None where they
        are in order already). Intervals no longer than `EPSILON` overlap nothing.
    """
    reference, intervals = np.asarray(reference, np.float64), np.asarray(intervals, np.float64)
    order = np.argsort(intervals[:, 0], kind="stable") if (np.diff(intervals[:, 0]) < 0).any() else None
    starts, ends = (intervals if order is None else intervals[order]).T
    # no interval before the first whose running latest end passes the word's start can reach it
    first = np.searchsorted(np.maximum.accumulate(ends), reference[:, 0] + EPSILON, side="right")
    last = np.searchsorted(starts, reference[:, 1] - EPSILON, side="left")
    counts = np.where(reference[:, 1] - reference[:, 0] > EPSILON, np.maximum(last - first, 0), 0)
    word = np.repeat(np.arange(len(reference)), counts)
    frame = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[word]
    reach = (ends[frame] - reference[word, 0] > EPSILON) & (ends[frame] - starts[frame] > EPSILON)
    return (word, frame, order) if reach.all() else (word[reach], frame[reach], order)


def within(segments: np.ndarray, intervals: np.ndarray) -> list[np.ndarray]:
    """For each segment the positions of the intervals that overlap it, in the order of their starts."""
    segment, item, order = overlaps(segments, intervals)
    positions = item if order is None else order[item]
    return np.split(positions, np.searchsorted(segment, np.arange(1, len(segments))))


def _range_means(values: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means over runs of rows; runs may overlap. Each is summed on its own."""
    edges = np.stack([first, first + counts], axis=1).ravel()
    padded = np.concatenate([values, np.zeros((1, values.shape[1]), values.dtype)])  # an edge may be the very end
    with np.errstate(invalid="ignore"):  # infinities of both signs within one word: their mean is NaN
        return np.add.reduceat(padded, edges, axis=0, dtype=np.float64)[::2] / counts[:, None]


def _list_means(values: np.ndarray, frame: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means over lists of rows."""
    with np.errstate(invalid="ignore"):
        return np.add.reduceat(values[frame], first, axis=0, dtype=np.float64) / counts[:, None]
