import numpy as np
import pytest

from emoembed.prediction.result import disagreement


def test_modalities_that_say_the_same_agree_and_opposite_ones_disagree():
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert disagreement([one, one], [0.5, 0.5]) == pytest.approx(0.0)
    assert disagreement([one, other], [0.5, 0.5]) == pytest.approx(1.0)
    assert disagreement([one, other], [0.9, 0.1]) == pytest.approx(1.0)
    assert 0.0 < disagreement([one, np.array([0.5, 0.5])], [0.5, 0.5]) < 1.0


def test_one_modality_has_nobody_to_disagree_with():
    assert disagreement([np.array([0.3, 0.7])], [1.0]) == 0.0
    assert disagreement([np.array([0.3, 0.7]), np.array([0.9, 0.1])], [1.0, 0.0]) == 0.0
