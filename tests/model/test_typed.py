"""What is read from JSON has the fields and types it is annotated with, or is refused."""

import json
from dataclasses import asdict

import pytest

from emoembed.encoders.pooled import PooledSettings
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.errors import CheckpointError, InputError
from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.config import ModalityConfig
from emoembed.model.state import State
from emoembed.model.typed import typed
from emoembed.training import recipes


@pytest.mark.parametrize(
    "modality",
    [recipes.audio_modality(), recipes.video_modality(), recipes.word_modality("abc")],
)
def test_every_encoders_settings_come_back_from_json_as_their_own_type(modality):
    again = ModalityConfig.from_dict(json.loads(json.dumps(asdict(modality))))
    assert again == modality
    assert type(again.settings) is type(modality.settings)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (PooledSettings, {"hidden": "wide"}, "hidden"),
        (PooledSettings, {"summary": "smoke"}, "summary"),
        (PooledSettings, {"colour": 1}, "PooledSettings has no colour"),
        (PooledSettings, [], "PooledSettings must be a JSON object"),
        (State, {"seen": {"text": "joy"}}, "seen"),
        (State, {"taught": {"awe": {"text": "two"}}}, "taught"),
        (State, {"described": {"awe": {"name": "awe", "valence": 3.0}}}, "described"),
    ],
)
def test_another_type_is_refused_by_the_fields_name(kind, values, said):
    with pytest.raises(ValueError, match=said):
        typed(kind, values)


@pytest.mark.parametrize(("place", "value"), [("strength", "x"), ("rank", 1.5), ("vad_share", None), ("colour", 1)])
def test_a_wrongly_typed_setting_is_told_when_the_checkpoint_is_read(text_model, tmp_path, place, value):
    checkpoint.save(text_model, tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    values["config"]["modalities"]["text"]["settings"][place] = value
    (tmp_path / "config.json").write_text(json.dumps(values))
    checkpoint_files.write_checksums(tmp_path)
    with pytest.raises(CheckpointError, match=f"does not describe a model of this release.*{place}"):
        checkpoint.load(tmp_path)


def test_settings_of_another_encoder_are_refused_and_the_usual_ones_filled_in():
    with pytest.raises(InputError, match="settings of the pooled encoder must be PooledSettings"):
        ModalityConfig("units", "pooled", 24, ("a",), RecurrentSettings())
    assert ModalityConfig("units", "pooled", 24, ("a",)).settings == PooledSettings()
    with pytest.raises(InputError, match="must be a transformer; it is the pooled encoder"):
        _ = ModalityConfig("units", "pooled", 24, ("a",)).trunk_config
