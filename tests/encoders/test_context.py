import pytest
import torch
from torch.nn.functional import normalize

from emoembed.encoders.context import ContextState, in_context


@pytest.fixture
def turns():
    return [{"text": normalize(torch.randn(12), dim=0)} for _ in range(5)]


def test_a_point_moves_by_the_mean_of_the_earlier_turns(turns):
    background = torch.randn(12) / 5
    state = ContextState()
    for turn in turns[:4]:
        state = state.add({"text": turn["text"] - background})
    earlier = torch.stack([turn["text"] for turn in turns[:4]]) - background
    expected = normalize(turns[4]["text"] + 0.7 * earlier.mean(dim=0), dim=0)
    torch.testing.assert_close(in_context(turns[4], state, 0.7)["text"], expected)
    assert state.turns == 4


def test_a_turn_with_nothing_before_it_keeps_every_bit(turns):
    for scale in (1.0, 1.0 + 1e-7):  # a norm that normalising again would change
        turn = {"text": turns[0]["text"] * scale}
        assert torch.equal(in_context(turn, ContextState(), 0.5)["text"], turn["text"])
        heard = ContextState().add({"audio": torch.randn(12)})
        assert torch.equal(in_context(turn, heard, 0.5)["text"], turn["text"])
        read = ContextState().add(turns[1])
        assert torch.equal(in_context(turn, read, 0.0)["text"], turn["text"])


def test_columns_without_labels_stay(turns):
    state = ContextState().add(turns[0])
    long_point = torch.cat([turns[1]["text"], torch.tensor([3.0, 4.0])])
    moved = in_context({"text": long_point}, state)["text"]
    assert torch.equal(moved[12:], long_point[12:])
    assert moved[:12].norm() == pytest.approx(1, abs=1e-6)
    assert torch.equal(long_point[:12], turns[1]["text"]), "the point of the caller has changed"


def test_a_turn_without_any_modality_leaves_the_state():
    state = ContextState().add({"text": torch.ones(3)})
    assert state.add({}) is state
