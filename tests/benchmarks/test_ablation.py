import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from emoembed.training.background import with_seen

SCRIPT = Path(__file__).parents[2] / "benchmarks/ablation.py"


@pytest.fixture
def ablation(monkeypatch):
    spec = importlib.util.spec_from_file_location("ablation", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "ablation", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("method", ["mean", "inverted softmax", "CSLS"])
def test_hubs_are_taken_off_labels_as_far_as_they_are_new(ablation, text_model, method):
    text_model = with_seen(text_model, ("joy", "anger"))
    trust, points = text_model.modality("text").calibration, text_model.label_points(["joy", "anger", "nostalgia"])
    draw = torch.Generator().manual_seed(0)
    trust.reference.copy_(normalize(torch.randn(trust.reference.shape, generator=draw), dim=1))
    ablation.correct_hubs(text_model, method)
    taken = trust.of(points["text"], text_model.modality("text").scale).hubness
    torch.testing.assert_close(taken[:2], torch.zeros(2))
    assert taken[2] != 0


@pytest.mark.parametrize("method", ["none", "mean", "inverted softmax", "CSLS"])
def test_each_way_of_taking_hubs_off_reaches_the_scores(ablation, text_model, method):
    trust, points = text_model.modality("text").calibration, text_model.label_points(["joy", "anger", "awe"])
    trust.reference.copy_(
        normalize(torch.randn(trust.reference.shape, generator=torch.Generator().manual_seed(0)), dim=1)
    )
    items = {"text": trust.reference[:4]}
    untouched = text_model.score(items, points)["text"]
    ablation.correct_hubs(text_model, method)
    taken = untouched - text_model.score(items, points)["text"]
    scale, cosines = text_model.modality("text").scale, points["text"] @ trust.reference.T
    goal = {
        "none": torch.zeros(3),
        "mean": scale * cosines.mean(dim=1),
        "inverted softmax": (scale * cosines).exp().sum(dim=1).log(),
        "CSLS": scale * cosines.sort(descending=True).values[:, :10].mean(dim=1) / 2,
    }[method]
    torch.testing.assert_close(taken, goal.expand(4, 3), rtol=1e-4, atol=1e-4)
