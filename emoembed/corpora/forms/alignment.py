"""Average features within longer intervals: frames within words, words within segments.

This is a vectorised version of the CMU SDK's `align` with an averaging collapse function. It sorts the intervals once,
finds the frames of each word by bisection, and sums each word separately in float64. So a -inf or NaN affects only its
own word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

EPSILON = 1e-5
"""Seconds. Two intervals overlap only if they share more than this (the tolerance of the SDK)."""


@dataclass(frozen=True)
class Aligned:
    """Means for the `n` reference intervals that overlap at least one feature.

    Args:
        rows: `(n,)` indices of these reference intervals.
        values: `(n, dim)` mean of the features that overlap each interval.
        intervals: `(n, 2)` seconds; start and end of the part of each interval that the features span.
    """

    rows: np.ndarray
    values: np.ndarray
    intervals: np.ndarray


def average(reference: np.ndarray, intervals: np.ndarray, values: np.ndarray) -> Aligned:
    """Average the features that overlap each reference interval. All overlaps have equal weight, even short overlaps.

    Args:
        reference: `(words, 2)` seconds.
        intervals: `(frames, 2)` seconds, in any order; gaps and overlaps are allowed.
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
    """Find all pairs that overlap by more than `EPSILON`, sorted by reference interval.

    Intervals no longer than `EPSILON` overlap nothing.

    Returns:
        Indices into `reference`; indices into `intervals[order]`; and `order`, which sorts `intervals` by start.
        `order` is None if `intervals` is already sorted; the indices then refer to `intervals` itself.
    """
    reference, intervals = np.asarray(reference, np.float64), np.asarray(intervals, np.float64)
    order = np.argsort(intervals[:, 0], kind="stable") if (np.diff(intervals[:, 0]) < 0).any() else None
    starts, ends = (intervals if order is None else intervals[order]).T
    # the running maximum of the ends is sorted; before it exceeds a word's start, no interval can reach the word
    first = np.searchsorted(np.maximum.accumulate(ends), reference[:, 0] + EPSILON, side="right")
    last = np.searchsorted(starts, reference[:, 1] - EPSILON, side="left")
    counts = np.where(reference[:, 1] - reference[:, 0] > EPSILON, np.maximum(last - first, 0), 0)
    word = np.repeat(np.arange(len(reference)), counts)
    frame = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[word]
    overlapping = (ends[frame] - reference[word, 0] > EPSILON) & (ends[frame] - starts[frame] > EPSILON)
    return (word, frame, order) if overlapping.all() else (word[overlapping], frame[overlapping], order)


def within(segments: np.ndarray, intervals: np.ndarray) -> list[np.ndarray]:
    """Return for each segment the indices of the intervals that overlap it, sorted by start."""
    segment, item, order = overlaps(segments, intervals)
    positions = item if order is None else order[item]
    return np.split(positions, np.searchsorted(segment, np.arange(1, len(segments))))


def _range_means(values: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average runs of consecutive rows. Runs may overlap; each run is summed separately."""
    edges = np.stack([first, first + counts], axis=1).ravel()
    padded = np.concatenate([values, np.zeros((1, values.shape[1]), values.dtype)])  # an edge may equal len(values)
    with np.errstate(invalid="ignore"):  # the mean of +inf and -inf in one word is NaN
        return np.add.reduceat(padded, edges, axis=0, dtype=np.float64)[::2] / counts[:, None]


def _list_means(values: np.ndarray, frame: np.ndarray, first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average lists of rows."""
    with np.errstate(invalid="ignore"):
        return np.add.reduceat(values[frame], first, axis=0, dtype=np.float64) / counts[:, None]
