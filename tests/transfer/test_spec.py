import pytest
import torch
from torch import nn

from emoembed.encoders.context import ContextEncoder, ContextSettings
from emoembed.transfer.spec import SPECS, TransferSpec


@pytest.fixture
def source():
    encoder = ContextEncoder({"text": 6}, ContextSettings(5))
    for parameter in encoder.parameters():
        nn.init.normal_(parameter)
    return encoder.state_dict()


@pytest.fixture
def target():
    return ContextEncoder({"text": 6}, ContextSettings(5))


def test_full_moves_everything(source, target):
    report = SPECS["full"].apply(source, target)
    assert all(torch.equal(value, source[name]) for name, value in target.state_dict().items())
    assert report.share == 1
    assert set(report.loaded) == set(source)
    assert report.skipped == report.mismatched == report.untouched == ()


def test_tl_erc_moves_the_recurrence_and_its_projections(source, target):
    report = SPECS["tl_erc"].apply(source, target)
    own = tuple(sorted(name for name in source if name.startswith("own_")))
    assert len(own) == 5, "pre-training does not train the recurrence over the speaker's own turns"
    assert report.skipped == report.untouched == (*own, "strength.text")
    assert target.strength["text"].item() == 0.5
    assert torch.equal(target.gru.weight_hh_l0, source["gru.weight_hh_l0"])
    total = sum(value.numel() for value in source.values())
    kept = 1 + sum(source[name].numel() for name in own)
    assert report.share == pytest.approx((total - kept) / total)


def test_random_moves_nothing(source, target):
    before = {name: value.clone() for name, value in target.state_dict().items()}
    report = SPECS["random"].apply(source, target)
    assert report.share == 0
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_shuffled_moves_the_numbers_but_not_their_places(source, target):
    SPECS["shuffled"].apply(source, target)
    moved, original = target.gru.weight_hh_l0.flatten(), source["gru.weight_hh_l0"].flatten()
    assert torch.equal(moved.sort().values, original.sort().values)
    assert not torch.equal(moved, original)
    again = ContextEncoder({"text": 6}, ContextSettings(5))
    SPECS["shuffled"].apply(source, again)
    assert torch.equal(again.gru.weight_hh_l0, target.gru.weight_hh_l0)


def test_what_does_not_fit_is_reported(source):
    other = ContextEncoder({"text": 7}, ContextSettings(5))
    report = SPECS["full"].apply({**source, "extra.weight": torch.ones(2)}, other)
    assert report.mismatched == ("extra.weight", "inputs.text.weight", "outputs.text.weight", "own_outputs.text.weight")
    assert "gru.weight_hh_l0" in report.loaded
    assert set(report.untouched) == {"inputs.text.weight", "outputs.text.weight", "own_outputs.text.weight"}
    assert 0 < report.share < 1


def test_patterns_choose_by_name(source, target):
    report = TransferSpec("gates", ("gru.weight_*",)).apply(source, target)
    assert report.loaded == ("gru.weight_hh_l0", "gru.weight_ih_l0")
