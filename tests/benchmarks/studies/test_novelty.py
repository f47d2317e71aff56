import pytest
import torch
from studies import novelty

from emoembed.errors import InputError
from emoembed.model import expectation
from emoembed.model.expectation import HeldOut


def test_what_is_expected_is_the_line_through_what_was_held_out(units_model):
    held_out = [
        HeldOut(str(i), x, 0.5 + 0.4 * x, 2.0 * new, -3.0 * new)
        for i, (x, new) in enumerate(((0.1, 1.0), (0.5, 1.0), (0.9, 0.2)))
    ]
    units_model = units_model.with_seen({"video": ("joy",)})
    expectation.apply(units_model, "video", held_out * 5)
    trust = units_model.modality("video").calibration
    torch.testing.assert_close(trust.novelty, torch.tensor([2.0, -3.0]) * 3 / 11)
    start, slope, error = trust.expected.tolist()
    assert slope == pytest.approx(0.4, abs=0.02)
    assert start + slope * 0.5 == pytest.approx(0.7, abs=0.005)
    assert error < 0.02


def test_the_offset_that_lacks_is_found():
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=draw)
    shifted = torch.cat([logits[:, :2], logits[:, 2:] + 1.5], dim=1)
    chosen = torch.distributions.Categorical(logits=shifted).sample()
    bears = torch.nn.functional.one_hot(chosen, 3).float()
    assert novelty._missing(logits, bears, softmax=True)[0] == pytest.approx(1.5, abs=0.2)
    alone = (torch.rand(4000, 1, generator=draw) < (logits[:, 2:] - 1.0).sigmoid()).float()
    offset, certain = novelty._missing(logits, torch.cat([bears[:, :2], alone], 1), softmax=False)
    assert offset == pytest.approx(-1.0, abs=0.2)
    assert novelty._missing(logits[:400], torch.cat([bears, alone], 1)[:400, [0, 1, 3]], softmax=False)[1] < certain / 5


def test_an_uncertain_offset_counts_little():
    sure, unsure = HeldOut("a", 0.5, 0.7, 1.0, 0.0, 50.0, 1.0), HeldOut("b", 0.5, 0.7, 6.0, 0.0, 0.5, 1.0)
    assert expectation.lacking([sure, unsure], "softmax") == pytest.approx(2 / 10 * 1.05, abs=0.01)
    assert expectation.lacking([], "softmax") == 0.0


def test_few_labels_held_out_move_new_ones_little():
    held_out = [HeldOut(str(i), 0.75, 0.7, 1.0, 2.0) for i in range(24)]
    assert expectation.lacking(held_out, "softmax") == pytest.approx(2.0 * 24 / 32)
    assert expectation.lacking(held_out[:8], "sigmoid") == pytest.approx(4.0 * 8 / 16)
    assert expectation.lacking(held_out[:8] * 4, "sigmoid") == pytest.approx(
        4.0 * 8 / 16
    )  # four folds of the same labels


def test_too_few_labels_tell_nothing(units_model):
    with pytest.raises(InputError, match="at least three held-out labels"):
        expectation.apply(
            units_model, "video", [HeldOut("joy", 0.5, 0.7, 0.0, 0.0)] * 4
        )  # one label in each of four folds
