import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from emoembed import metrics
from emoembed.metrics import best_offset, expected_calibration_error, seen_offset


def test_uar_is_the_mean_recall_of_the_classes_there():
    true, predicted = np.array([0, 0, 0, 0, 2, 2]), np.array([0, 0, 0, 1, 2, 0])
    assert metrics.uar(predicted, true) == pytest.approx((0.75 + 0.5) / 2)
    assert np.isnan(metrics.uar(predicted, true, [5]))


def test_harmonic_mean():
    assert metrics.harmonic_mean(0.6, 0.3) == pytest.approx(0.4)
    assert metrics.harmonic_mean(0.6, 0.0) == 0.0


def test_thresholds_separate_what_can_be_separated():
    bears = np.random.default_rng(0).random((200, 3)) < 0.3
    scores = bears + 0.4 * np.random.default_rng(1).random((200, 3))
    assert metrics.macro_f1(scores >= metrics.best_thresholds(scores, bears), bears) == 1.0


def test_macro_f1_is_scikit_learns():
    generator = np.random.default_rng(0)
    predicted, bears = generator.random((2, 80, 5)) < 0.3
    predicted[:, 4] = bears[:, 4] = False
    expected = f1_score(bears, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(predicted, bears) == pytest.approx(expected)


def test_macro_f1_of_one_label_is_its_f1():
    bears, predicted = np.array([[1, 1, 0, 0, 0]], bool).T, np.array([[1, 0, 1, 0, 0]], bool).T
    assert metrics.macro_f1(predicted, bears) == 0.5
    nothing = np.zeros((5, 1), bool)
    assert metrics.macro_f1(np.hstack([predicted, nothing]), np.hstack([bears, nothing])) == 0.25


def test_an_absent_label_has_no_auc():
    assert np.isnan(metrics.auc(np.arange(3.0), np.zeros(3, bool)))
    assert metrics.auc(np.arange(4.0), np.array([0, 0, 1, 1])) == 1.0


def test_the_bootstrap_redraws_whole_groups():
    values = np.repeat([0.0, 0.0, 1.0], 50)
    groups = np.repeat([0, 1, 2], 50)
    low, high = metrics.bootstrap(lambda rows: values[rows].mean(), groups, samples=500)
    assert (low, high) == (0.0, 1.0)
    assert np.isnan(metrics.bootstrap(lambda rows: values[rows].mean(), values)).all()  # of two groups


def test_a_rare_label_that_redrawn_rows_miss_does_not_widen_the_interval():
    bears = np.arange(200)[:, None] == np.array([0, 1])  # two labels of one row each, both always told

    def of(rows, absent):
        return metrics.macro_f1(bears[rows], bears[rows], absent)

    assert metrics.bootstrap(lambda rows: of(rows, np.nan), np.arange(200)) == (1.0, 1.0)
    assert metrics.bootstrap(lambda rows: of(rows, 0.0), np.arange(200))[0] == 0.0
    assert metrics.f1(np.zeros(3, bool), np.zeros(3, bool)) == 0.0


def test_a_mean_of_something_unknown_is_unknown():
    assert np.isnan(metrics.harmonic_mean(0.5, float("nan")))
    assert metrics.harmonic_mean(0.0, 0.0) == 0.0


def test_calibration_error_by_hand():
    assert expected_calibration_error(np.array([0.9, 0.9, 0.1]), np.array([1, 0, 0])) == pytest.approx(
        2 / 3 * 0.4 + 1 / 30
    )


def test_calibration_error_by_chance_is_what_right_probabilities_have():
    one_bin = np.full(1000, 0.5)
    assert metrics.chance_calibration_error(one_bin) == pytest.approx(np.sqrt(2 / np.pi * 0.25 / 1000), rel=0.15)
    sure = np.random.default_rng(0).integers(0, 2, 500).astype(float)
    assert metrics.chance_calibration_error(sure) == 0.0
    spread = np.random.default_rng(1).random(4000)
    assert metrics.chance_calibration_error(spread[:40]) > 3 * metrics.chance_calibration_error(spread)


def test_the_seen_offset_gives_up_no_more_than_allowed():
    generator = np.random.default_rng(0)
    true = generator.integers(0, 3, 300)
    logits = generator.standard_normal((300, 4)) + 2 * np.eye(4)[true]
    seen = np.array([True, True, True, False])
    closed = metrics.uar(logits[:, :3].argmax(axis=1), true)
    offset = seen_offset(logits, true, seen, 0.2)
    assert metrics.uar((logits - offset * seen).argmax(axis=1), true) >= 0.8 * closed
    assert metrics.uar((logits - (offset + 0.3) * seen).argmax(axis=1), true) < 0.8 * closed


def test_balanced_accuracy_is_scikit_learns_and_defined_when_a_class_is_absent():
    generator = np.random.default_rng(0)
    predicted, bears = generator.random((2, 60)) < 0.3
    assert metrics.balanced_accuracy(predicted, bears) == pytest.approx(balanced_accuracy_score(bears, predicted))
    none = np.zeros(4, bool)
    assert metrics.balanced_accuracy(np.array([True, False, False, False]), none) == 0.75
    assert metrics.balanced_accuracy(none, np.array([True, False, False, False])) == 0.5


def test_f1_and_weighted_f1_are_scikit_learns():
    generator = np.random.default_rng(1)
    predicted, bears = generator.random((2, 60)) < 0.3
    assert metrics.f1(predicted, bears) == pytest.approx(f1_score(bears, predicted))
    assert metrics.f1(np.zeros(3, bool), np.zeros(3, bool)) == 0.0
    answered, true = generator.integers(0, 4, (2, 60))
    assert metrics.weighted_f1(answered, true) == pytest.approx(f1_score(true, answered, average="weighted"))


def test_balanced_thresholds_have_the_best_balanced_accuracy():
    generator = np.random.default_rng(2)
    bears = generator.random((80, 2)) < 0.2
    scores = bears + generator.standard_normal((80, 2))
    cuts = metrics.balanced_thresholds(scores, bears)
    for i in range(2):
        reached = metrics.balanced_accuracy(scores[:, i] >= cuts[i], bears[:, i])
        others = [metrics.balanced_accuracy(scores[:, i] >= cut, bears[:, i]) for cut in scores[:, i]]
        assert reached == pytest.approx(max(others))


def test_ausuc_by_hand():
    seen = np.array([True, False])
    true = np.array([0, 0, 1, 1])
    separate = np.array([[2.0, 0], [2, 0], [0, 2], [0, 2]])
    assert metrics.ausuc(separate, true, seen) == pytest.approx(1.0)
    # one seen row and one unseen row stand on the wrong side of each other: the curve is (0, 1), (0.5, 0.5), (1, 0)
    mixed = np.array([[3.0, 0], [0, 0], [1, 0], [-2, 0]])
    curve = metrics.ausuc(mixed, true, seen)
    assert curve == pytest.approx(0.75, abs=0.01)
    assert np.isnan(metrics.ausuc(separate[:2], true[:2], seen))


def test_the_best_offset_serves_the_pseudo_unseen_label():
    logits = np.array([[4.0, 1, 0], [1, 4, 0], [3, 0, 1], [0, 3, 1.5]])
    true, seen = np.array([0, 1, 2, 2]), np.array([True, True, False])
    offset = best_offset(logits, true, seen)
    assert ((logits - offset * seen).argmax(axis=1) == true).all()
