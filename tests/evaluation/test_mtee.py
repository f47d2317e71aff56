"""The model beside the official model: inputs, weights and logits were recorded once from its code.

`mtee.npz` holds arrays only: `EmotionEmbAttnModel` of github.com/wenliangdai/Modality-Transferable-MER at
sizes 12, 8 and 6, two bidirectional layers, all three modalities, weights of `torch.manual_seed(0)`.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from emoembed.errors import InputError, LabelError
from emoembed.evaluation.mtee import MTEE, train
from emoembed.labels.phrases import WordTable
from emoembed.model.config import ModalityConfig
from emoembed.training.config import TrainConfig

RECORDED = np.load(Path(__file__).parent / "mtee.npz")
MODALITIES = ("text", "audio", "video")
NAMES = ("anger", "disgust", "fear", "happy", "sad", "surprise")


@pytest.fixture
def model():
    read = modalities({name: RECORDED[name].shape[2] for name in MODALITIES})
    made = MTEE(read, WordTable(NAMES, RECORDED["labels"], scale=False), {"audio": 8, "video": 6})
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
            weights[f"projections.{name}.{part}"] = theirs[f"{map_name}.{part}"]
    made.load_state_dict(weights)
    return made.eval()


def modalities(columns):
    return {
        name: ModalityConfig("sequence", "recurrent", 68, tuple(f"{name}_{i}" for i in range(count)))
        for name, count in columns.items()
    }


def batch():
    return {name: (torch.from_numpy(RECORDED[name]), torch.full((4,), 9)) for name in MODALITIES}


def test_same_weights_and_inputs_give_the_official_logits(model):
    logits = model(batch(), model.embed(NAMES))
    np.testing.assert_allclose(logits.detach().numpy(), RECORDED["logits"], atol=1e-5)


def test_labels_are_the_bare_words_as_the_caller_spells_them(model):
    np.testing.assert_array_equal(model.embed(["sad", "Happy"]).numpy(), RECORDED["labels"][[4, 3]])
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


def test_a_modality_an_item_lacks_has_no_say(model):
    lacking = {**batch(), "audio": (batch()["audio"][0], torch.tensor([0, 9, 9, 9]))}
    points = model.encode(lacking)
    assert points["audio"][0].isnan().all()
    assert not points["audio"][1:].isnan().any()
    alone = {name: (frames[:1], lengths[:1]) for name, (frames, lengths) in batch().items() if name != "audio"}
    torch.testing.assert_close(model(lacking, model.embed(NAMES))[0], model(alone, model.embed(NAMES))[0])


def test_sizes_are_the_published_ones_and_modalities_start_at_equal_weights():
    words = WordTable(["a"], np.ones((1, 300)))
    made = MTEE(modalities({"text": 300, "audio": 74, "video": 35}), words)
    assert made.encoders["audio"].recurrent.hidden_size == 200
    assert made.projections["video"].weight.shape == (100, 300)
    assert [float(share.detach()) for share in made.share.values()] == pytest.approx([1 / 3] * 3)
    assert "text" not in made.projections


def test_what_is_no_word_vectors_of_the_labels_own_table_is_refused(text_model, word_table):
    with pytest.raises(InputError, match="mtee embeds labels by word vectors"):
        MTEE(modalities({"audio": 4}), text_model.phrases)
    with pytest.raises(InputError, match="text has 7 columns, the labels' word vectors 16"):
        MTEE(modalities({"text": 7}), word_table)
    with pytest.raises(InputError, match="ready features"):
        MTEE(text_model.config.modalities, word_table)


def test_it_is_trained_once_and_then_read(toy, word_table, tmp_path, monkeypatch):
    read = {"video": modalities({"video": 6})["video"]}
    config = TrainConfig(epochs=2, batch_size=8, bf16=False)
    first = train(read, word_table, toy(30), toy(15, 1), config, weights_file=tmp_path / "new" / "kept.safetensors")
    monkeypatch.setattr("emoembed.evaluation.mtee.optimise", lambda *_, **__: pytest.fail("trained again"))
    again = train(read, word_table, toy(30), toy(15, 1), config, weights_file=tmp_path / "new" / "kept.safetensors")
    rows = toy(15, 2).batch(np.arange(15))
    torch.testing.assert_close(again(rows, again.embed(["joy", "awe"])), first(rows, first.embed(["joy", "awe"])))
    (tmp_path / "new" / "kept.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"kept\.safetensors cannot be read as trained weights"):
        train(read, word_table, toy(30), toy(15, 1), config, weights_file=tmp_path / "new" / "kept.safetensors")
