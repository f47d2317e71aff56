import pytest
import torch
from torch.nn.functional import normalize

from emoembed.model.calibration import RISKS, Reliability, confidence

SCALE = torch.tensor(10.0)


@pytest.fixture
def reliability():
    made = Reliability(4, 3)
    made.familiar.copy_(torch.eye(4)[:3])
    made.trust.copy_(torch.tensor([0.9, 0.3, 0.6, 0.2]))
    return made


def test_a_seen_label_is_trusted_as_it_was_measured_and_a_far_one_as_unknown_ones(reliability):
    torch.testing.assert_close(reliability.of(torch.eye(4), SCALE).weight, reliability.trust, atol=0.01, rtol=0)


def test_a_label_between_two_is_trusted_in_between(reliability):
    between = reliability.of(normalize(torch.tensor([[1.0, 1.0, 0.0, 0.0]]), dim=1), SCALE).weight
    assert 0.3 < between.item() < 0.9


def test_what_is_new_is_calibrated_by_how_far_it_is(reliability):
    reliability.novelty.copy_(torch.tensor([2.0, -1.0]))
    points = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0.5], [0, 0, 0, 1.0], [-1, 0, 0, 1.0]])
    seen, near, far, further = normalize(points, dim=1).split(1)
    offsets = [reliability.of(one, SCALE).softmax.offset.item() for one in (seen, near, far, further)]
    assert offsets[0] == 0.0
    assert offsets[3] == offsets[2]  # nothing that was held out was further than quite new
    assert 0.0 < offsets[1] < offsets[2] == pytest.approx(2.0)
    assert reliability.of(far, SCALE).sigmoid.offset.item() == pytest.approx(-1.0)


def test_a_new_label_loses_what_it_has_over_others_as_a_hub(reliability):
    reliability.reference.copy_(
        normalize(torch.randn(256, 4, generator=torch.Generator().manual_seed(0)) + torch.tensor([0, 0, 0, 3.0]), dim=1)
    )
    assert not bool(reliability.of(torch.eye(4), SCALE).hubness.any())
    reliability.hub_share.fill_(1.0)
    seen, near, far = normalize(torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0.5], [0, 0, 0, 1.0]]), dim=1).split(1)
    taken = [reliability.of(one, SCALE).hubness.item() for one in (seen, near, far)]
    assert taken[0] == pytest.approx(0.0, abs=1e-5)
    assert 0.1 < taken[1] < taken[2]
    over = SCALE * (reliability.reference[:, 3].mean() - reliability.reference[:, :3].mean())
    assert taken[2] == pytest.approx(over.item(), rel=1e-4)
    reliability.hub_share.fill_(0.5)
    assert reliability.of(far, SCALE).hubness.item() == pytest.approx(taken[2] / 2)
    reliability.familiar.zero_()
    assert reliability.of(seen, SCALE).hubness.item() == pytest.approx(
        (SCALE * reliability.reference[:, 0].mean() / 2).item()
    )


def test_expected_auc_falls_with_distance_and_is_unknown_where_never_measured(reliability):
    assert bool(reliability.expected_auc(torch.eye(4))[0].isnan().all())
    reliability.expected.copy_(torch.tensor([0.6, 0.3, 0.05]))
    expected, error = reliability.expected_auc(torch.eye(4))
    torch.testing.assert_close(expected, torch.tensor([0.9, 0.9, 0.9, 0.6]))
    assert error == pytest.approx(0.05)


def test_no_auc_below_chance_or_above_one_is_expected(reliability):
    reliability.expected.copy_(torch.tensor([0.3, 0.9, 0.05]))
    expected, _ = reliability.expected_auc(torch.eye(4))
    torch.testing.assert_close(expected, torch.tensor([1.0, 1.0, 1.0, 0.5]))


def test_a_risk_beyond_those_measured_has_the_last_threshold(reliability):
    reliability.thresholds.copy_(torch.linspace(0.9, 0.4, len(RISKS)))
    assert reliability.threshold(0.9) == reliability.threshold(RISKS[-1]) == pytest.approx(0.4)


def test_confidence_is_that_of_the_answer_given():
    softmax, sigmoid = torch.tensor([[0.6, 0.4], [0.6, 0.4]]), torch.tensor([[0.5, 0.9], [0.5, 0.9]])
    torch.testing.assert_close(confidence(softmax, sigmoid), torch.tensor([0.3, 0.3]))
    torch.testing.assert_close(confidence(softmax, sigmoid, torch.tensor([1, 0])), torch.tensor([0.36, 0.3]))
