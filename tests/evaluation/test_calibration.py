import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from emoembed import recipes
from emoembed.errors import InputError
from emoembed.evaluation.calibration import calibrate
from emoembed.evaluation.metrics import expected_calibration_error
from emoembed.train import TrainConfig, fit, predict_logits


@pytest.fixture
def valid(toy):
    return toy(300, 3, noise=4.0)


@pytest.fixture
def trained(units_model, toy):
    config = TrainConfig(epochs=8, batch_size=16, learning_rate=0.02, bf16=False)
    recipes.prepare(units_model, toy(90, 1))
    fit(units_model, toy(90, 1), toy(60, 2), config)
    return units_model


def test_the_temperature_minimises_the_loss_on_validation(trained, valid):
    calibrate(trained, "video", valid)
    logits = torch.from_numpy(predict_logits(trained, valid)["video"])
    goal = torch.from_numpy(valid.targets.argmax(axis=1))
    temperature = float(trained.calibration("video")[0])

    def loss(t):
        return float(cross_entropy(logits / t, goal))

    assert loss(temperature) <= min(loss(temperature * 1.2), loss(temperature / 1.2), loss(1.0)) + 1e-6


def test_slope_and_offset_make_the_mean_probability_the_share_that_bears_it(trained, valid):
    calibrate(trained, "video", valid)
    logits = {"video": torch.from_numpy(predict_logits(trained, valid)["video"])}
    probabilities = trained.calibrated(logits, multi_label=True)["video"].sigmoid().numpy()
    assert probabilities.mean() == pytest.approx(valid.targets.mean(), abs=0.01)
    assert expected_calibration_error(probabilities.ravel(), valid.targets.ravel()) < 0.06


def test_few_and_misleading_rows_neither_turn_the_order_nor_make_it_extreme(trained, toy):
    few = toy(3, 5)
    calibrate(trained, "video", few)
    sure = trained.calibration("video").clone()
    calibrate(trained, "video", type(few)(few.ids, few.inputs, few.labels, few.targets[::-1].copy(), few.multi_label))
    for temperature, slope, offset in (sure, trained.calibration("video")):
        assert 0.2 < temperature < 10
        assert 0.05 < slope < 5
        assert abs(offset) < 10


def test_a_modality_that_knows_nothing_weighs_almost_nothing(units_model, valid, toy):
    noise = toy(300, 3, noise=300.0)
    calibrate(units_model, "video", noise)
    assert units_model.log_weight["video"].exp() < 0.1


def test_a_weight_learned_jointly_stays(units_model, valid):
    calibrate(units_model, "video", valid, weigh=False)
    assert units_model.log_weight["video"] == 0.0
    assert units_model.calibration("video")[0] != 1.0


def test_rows_of_several_labels_alone_cannot_calibrate(units_model, valid):
    targets = np.ones_like(valid.targets)
    with pytest.raises(InputError, match="validation rows of exactly one label; there are none"):
        calibrate(units_model, "video", type(valid)(valid.ids, valid.inputs, valid.labels, targets, ~valid.multi_label))
