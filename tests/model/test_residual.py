from dataclasses import replace

import pytest
import torch

from emoembed.encoders.pooled import PooledSettings
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.model.residual import Residual
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.background import fit_background
from emoembed.training.build import build
from emoembed.training.ridge_maps import prepare
from emoembed.transfer import few_shot


def test_directions_are_those_of_the_rows_whitened_and_of_length_one():
    torch.manual_seed(0)
    rows = torch.randn(500, 3) * torch.tensor([9.0, 1.0, 0.01]) + 5.0
    detail = Residual(3, 2)
    assert not detail(rows).any()
    detail.fit(rows)
    torch.testing.assert_close(detail(rows).norm(dim=1), torch.ones(500))
    raw = (rows - detail.centre) @ detail.directions.T
    torch.testing.assert_close(raw.T @ raw / len(rows), torch.eye(2), atol=1e-3, rtol=0)


def test_fewer_rows_than_directions_leave_the_rest_at_zero():
    detail = Residual(5, 4)
    detail.fit(torch.eye(5)[:2])
    assert detail.directions[0].any()
    assert not detail.directions[1:].any()


@pytest.fixture
def model(word_table):
    """Reads six columns, of which words (the map in closed form, fitted on the first two) say nothing of the others."""
    units = ModalityConfig(
        *("units", "pooled", 24, tuple("abcdef"), PooledSettings(overview=1.0)),
        parts=LabelParts(vad_share=0.5),
        residual=5,
    )
    return build({"video": units}, word_table)


def test_points_hold_what_no_word_says_outside_training_alone(model, toy):
    data = toy(60)
    prepare(model, data)
    fit_background(model, data)
    batch, features = data.batch(range(8)), model.embed(("joy", "awe"))
    assert model.encode(batch)["video"].shape == (8, 29)
    torch.testing.assert_close(model.encode(batch)["video"][:, 24:].norm(dim=1), torch.ones(8))
    assert not model.project(features)["video"][:, 24:].any()
    assert Recognizer(model).model.config.modalities["video"].point_dim == 29
    model.train()
    assert model.encode(batch)["video"].shape == (8, 24)
    assert model.project(features)["video"].shape == (2, 24)


def test_examples_teach_what_words_cannot_say(model, toy):
    seen = toy(90)
    prepare(model, seen)
    unlike = replace(seen, inputs={"video": {i: f.copy() for i, f in seen.inputs["video"].items()}})
    draw = torch.Generator().manual_seed(0)
    for n, frames in enumerate(unlike.inputs["video"].values()):
        frames[:, 5] = (3.0 if n % 2 else -3.0) + 0.1 * float(torch.randn(1, generator=draw))
    fit_background(model, unlike)
    points = model.encode(unlike.batch(range(90)))["video"]
    word = model.label_points(("awe",))["video"][0]
    modality = model.modality("video")
    learned = few_shot.learn(modality, word.detach(), points[1:17:2].detach(), modality.background, 8.0)

    def apart(anchor):
        scores = points.detach() @ anchor
        return float((scores[1::2].mean() - scores[0::2].mean()) / scores.std())

    assert apart(learned.anchor) > apart(word.detach()) + 0.3
    assert apart(learned.anchor[:24].new_zeros(29).index_copy(0, torch.arange(24, 29), learned.anchor[24:])) > 1.5


def test_a_model_with_detail_is_saved_whole(model, toy, tmp_path):
    data = toy(60)
    prepare(model, data)
    fit_background(model, data)
    Recognizer(model).save_pretrained(tmp_path / "m")
    again = Recognizer.from_pretrained(tmp_path / "m").model
    batch = data.batch(range(8))
    torch.testing.assert_close(again.encode(batch)["video"], model.encode(batch)["video"], atol=2e-3, rtol=0)
