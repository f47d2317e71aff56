from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from emoembed.errors import InputError
from emoembed.metrics import expected_calibration_error
from emoembed.reading.rows import join
from emoembed.training.calibrate import calibrate
from emoembed.training.config import TrainConfig
from emoembed.training.loop import encode_rows, optimise, predict_logits
from emoembed.training.ridge_maps import prepare


@pytest.fixture
def valid(toy):
    return toy(300, 3, noise=4.0)


@pytest.fixture
def trained(units_model, toy):
    config = TrainConfig(epochs=8, batch_size=16, learning_rate=0.02, bf16=False)
    prepare(units_model, toy(90, 1))
    optimise(units_model, toy(90, 1), toy(60, 2), config)
    return units_model


def of(model, valid, multi_label):
    logits = {"video": torch.from_numpy(predict_logits(model, valid)["video"])}
    points = {"video": model.label_points(valid.labels)["video"].detach()}
    return model.calibrated(logits, model.label_trust(points), multi_label=multi_label)["video"]


def test_the_softmax_is_as_likely_as_a_temperature_can_make_it(trained, valid):
    calibrate(trained, "video", valid)
    goal = torch.from_numpy(valid.targets.argmax(axis=1))
    best = float(cross_entropy(of(trained, valid, False), goal))
    slopes = trained.modality("video").calibration.slopes
    for factor in (0.8, 1.25):
        slopes[0] *= factor
        assert float(cross_entropy(of(trained, valid, False), goal)) > best + 1e-4
        slopes[0] /= factor


def test_calibration_leaves_the_answer_among_labels_as_it_was(units_model, toy):
    """Slopes and offsets by label would answer as often as validation rows bear it, which other rows may not."""
    rows, labels = toy(300, 3), ("joy", "anger", "sadness", "fear", "calm", "disgust")
    which = np.minimum(np.random.default_rng(0).geometric(0.5, 300) - 1, 5)
    valid = type(rows)(rows.ids, rows.inputs, labels, np.eye(6, dtype=np.float32)[which], rows.multi_label)
    points = {"video": units_model.label_points(labels)["video"].detach()}
    raw = units_model.score(encode_rows(units_model, valid), points)["video"].argmax(dim=1)
    calibrate(units_model, "video", valid)
    assert bool((of(units_model, valid, False).argmax(dim=1) == raw).all())


def test_slope_and_offset_make_the_mean_probability_the_share_that_bears_it(trained, valid):
    calibrate(trained, "video", valid)
    probabilities = of(trained, valid, True).sigmoid().numpy()
    assert probabilities.mean() == pytest.approx(valid.targets.mean(), abs=0.01)
    assert expected_calibration_error(probabilities.ravel(), valid.targets.ravel()) < 0.06


def test_few_and_misleading_rows_neither_turn_the_order_nor_make_it_extreme(trained, toy):
    few = toy(3, 5)
    calibrate(trained, "video", few)
    points = {"video": trained.label_points(few.labels)["video"].detach()}
    told = trained.label_trust(points)["video"]
    turned = type(few)(few.ids, few.inputs, few.labels, few.targets[::-1].copy(), few.multi_label)
    calibrate(trained, "video", turned)
    for said in (told, trained.label_trust(points)["video"]):
        for scaling in (said.softmax, said.sigmoid):
            assert 0.05 < scaling.slope < 10
            assert bool((scaling.offset.abs() < 10).all())


def test_a_modality_that_knows_nothing_weighs_almost_nothing(units_model, valid, toy):
    noise = toy(300, 3, noise=300.0)
    calibrate(units_model, "video", noise)
    assert units_model.modality("video").log_weight.exp() < 0.1


def test_a_label_no_validation_row_bears_is_trusted_like_the_others(trained, valid):
    trained = trained.with_seen({"video": (*valid.labels, "boredom")})
    calibrate(trained, "video", valid)
    *measured, unmeasured, unknown = trained.modality("video").calibration.trust.tolist()
    assert len(measured) == len(valid.labels)
    assert unmeasured == pytest.approx(np.mean(measured), abs=1e-5)
    assert unknown == pytest.approx(np.mean(measured) / 2, abs=1e-5)


def test_a_weight_learned_jointly_stays(units_model, valid):
    calibrate(units_model, "video", valid, weigh=False)
    assert units_model.modality("video").log_weight == 0.0
    assert not bool((units_model.modality("video").calibration.slopes == 1.0).any())


def test_rows_of_several_labels_calibrate_each_by_itself(trained, valid):
    targets = valid.targets.copy()
    targets[np.arange(len(targets)), (targets.argmax(axis=1) + 1) % targets.shape[1]] = 1.0
    several = type(valid)(valid.ids, valid.inputs, valid.labels, targets, ~valid.multi_label)
    weight = trained.modality("video").log_weight.detach().clone()
    calibrate(trained, "video", several)
    calibration = trained.modality("video").calibration
    assert calibration.slopes[1] != 1.0
    assert bool(calibration.thresholds.any())
    assert calibration.slopes[0] == 1.0
    assert bool(trained.modality("video").log_weight == weight)
    none = type(valid)(valid.ids, valid.inputs, valid.labels, np.zeros_like(targets), ~valid.multi_label)
    with pytest.raises(
        InputError, match="needs validation rows with a label, but none of 300 has both video and a label"
    ):
        calibrate(trained, "video", none)


def test_a_row_without_the_modality_says_nothing_of_its_labels(trained, valid):
    calibrate(trained, "video", valid)
    calibration = trained.modality("video").calibration
    before, slopes, offsets = calibration.trust.clone(), calibration.slopes.clone(), calibration.offsets.clone()
    more = join(
        [valid, type(valid)(("lacking",), {"video": {}}, valid.labels, valid.targets[:1], valid.multi_label[:1])]
    )
    calibrate(trained, "video", more)
    torch.testing.assert_close(calibration.trust, before)
    torch.testing.assert_close(calibration.slopes, slopes, rtol=0.01, atol=0.01)
    torch.testing.assert_close(calibration.offsets, offsets, rtol=0.01, atol=0.01)


def test_other_corpora_count_as_much_as_the_own_one(trained, toy):
    """Rows whose labels are at random, in another corpus, halve what the scaling may say."""
    own = toy(200, 3)
    calibrate(trained, "video", own)
    calibration = trained.modality("video").calibration
    slope, threshold = float(calibration.slopes[0]), float(calibration.thresholds[0])
    turned = replace(own, targets=own.targets[np.random.default_rng(0).permutation(len(own))])
    calibrate(trained, "video", own, others=[turned])
    assert calibration.slopes[0] < 0.6 * slope
    assert calibration.thresholds[0] > threshold
    slopes, store = calibration.slopes.clone(), own.inputs["video"]
    again = tuple(f"again/{i}" for i in turned.ids)
    many = replace(turned, ids=again, inputs={"video": dict(zip(again, map(store.get, own.ids), strict=True))})
    calibrate(trained, "video", own, others=[join([turned, many])])
    torch.testing.assert_close(calibration.slopes, slopes, rtol=0.05, atol=0.02)
