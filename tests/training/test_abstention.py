import pytest
import torch

from emoembed.model.calibration import RISKS, Reliability, confidence
from emoembed.training.abstention import halves, lists, risk_thresholds


def test_answers_above_a_threshold_are_wrong_no_more_often_than_its_risk():
    draw = torch.Generator().manual_seed(0)
    sure = torch.rand(5000, generator=draw)
    wrong = torch.rand(5000, generator=draw) > sure
    thresholds = risk_thresholds(sure, wrong)
    for risk, threshold in zip(RISKS, thresholds, strict=True):
        assert wrong[sure >= threshold].float().mean() <= risk + 1e-6
    assert bool((thresholds.diff() <= 0).all())


def test_lists_without_a_right_answer_count_half_however_many_there_are():
    for labels in (2, 3, 8, 28):
        label_lists = list(lists(labels, seed=0))
        answerable = torch.tensor([0 in one for one in label_lists])
        counts = halves(answerable)
        assert 0 < int(answerable.sum()) < len(label_lists)
        assert float(counts[answerable].sum()) == pytest.approx(float(counts[~answerable].sum()))
    sure, wrong = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([False, False, False, True])
    plain, weighed = (risk_thresholds(sure, wrong, counts) for counts in (None, torch.tensor([1.0, 1, 1, 9])))
    assert plain[RISKS.index(0.3)] == pytest.approx(0.6)  # a quarter wrong
    assert weighed[RISKS.index(0.3)] == pytest.approx(0.7)  # nine twelfths wrong with the last


def test_nothing_is_answered_where_no_confidence_is_enough():
    thresholds = risk_thresholds(torch.rand(100), torch.ones(100, dtype=torch.bool))
    assert bool((thresholds > 1).all())


def test_between_risks_the_threshold_lies_between():
    reliability = Reliability(3, 0)
    reliability.thresholds.copy_(torch.linspace(0.9, 0.4, len(RISKS)))
    assert reliability.threshold(RISKS[0]) == pytest.approx(0.9)
    assert reliability.threshold(0.15) == pytest.approx((reliability.threshold(0.1) + reliability.threshold(0.2)) / 2)


def test_a_list_without_the_right_label_is_answered_without_confidence():
    softmax, present, absent = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.8, 0.1]]), torch.tensor([[0.05, 0.01]])
    assert confidence(softmax, present) > 10 * confidence(softmax, absent)
