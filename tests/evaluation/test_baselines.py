import numpy as np
import pytest
import torch

from emoembed.errors import LabelError
from emoembed.evaluation import baselines
from emoembed.model.config import ModalityConfig
from emoembed.reading.rows import EmotionData
from emoembed.training.config import TrainConfig
from emoembed.training.loop import optimise, predict_logits


@pytest.fixture
def two(toy):
    """Rows of two modalities; every fifth lacks the second."""
    rows = toy(rows=60)
    video = rows.inputs["video"]
    audio = {i: values @ np.eye(6, 4, dtype=np.float32) for n, (i, values) in enumerate(video.items()) if n % 5}
    inputs = {"audio": audio, "video": video}
    return EmotionData(rows.ids, inputs, rows.labels, rows.targets, rows.multi_label)


MODALITIES = {
    "audio": ModalityConfig("sequence", "recurrent", 12, ("a", "b", "c", "d")),
    "video": ModalityConfig("sequence", "recurrent", 12, tuple("efghij")),
}


@pytest.mark.parametrize("name", baselines.CLOSED_SET)
def test_each_learns_through_the_same_loop(name, two):
    torch.manual_seed(0)
    model = baselines.ClosedSet(two.labels, MODALITIES, baselines.CLOSED_SET[name])
    model.fit_inputs(two)
    optimise(model, two, two, TrainConfig(epochs=12, batch_size=16, learning_rate=3e-3, bf16=False))
    logits = predict_logits(model, two)["fused"]
    assert (logits.argmax(axis=1) == two.targets.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize("name", baselines.CLOSED_SET)
def test_padding_is_inert(name, two):
    model = baselines.ClosedSet(two.labels, MODALITIES, baselines.CLOSED_SET[name]).eval()
    batch = two.batch(np.arange(5))
    longer = {m: (torch.nn.functional.pad(f, (0, 0, 0, 4), value=1e3), n) for m, (f, n) in batch.items()}
    torch.testing.assert_close(model.encode(longer)["joint"], model.encode(batch)["joint"], atol=1e-5, rtol=1e-4)


def test_none_answers_for_a_label_it_was_not_trained_on(two):
    model = baselines.ClosedSet(two.labels, MODALITIES, baselines.EarlyFusion)
    with pytest.raises(LabelError, match="cannot predict awe"):
        model.embed(["awe"])


def test_answers_that_look_at_nothing():
    train = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 1]], bool)
    several = baselines.trivial(train, np.zeros((6, 3), bool), multi_label=True)
    assert not several["always negative"].any()
    assert several["majority"].tolist() == [[True, False, False]] * 6
    predictions = baselines.trivial(np.eye(3, dtype=bool)[[0, 0, 1]], np.zeros((200, 3), bool), multi_label=False)
    assert predictions["prior"].sum(axis=1).tolist() == [1] * 200
    assert not predictions["prior"][:, 2].any()
    assert 0.55 < predictions["prior"][:, 0].mean() < 0.78
    figures = baselines.by_label(
        predictions["majority"], np.eye(3, dtype=bool)[[0, 1, 2] * 66 + [0, 0]], ("a", "b", "c")
    )
    assert figures["a"]["wacc"] == figures["b"]["wacc"] == 0.5


def test_ridge_finds_a_label_held_out_where_its_point_says_and_not_where_points_were_dealt_anew():
    draw = np.random.default_rng(0)
    points = draw.standard_normal((8, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    true = np.arange(320) % 8
    inputs = points[true] @ draw.standard_normal((3, 12)) + 0.3 * draw.standard_normal((320, 12))
    splits = [np.where(np.arange(320) < 200, "train", "valid")]
    assert baselines.held_out_ridge(points, inputs, true, splits, "valid") > 0.9
    assert baselines.held_out_ridge(points[[3, 6, 1, 7, 0, 2, 4, 5]], inputs, true, splits, "valid") < 0.75
