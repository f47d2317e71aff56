"""The preset beside the official model: inputs, weights and logits were recorded once from its code.

`tests/data/mtee.npz` holds arrays only: `EmotionEmbAttnModel` of github.com/wenliangdai/Modality-Transferable-MER at
sizes 12, 8 and 6, two bidirectional layers, all three modalities, weights of `torch.manual_seed(0)`.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from emoembed.errors import InputError, LabelError
from emoembed.labels.phrases import WordTable
from emoembed.labels.space import VAD_DIM
from emoembed.model.config import ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.transfer import few_shot

RECORDED = np.load(Path(__file__).parent / "mtee.npz")
MODALITIES = ("text", "audio", "video")
NAMES = ("anger", "disgust", "fear", "happy", "sad", "surprise")


@pytest.fixture
def model():
    columns = {name: tuple(f"{name}_{i}" for i in range(RECORDED[name].shape[2])) for name in MODALITIES}
    config = ModelConfig.mtee(columns, phrase_dim=12, audio_dim=8, video_dim=6)
    made = EmotionModel(config, WordTable(NAMES, RECORDED["labels"], scale=False))
    theirs = {name.removeprefix("weights/"): torch.from_numpy(RECORDED[name]) for name in RECORDED.files if "/" in name}
    weights = made.state_dict()
    for i, name in enumerate(MODALITIES):
        weights |= {
            f"encoders.{name}.recurrent.{key.removeprefix(f'RNNs.{i}.')}": value
            for key, value in theirs.items()
            if key.startswith(f"RNNs.{i}.")
        }
        weights[f"share.{name}"] = theirs["modality_weights.weight"][i]
    for name, map_name in (("audio", "affineAudio"), ("video", "affineVisual")):
        for part in ("weight", "bias"):
            weights[f"projections.{name}.linear.{part}"] = theirs[f"{map_name}.{part}"]
    made.load_state_dict(weights)
    return made.eval()


def batch():
    return {name: (torch.from_numpy(RECORDED[name]), torch.full((4,), 9)) for name in MODALITIES}


def test_same_weights_and_inputs_give_the_official_logits(model):
    logits = model(batch(), model.embed(NAMES))
    np.testing.assert_allclose(logits.detach().numpy(), RECORDED["logits"], atol=1e-5)


def test_labels_are_the_bare_words_as_the_caller_spells_them(model):
    features = model.embed(["sad", "Happy"])
    np.testing.assert_array_equal(features[:, :12].numpy(), RECORDED["labels"][[4, 3]])
    assert not features[:, 12:].any()
    assert features.shape[1] == 12 + VAD_DIM
    with pytest.raises(LabelError, match="'nostalgia' has no vector"):
        model.embed(["nostalgia"])


def test_unlike_the_official_model_padding_is_never_read(model):
    before = model(batch(), model.embed(NAMES))
    longer = {
        name: (torch.nn.functional.pad(frames, (0, 0, 0, 3), value=1e6), n) for name, (frames, n) in batch().items()
    }
    torch.testing.assert_close(model(longer, model.embed(NAMES)), before)


def test_a_batch_of_one_keeps_its_shape(model):
    one = {name: (frames[:1], lengths[:1]) for name, (frames, lengths) in batch().items()}
    torch.testing.assert_close(model(one, model.embed(NAMES))[0], model(batch(), model.embed(NAMES))[0])


def test_the_preset_has_the_published_sizes_and_starts_at_equal_weights():
    made = EmotionModel(ModelConfig.mtee({"text": ("a",) * 300, "audio": ("b",) * 74, "video": ("c",) * 35}))
    trained = {k: v.numel() for k, v in made.named_parameters()}
    assert made.encoders["audio"].recurrent.hidden_size == 200
    assert made.projections["video"].linear.weight.shape == (100, 300)
    assert [float(share.detach()) for share in made.share.values()] == pytest.approx([1 / 3] * 3)
    assert not [name for name in trained if name.startswith(("log_scale", "bias", "projections.text"))]
    assert made.config == ModelConfig.from_dict(made.config.to_dict())


def test_few_shot_vectors_are_refused(model):
    with pytest.raises(InputError, match="need cosine similarity"):
        few_shot.adapt(model, {}, {})
