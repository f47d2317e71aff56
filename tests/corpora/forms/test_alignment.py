import numpy as np
import pytest

from emoembed.corpora.forms import alignment


def plain(reference, intervals, values):
    """The definition, word by word: the mean of all that overlaps it by more than the tolerance."""
    averages = {}
    for row, (start, end) in enumerate(reference):
        if end - start <= alignment.EPSILON:
            continue
        clipped = np.stack([np.maximum(intervals[:, 0], start), np.minimum(intervals[:, 1], end)], axis=1)
        inside = clipped[:, 1] - clipped[:, 0] > alignment.EPSILON
        if inside.any():
            times = clipped[inside]
            averages[row] = (values[inside].astype(np.float64).mean(axis=0), times.min(), times.max())
    return averages


def frames(seconds, rate, dim, seed=0):
    starts = np.arange(int(seconds * rate)) / rate
    values = np.random.default_rng(seed).standard_normal((len(starts), dim)).astype(np.float32)
    return np.stack([starts, starts + 1 / rate], axis=1), values


def assert_same(aligned, expected):
    assert aligned.rows.tolist() == list(expected)
    for values, times, (mean, start, end) in zip(aligned.values, aligned.intervals, expected.values(), strict=True):
        np.testing.assert_allclose(values, mean, atol=1e-5)
        np.testing.assert_allclose(times, (start, end), atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_definition_on_awkward_intervals(seed):
    random = np.random.default_rng(seed)
    starts = random.uniform(0, 20, 200)
    intervals = np.stack([starts, starts + random.choice([0.0, 0.01, 0.1, 2.0], 200)], axis=1)
    intervals = intervals[(intervals[:, 0] < 8) | (intervals[:, 0] > 10)]  # a gap
    values = random.standard_normal((len(intervals), 5)).astype(np.float32)
    edges = np.sort(random.uniform(0, 21, 50))
    words = np.stack([edges[:-1], edges[1:]], axis=1)
    words[::7, 1] = words[::7, 0]  # zero-length words
    words[::5, 1] += 1.0  # words that overlap
    words[-1] = (100, 101)  # a word beyond the end
    assert_same(alignment.average(words, intervals, values), plain(words, intervals, values))


def test_equals_the_definition_on_a_regular_rate():
    intervals, values = frames(10, 100, 4)
    words = np.array([[0.0, 0.305], [0.305, 1.0], [1.0, 1.0], [2.5, 2.504], [9.9, 12.0]])
    assert_same(alignment.average(words, intervals, values), plain(words, intervals, values))


def test_one_bad_value_stays_within_its_word():
    intervals, values = frames(4, 100, 3)
    values[50, 1], values[120, 2] = -np.inf, np.nan
    means = alignment.average(np.array([[0, 1], [1, 2], [2, 3], [3, 4.0]]), intervals, values).values
    assert np.argwhere(~np.isfinite(means)).tolist() == [[0, 1], [1, 2]]


def test_a_large_offset_does_not_eat_small_differences():
    intervals, values = frames(3000, 100, 1)
    values = values + np.float32(1000)
    words = np.array([[2999.0, 3000.0]])
    expected = values[299900:300000].astype(np.float64).mean()
    assert abs(alignment.average(words, intervals, values).values[0, 0] - expected) < 1e-4


def test_nothing_overlaps_nothing():
    empty = alignment.average(np.array([[5.0, 6.0]]), np.zeros((0, 2)), np.zeros((0, 3)))
    assert empty.values.shape == (0, 3)
    assert len(alignment.average(np.array([[5.0, 6.0]]), *frames(2, 10, 3)).rows) == 0


def test_within_gives_each_segment_its_intervals_in_time_order():
    words = np.array([[2.0, 3.0], [0.0, 1.0], [1.0, 2.0]])
    chosen = alignment.within(np.array([[0.5, 2.5], [9.0, 10.0], [0.0, 1.0]]), words)
    assert [part.tolist() for part in chosen] == [[1, 2, 0], [], [1]]
