"""What is said of a label and of a checkpoint agrees with the model."""

from __future__ import annotations

import pytest
import torch

from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.features.text import word_feature_set
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.prediction import describe, label_sets
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading import corpus_rows
from emoembed.training.background import fit_background
from emoembed.training.build import build


@pytest.fixture(scope="module")
def recognizer(word_table):
    columns = word_feature_set(word_table.dim).columns
    text = ModalityConfig(
        "words", "recurrent", 20, columns, RecurrentSettings(hidden=8), parts=LabelParts(vad_share=0.5)
    )
    return Recognizer(build({"text": text}, word_table))


def test_nearest_labels_are_ordered_by_cosine(recognizer):
    description = describe.describe_label(recognizer.model, "angry")
    assert description["name"] == "anger"
    assert description["in_table"]
    cosines = [near["cosine"] for near in description["nearest"]]
    assert len(cosines) == 10
    assert cosines == sorted(cosines, reverse=True)
    assert "anger" not in {near["name"] for near in description["nearest"]}
    text = recognizer.model.embed(["anger", description["nearest"][0]["name"]])[:, : recognizer.model.config.phrase_dim]
    assert cosines[0] == pytest.approx(float(text[0] @ text[1]), abs=1e-4)


def test_a_label_is_described_as_it_was_taught(text_model):
    taught = Recognizer(text_model).adapt(
        [{"text": "so far away", "label": "saudade"}], {"saudade": "anger at the sea"}
    )
    described, bare = (describe.describe_label(one, "Saudade") for one in (taught.model, text_model))
    assert (described["name"], described["definition"], described["examples"]) == (
        "saudade",
        "anger at the sea",
        {"text": 1},
    )
    assert (bare["name"], bare["definition"], bare["examples"]) == ("saudade", "", {})
    assert described["nearest"] != bare["nearest"]


def test_how_far_a_label_is_to_be_trusted(recognizer):
    model = recognizer.model
    model = model.with_seen({"text": ("joy", "anger", "sadness", "calm")})
    model.modality("text").calibration.familiar.copy_(
        model.label_points(("joy", "anger", "sadness", "calm"))["text"].detach()
    )
    unmeasured = describe.describe_label(model, "delight")["modalities"]["text"]
    points = model.label_points(["delight", *(near["name"] for near in unmeasured["nearest"])])["text"]
    assert [near["cosine"] for near in unmeasured["nearest"]] == pytest.approx(
        (points[1:] @ points[0]).tolist(), abs=1e-3
    )
    assert unmeasured["expected_auc"] is None
    model.modality("text").calibration.expected.copy_(torch.tensor([0.5, 0.4, 0.05]))
    known = describe.describe_label(model, "delight")["modalities"]["text"]
    assert known["expected_auc"] == pytest.approx(0.5 + 0.4 * known["nearest"][0]["cosine"], abs=1e-3)
    model.modality("text").calibration.expected.copy_(torch.tensor([0.55, 0.0, 0.05]))
    assert "little better than by chance" in describe.describe_label(model, "delight")["modalities"]["text"]["warning"]
    assert describe.describe_label(model, "joy")["modalities"]["text"]["warning"] == ""
    model = model.with_seen({"text": ("anger",)})
    assert "nothing like" in describe.describe_label(model, "serenity")["modalities"]["text"]["warning"]


def test_a_word_like_no_emotion_known_promises_nothing_however_near_it_lies(recognizer, monkeypatch):
    model = recognizer.model
    model = model.with_seen({"text": ("joy", "anger")})
    model.modality("text").calibration.familiar.copy_(model.label_points(("joy", "anger"))["text"].detach())
    model.modality("text").calibration.expected.copy_(torch.tensor([0.5, 0.4, 0.05]))
    for module in (describe, label_sets):
        monkeypatch.setattr(module, "table", lambda: {"joy": describe.find("joy"), "anger": describe.find("anger")})
    descriptions = {far: _of(model, "sunny", far, monkeypatch) for far in (0.0, 0.9999)}
    assert descriptions[0.0]["expected_auc"] is not None
    assert descriptions[0.9999]["expected_auc"] is None
    assert (
        "the position of sunny in text is guessed from the word: no known emotion is similar to it"
        in descriptions[0.9999]["warning"]
    )
    assert "guessed" not in _of(model, "joy", 0.9999, monkeypatch)["warning"]


def _of(model, name, far, monkeypatch):
    monkeypatch.setattr(label_sets, "FAR", far)
    return describe.describe_label(model, name)["modalities"]["text"]


def test_a_label_taught_in_one_modality_is_as_far_in_the_others_as_before(three_model):
    three_model = three_model.with_seen(dict.fromkeys(three_model.modalities, ("anger",)))
    taught = Recognizer(three_model).adapt([{"text": "so calm", "label": "serenity"}]).model
    told = describe.describe_label(taught, "serenity")["modalities"]
    untaught = describe.describe_label(three_model, "serenity")["modalities"]
    assert told["text"]["warning"] == ""
    assert [told[name]["warning"] for name in ("audio", "video")] == [
        untaught[name]["warning"] for name in ("audio", "video")
    ]
    assert any(untaught[name]["warning"] for name in ("audio", "video"))


def test_a_label_taught_by_examples_is_no_nearer_to_itself_than_itself(text_model, corpus_of):
    corpus = corpus_of(["so sunny", "how grey", "a b c", "joy", "sad", "d e"] * 4, ["joy", "anger"] * 12)
    fit_background(text_model, corpus_rows.text_data(corpus, text_model.phrases))
    taught = Recognizer(text_model).adapt(
        [{"text": text, "label": "anger"} for text in ("so grim", "oh no", "how far")]
    )
    nearest = describe.describe_label(taught.model, "anger")["modalities"]["text"]["nearest"][0]
    assert nearest["name"] == "anger"
    assert nearest["cosine"] == pytest.approx(1.0, abs=1e-3)


def test_a_checkpoint_is_described_by_what_it_holds(recognizer, tmp_path):
    recognizer.save_pretrained(tmp_path / "model")
    description = describe.describe_model(Recognizer.from_pretrained(tmp_path / "model"))
    text = recognizer.model.config.modalities["text"]
    assert description["modalities"] == {
        "text": {"features": "words", "encoder": "recurrent", "embed_dim": text.embed_dim}
    }
    assert description["parameters"] == sum(one.numel() for one in recognizer.model.parameters())
    assert description["bytes"] == sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert describe.describe_model(recognizer)["folder"] is None
