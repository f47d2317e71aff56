"""Points of training rows come from models that did not see their dialogues."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emoembed.errors import InputError
from emoembed.model.config import ModalityConfig
from emoembed.training.config import TrainConfig
from emoembed.training.dialogue import cross_fit as crossing
from emoembed.training.dialogue.cross_fit import cross_fit
from emoembed.training.fit import train
from emoembed.training.recipes import Recipe


@pytest.fixture
def recipe(units_model):
    config = units_model.config.modalities["video"]
    assert isinstance(config, ModalityConfig)
    training = TrainConfig(epochs=2, learning_rate=0.05, stay_close=0.0, bf16=False)
    return Recipe({"video": config}, units_model.phrases, training)


@pytest.fixture
def rows(toy):
    return toy(60)


@pytest.fixture
def groups(rows):
    """Twelve dialogues of five rows."""
    return {row: f"d{i // 5}" for i, row in enumerate(rows.ids)}


def test_no_model_sees_the_dialogues_whose_points_it_gives(recipe, rows, groups, monkeypatch):
    seen = []

    def recorded(recipe, train_rows, *args, **options):
        model, history = train(recipe, train_rows, *args, **options)
        seen.append(({groups[row] for row in train_rows.ids}, model))
        return model, history

    whole, _ = train(recipe, rows, rows)
    monkeypatch.setattr(crossing, "train", recorded)
    points = cross_fit(recipe, rows, rows, groups, whole)
    assert set(points) == set(rows.ids)
    assert len(seen) == 3
    for row, point in points.items():
        (model,) = [model for dialogues, model in seen if groups[row] not in dialogues]
        position = rows.ids.index(row)
        again = crossing.encode_rows(model, rows.rows(np.array([position])))["video"][0]
        torch.testing.assert_close(point, again, atol=1e-5, rtol=1e-5)


def test_all_points_are_compared_with_the_labels_of_one_model(recipe, rows, groups, monkeypatch):
    """With projections of their own, the models would put labels in different places."""
    models = []

    def recorded(*args, **options):
        models.append(train(*args, **options)[0])
        return models[-1], None

    whole, _ = train(recipe, rows, rows)
    moved = {name: value + 0.01 for name, value in whole.state_dict().items()}
    whole.load_state_dict(moved)
    monkeypatch.setattr(crossing, "train", recorded)
    cross_fit(recipe, rows, rows, groups, whole)
    expected = whole.label_points(rows.labels)["video"]
    for model in models:
        same = [torch.equal(*pair) for pair in zip(model.label_parameters(), whole.label_parameters(), strict=True)]
        assert same
        assert all(same)
        assert model.label_points(rows.labels)["video"].shape == expected.shape


def test_one_dialogue_cannot_be_divided(recipe, rows):
    whole, _ = train(replace(recipe, config=replace(recipe.config, epochs=1)), rows, rows)
    with pytest.raises(InputError, match="at least two dialogues to divide"):
        cross_fit(recipe, rows, rows, dict.fromkeys(rows.ids, "d"), whole)
