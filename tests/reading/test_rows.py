import numpy as np
import pytest
import torch

from emoembed.errors import InputError
from emoembed.reading.rows import EmotionData, Excerpts, buckets, collate, join


def test_holding_out_takes_rows_and_column(toy):
    held = toy(30).without(["anger"])
    assert held.labels == ("joy", "sadness")
    assert len(held) == 20
    assert (held.targets.sum(axis=1) == 1).all()


def test_a_row_with_a_seen_and_an_unseen_label_goes():
    store = {"a": np.zeros((1, 2)), "b": np.zeros((1, 2))}
    data = EmotionData(("a", "b"), {"text": store}, ("joy", "love"), np.array([[1, 1], [1, 0]], "f4"), np.ones(2, bool))
    assert data.without(["love"]).ids == ("b",)


def test_joining_marks_what_was_not_annotated(toy):
    both = join([toy(6, 1, ("joy", "anger")), toy(6, 2, ("anger", "awe"))])
    assert both.labels == ("joy", "anger", "awe")
    assert np.isnan(both.targets[:6, 2]).all()
    assert np.isnan(both.targets[6:, 0]).all()
    with pytest.raises(InputError, match="share row ids"):
        join([toy(6, 1), toy(6, 1)])


def test_collate_pads_and_counts():
    frames, lengths = collate([np.ones((2, 3)), None, np.ones((5, 3))], max_frames=4)
    assert frames.shape == (3, 4, 3)
    assert lengths.tolist() == [2, 0, 4]
    assert frames[0, 2:].abs().sum() == 0
    assert frames.dtype == torch.float32


def test_excerpts_are_drawn_anew_from_all_over_an_item():
    store = {"long": np.arange(100)[:, None], "short": np.arange(7)[:, None]}
    parts = Excerpts(store, 10, seed=1)
    assert list(parts) == ["long", "short"]
    np.testing.assert_array_equal(parts["short"], store["short"])
    drawn = [parts["long"][:, 0] for _ in range(60)]
    for one in drawn:
        np.testing.assert_array_equal(one // 10, np.arange(10))
    assert set(np.concatenate(drawn)) == set(range(100))
    again = Excerpts(store, 10, seed=1)
    assert "long" in again
    assert "other" not in again
    np.testing.assert_array_equal([again["long"][:, 0] for _ in range(60)], drawn)


def test_buckets_hold_every_row_once_and_like_lengths():
    lengths = np.random.default_rng(0).integers(1, 500, 1000)
    batches = list(buckets(lengths, 16, np.random.default_rng(0)))
    assert sorted(np.concatenate(batches)) == list(range(1000))
    assert np.mean([np.ptp(lengths[batch]) for batch in batches]) < 0.1 * np.ptp(lengths)
