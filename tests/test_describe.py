"""What is said of a label and of a checkpoint agrees with the model."""

from __future__ import annotations

import pytest
import torch

from emoembed import describe, recipes
from emoembed.features.text import word_feature_set
from emoembed.model import ModalityConfig
from emoembed.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer(word_table):
    columns = word_feature_set(word_table.dim).columns
    text = ModalityConfig("words", "recurrent", 20, columns, {"hidden": 8}, vad_share=0.5)
    return Recognizer(recipes.build({"text": text}, word_table))


def test_nearest_labels_are_ordered_by_cosine(recognizer):
    known = describe.describe_label(recognizer.model, "angry")
    assert known["name"] == "anger"
    assert known["in_table"]
    cosines = [near["cosine"] for near in known["nearest"]]
    assert len(cosines) == 10
    assert cosines == sorted(cosines, reverse=True)
    assert "anger" not in {near["name"] for near in known["nearest"]}
    features = torch.nn.functional.normalize(recognizer.model.embed(["anger", known["nearest"][0]["name"]]), dim=-1)
    assert cosines[0] == pytest.approx(float(features[0] @ features[1]), abs=1e-4)


def test_a_checkpoint_is_described_by_what_it_holds(recognizer, tmp_path):
    recognizer.save_pretrained(tmp_path / "model")
    known = describe.describe_model(Recognizer.from_pretrained(tmp_path / "model"))
    text = recognizer.model.config.modalities["text"]
    assert known["modalities"] == {"text": {"features": "words", "encoder": "recurrent", "embed_dim": text.embed_dim}}
    assert known["parameters"] == sum(one.numel() for one in recognizer.model.parameters())
    assert known["bytes"] == sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert describe.describe_model(recognizer)["folder"] is None
