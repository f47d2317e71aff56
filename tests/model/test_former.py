"""Checkpoints of version 3, as they were written, are read as those of today."""

import json

import pytest
import safetensors.torch
import torch

from emoembed.errors import CheckpointError
from emoembed.model import checkpoint
from emoembed.model.state import State
from emoembed.prediction.recognizer import Recognizer

NAMES = {"encoder": "encoders", "projection": "projections", "calibration": "reliability", "residual": "details"}


def written_as_before(folder):
    """Rewrite a checkpoint of today as version 3 had it."""
    values = json.loads((folder / "config.json").read_text())
    config, state = values["config"], values["state"]
    modalities = {
        name: {
            **{key: value for key, value in one.items() if key != "residual"},
            "detail": one["residual"],
            "seen": state["seen"].get(name, []),
            "projection": "isometry",
        }
        for name, one in config["modalities"].items()
    }
    former = {**config, "version": 3, "modalities": modalities, "labels": state["labels"]}
    former |= {"similarity": "cosine", "fusion": "mean", "label_space": "meaning", "adapted": list(state["taught"])}
    former["provenance"] = {**state["provenance"], "few_shot": state["taught"], "described": state["described"]}
    former["provenance"]["attuned"] = state["attuned"]
    weights = {}
    for name, value in safetensors.torch.load_file(folder / "model.safetensors").items():
        if name.startswith("modalities."):
            _, modality, part, *rest = name.split(".")
            if part in ("background", "shift", "anchors", "examples"):
                name = f"{part}_{modality}"
            else:
                name = ".".join([NAMES.get(part, part), modality, *rest])
        weights[name] = value
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(former))
    checkpoint.write_checksums(folder)
    return former


@pytest.fixture
def taught(text_model):
    rows = [{"text": "joy a", "label": "awe"}, {"text": "sad b", "label": "awe"}, {"text": "b c", "label": "pride"}]
    labels = {"awe": "wonder before a thing", "pride": ""}
    model = Recognizer(text_model).adapt(rows, labels).model
    return model.with_state(State(**{**vars(model.state), "attuned": {"text": 3}, "provenance": {"seed": 1}}))


def test_a_model_of_version_3_is_the_same_model(taught, tmp_path):
    checkpoint.save(taught, tmp_path / "old")
    written_as_before(tmp_path / "old")
    old = checkpoint.load(tmp_path / "old")
    assert old.state == taught.state
    assert old.config == taught.config
    labels = ["joy", "awe", "pride", "anger"]
    torch.testing.assert_close(
        old.label_points(labels)["text"], taught.label_points(labels)["text"], rtol=1e-2, atol=1e-2
    )
    assert old.state.taught == {"awe": {"text": 2}, "pride": {"text": 1}}
    checkpoint.save(old, tmp_path / "new")
    assert json.loads((tmp_path / "new/config.json").read_text())["version"] == 4
    again = checkpoint.load(tmp_path / "new")
    for name, value in old.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, equal_nan=True)


@pytest.mark.parametrize("change", [{"similarity": "dot"}, {"fusion": "linear"}, {"label_space": "words"}])
def test_a_choice_that_there_is_no_more_is_refused(taught, tmp_path, change):
    checkpoint.save(taught, tmp_path)
    former = written_as_before(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**former, **change}))
    checkpoint.write_checksums(tmp_path)
    with pytest.raises(CheckpointError, match="no longer supports"):
        checkpoint.load(tmp_path)
