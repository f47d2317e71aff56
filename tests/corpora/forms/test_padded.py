import numpy as np
import pytest

from emoembed.corpora.forms import padded
from emoembed.errors import CorpusError

ITEMS = [np.ones((3, 2)), np.array([[1, 0], [0, 0], [0, 1.0]]), np.ones((5, 2))]  # the second has an empty step inside


def pad(side, steps=5):
    blanks = [np.zeros((steps - len(item), 2)) for item in ITEMS]
    return np.stack([np.concatenate([b, i] if side == "left" else [i, b]) for b, i in zip(blanks, ITEMS, strict=True)])


@pytest.mark.parametrize("side", ["left", "right"])
def test_unpadding_gives_back_what_was_padded(side):
    array = pad(side)
    filled = padded.filled_steps(array)
    assert padded.padding_side(filled) == side
    lengths = padded.lengths_of(filled, side)
    assert lengths.tolist() == [3, 3, 5]
    for item, back in zip(ITEMS, padded.unpad(array, lengths, side), strict=True):
        np.testing.assert_array_equal(back, item)


def test_a_step_counts_as_filled_if_any_modality_holds_something():
    text, face = np.zeros((1, 3, 2)), np.zeros((1, 3, 4))
    text[0, 1:], face[0, 0, 0] = 1, np.nan
    assert padded.filled_steps(text, face).tolist() == [[True, True, True]]


def test_full_arrays_are_not_padded_and_empty_items_have_no_length():
    assert padded.padding_side(np.ones((2, 4), bool)) == "none"
    filled = np.array([[False] * 3, [False, True, True]])
    assert padded.lengths_of(filled, "left").tolist() == [0, 2]
    assert padded.lengths_of(filled, "none").tolist() == [0, 3]


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(CorpusError, match="do not fit"):
        padded.unpad(np.zeros((2, 4, 1)), [5, 1], "right")
    with pytest.raises(CorpusError, match="0 lengths of at most 0 do not fit"):
        padded.unpad(np.zeros((2, 4, 1)), [], "right")
