import importlib.util
from pathlib import Path

import pytest
import torch

from emoembed.labels.emotion import Label, find

SCRIPT = Path(__file__).parents[2] / "benchmarks/by_name.py"


@pytest.fixture(scope="module")
def by_name():
    spec = importlib.util.spec_from_file_location("by_name", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_row_departs_in_what_it_says_and_leaves_the_model_alone(by_name, text_model):
    six = list(by_name.shipped.SIX)
    before = text_model.label_points(six)["text"]
    rows = by_name.variants("as it is", text_model)
    assert rows["as it is"] is text_model
    for name, model in rows.items():
        after = model.label_points(six)["text"]
        assert torch.equal(after, before) == (name == "as it is"), name
        awe = [one.label_points(["awe"])["text"] for one in (model, text_model)]
        assert torch.equal(*awe) != name.endswith("dominance"), name
    assert torch.equal(text_model.label_points(six)["text"], before)


def test_without_ratings_labels_of_one_text_are_one_point(by_name, text_model):
    calm = Label("x", valence=1.0, arousal=-1.0, dominance=0.0)
    loud = Label("x", valence=-1.0, arousal=1.0, dominance=1.0)
    for model, same in ((text_model, False), (by_name.without_ratings(text_model), True)):
        points = [model.label_points([one])["text"] for one in (calm, loud)]
        assert torch.allclose(*points, atol=1e-6) == same


def test_a_label_means_what_the_row_says(by_name):
    joy = find("joy")
    parts = {name: (bool(change(joy).synonyms), bool(change(joy).definition)) for name, change in by_name.MEANT.items()}
    assert joy.synonyms
    assert joy.definition
    assert parts == {
        "names in templates alone": (False, False),
        "names and synonyms, no definition": (True, False),
        "names and definition, no synonyms": (False, True),
    }
