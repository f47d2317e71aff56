import pytest
import torch
from keep import agreement, kept

from emoembed.labels.emotion import table
from emoembed.model.model import EmotionModel
from emoembed.training.build import build


@pytest.fixture
def old(text_model, three_model):
    return three_model


def test_a_kept_modality_has_its_weights_and_the_points_of_names(old, text_model):
    names = [f"{name} and {letter}" for name in list(table())[:40] for letter in "abcde"]
    model = kept(old, "audio", build({"text": old.config.modalities["text"]}, old.phrases, base=old), names)
    assert isinstance(model, EmotionModel)
    assert model.state.seen_in("audio") == old.state.seen_in("audio")
    state, before = model.state_dict(), old.state_dict()
    for key in (key for key in before if key.startswith("modalities.audio.") and "projection" not in key):
        torch.testing.assert_close(state[key], before[key], equal_nan=True)
    assert agreement(old, model, "audio") > 0.99
