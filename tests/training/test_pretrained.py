"""Transformers from local folders, tiny and random: trained, saved, loaded and asked, one modality at a time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
)

from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.encoders.trunks.build import build_trunk
from emoembed.errors import CheckpointError, InputError
from emoembed.features import audio
from emoembed.features.feature_set import Features
from emoembed.features.video import FACES
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading import media
from emoembed.training import loop, manifest, pretrained

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SIGHT = {**SMALL, "image_size": 16, "patch_size": 8}
CONVOLUTIONS = {
    "conv_dim": [8, 8],
    "conv_stride": [5, 8],
    "conv_kernel": [10, 8],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture
def bert(tokenizer, tmp_path):
    folder = tmp_path / "bert"
    BertModel(BertConfig(**SMALL, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64)).save_pretrained(
        folder
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture
def wav2vec2(tmp_path):
    Wav2Vec2Model(Wav2Vec2Config(**SMALL, **CONVOLUTIONS)).save_pretrained(tmp_path / "wav2vec2")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "wav2vec2")
    return tmp_path / "wav2vec2"


@pytest.fixture(params=["vit", "clip"])
def sight(request, tmp_path):
    if request.param == "vit":
        ViTModel(ViTConfig(**SIGHT)).save_pretrained(tmp_path / "vit")
    else:
        text = {**SMALL, "vocab_size": 20}
        CLIPModel(CLIPConfig(vision_config=SIGHT, text_config=text)).save_pretrained(tmp_path / "clip")
    (tmp_path / request.param / "preprocessor_config.json").write_text('{"image_mean": 0.5, "image_std": 0.5}')
    return tmp_path / request.param


@pytest.fixture
def corpus(tmp_path, voice):
    """Twelve rows of words, tones and pictures that say joy or anger."""
    import cv2

    labels = ["joy", "anger"] * 6
    for i, name in enumerate(labels):
        wave = voice(0.3, 280 if name == "joy" else 120, seed=i)
        soundfile.write(tmp_path / f"{i}.wav", wave, 16000)
        face = np.full((48, 48), 60 if name == "joy" else 190, np.uint8)
        face[::2, ::3] += 40
        cv2.imwrite(str(tmp_path / f"{i}.png"), face)
    columns = {
        "text": [f"so very {name}" for name in labels],
        "audio": [str(tmp_path / f"{i}.wav") for i in range(12)],
        "video": [str(tmp_path / f"{i}.png") for i in range(12)],
    }
    ids = [f"row{i}" for i in range(12)]
    splits = ["train"] * 8 + ["valid"] * 4
    samples = make_samples(ids, labels=[(name,) for name in labels], split=splits, **columns)
    return Corpus("toy", samples, ("anger", "joy"), False)


def trained(corpus, modality, folder, word_table, output):
    made = manifest.train_manifest(
        corpus, output, [modality], base=word_table, encoders={modality: folder}, epochs=1, batch_size=4
    )
    source = corpus.samples[modality].iloc[0]
    before = Recognizer(made.model).predict(**{modality: source}, labels=["joy", "awe"])
    after = Recognizer.from_pretrained(output).predict(**{modality: source}, labels=["joy", "awe"])
    assert after.scores == pytest.approx(before.scores, abs=2e-3)
    return made


def test_a_text_transformer_reads_and_embeds_labels(corpus, bert, word_table, tmp_path):
    made = trained(corpus, "text", bert, word_table, tmp_path / "out")
    assert made.model.config.phrases == "text"
    assert made.model.config.modalities["text"].encoder == "transformer"


def test_a_speech_transformer_reads_samples(corpus, wav2vec2, word_table, tmp_path):
    made = trained(corpus, "audio", wav2vec2, word_table, tmp_path / "out")
    assert made.model.config.modalities["audio"].features == "waveform"
    assert made.model.config.modalities["audio"].longest == 30 * 16_000


def test_an_image_transformer_reads_faces(corpus, sight, word_table, tmp_path):
    made = trained(corpus, "video", sight, word_table, tmp_path / "out")
    assert made.model.config.modalities["video"].features == "pixels"


def asked(model, modality, folder):
    """A model whose modality a transformer reads."""
    one = pretrained.read(modality, folder).modality
    model.config = replace(model.config, modalities={**model.config.modalities, modality: one})
    return model


@pytest.mark.parametrize(
    ("told", "file", "seen"),
    [
        ({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1]}, "preprocessor_config.json", [1.5, 2.0, 5.0]),
        ({"image_processor": {"image_mean": 0.6, "image_std": [0.1] * 3}}, "processor_config.json", [2.0] * 3),
        ({"do_normalize": False, "image_mean": [0.5] * 3}, "preprocessor_config.json", [0.8] * 3),
        ({"image_mean": None}, "preprocessor_config.json", [0.6] * 3),
    ],
)
def test_pictures_have_the_mean_and_spread_their_transformer_learned_with(sight, three_model, told, file, seen):
    (sight / "preprocessor_config.json").unlink()
    (sight / file).write_text(json.dumps(told))
    grey = Features(np.full((1, 48 * 48), 0.8, np.float32), FACES)
    shown = media.read(asked(three_model, "video", sight), "video", grey).values.reshape(3, -1)
    np.testing.assert_allclose(shown, np.tile(np.array(seen)[:, None], shown.shape[1]), rtol=1e-5)


def test_samples_have_mean_zero_and_deviation_one_where_their_transformer_learned_so(wav2vec2, three_model, voice):
    samples = voice() + 0.005
    model = asked(three_model, "audio", wav2vec2)
    for given in ((samples, 16000), audio.waveform(samples, 16000)):
        heard = media.read(model, "audio", given).values
        assert heard.mean() == pytest.approx(0, abs=1e-5)
        assert heard.std() == pytest.approx(1, abs=1e-4)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(wav2vec2)
    heard = media.read(asked(three_model, "audio", wav2vec2), "audio", (samples, 16000)).values
    np.testing.assert_allclose(heard[:, 0], samples - samples.mean(), atol=1e-6)


def test_preparation_that_is_not_told_is_warned_of_and_one_that_does_not_fit_refused(wav2vec2, sight):
    (sight / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.4]}')
    with pytest.raises(CheckpointError, match=r"reads images of 3 channels.*\[0.5, 0.4\]"):
        pretrained.read("video", sight)
    for name, modality in ((wav2vec2, "audio"), (sight, "video")):
        (name / "preprocessor_config.json").unlink()
        with pytest.warns(UserWarning, match=f"{name.name} has no readable preprocessor configuration"):
            pretrained.read(modality, name)


def test_an_image_transformer_reads_few_faces_of_a_clip_and_keeps_no_pixels(
    corpus, sight, word_table, tmp_path, monkeypatch
):
    random, fits, real = np.random.default_rng(0), [], loop.optimise
    clips = {f"row{i}": random.random((40, 48 * 48)).astype(np.float16) for i in range(12)}
    monkeypatch.setattr(manifest.cache, "cached_features", lambda *_, **__: (clips, {}))
    monkeypatch.setattr(
        "emoembed.training.fit.optimise", lambda *args, **rest: fits.append(args) or real(*args, **rest)
    )
    manifest.train_manifest(corpus, None, ["video"], base=word_table, encoders={"video": sight}, epochs=1, batch_size=4)
    _, train, valid, _ = fits[0]
    drawn, pixels = train.inputs["video"], valid.inputs["video"]
    assert len({face.tobytes() for _ in range(99) for face in drawn[train.ids[0]]}) > media.FACES_SHOWN
    assert len(drawn[train.ids[0]]) == 2
    assert pixels[valid.ids[0]].shape == (16, 3 * 16 * 16)
    assert pixels.stored[valid.ids[0]] is clips["row8"]
    first, last = (media.pixels(clips["row8"][[place]], pixels.config)[0] for place in (0, 39))
    np.testing.assert_array_equal(pixels[valid.ids[0]][[0, -1]], [first, last])
    monkeypatch.setattr(pixels, "prepare", lambda *_: pytest.fail("made to see whether they are there"))
    assert valid.ids[0] in pixels
    assert train.ids[0] in drawn


def test_the_trunk_stays_and_its_adapters_learn(corpus, bert, word_table, tmp_path):
    made = trained(corpus, "text", bert, word_table, tmp_path / "out")
    encoder = made.model.modality("text").encoder
    for name, value in pretrained.read("text", bert).weights.items():
        assert (encoder.trunk.state_dict()[name] == value).all()
    assert any(parameter.abs().sum() > 0 for parameter in encoder.adapters.up.values())


def test_what_is_no_encoder_of_the_modality_is_refused(bert, wav2vec2, word_table, corpus, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match=r"is a bert model, which reads text; give one that reads audio"):
        pretrained.read("audio", bert)
    BertModel(BertConfig(**SMALL, vocab_size=3000)).save_pretrained(tmp_path / "bare")
    with pytest.raises(CheckpointError, match=r"tokenizer of .*bare has \d+ tokens, but its encoder has 3000; check"):
        pretrained.read("text", tmp_path / "bare")
    monkeypatch.setenv("EMOEMBED_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="no transformer at nobody/nothing: give a folder"):
        pretrained.read("text", "nobody/nothing")
    with pytest.raises(InputError, match="an encoder was given for audio, but the trained modalities are text"):
        manifest.train_manifest(corpus, modalities=["text"], base=word_table, encoders={"audio": wav2vec2})


def test_a_tokenizer_that_may_never_finish_is_refused(bert):
    path = bert / "tokenizer.json"
    held = json.loads(path.read_text())
    held["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+b"}, "content": "c"}
    path.write_text(json.dumps(held))
    with pytest.raises(CheckpointError, match=r"the tokenizer of .* has the pattern '\(a\+\)\+b', which may never"):
        pretrained.read("text", bert)


@pytest.mark.parametrize("kind", ["config", "tokenizer", "unknown"])
def test_code_in_a_folder_is_never_run_and_never_asked_about(bert, monkeypatch, kind):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked"))
    (bert / "code.py").write_text(f"import pathlib; pathlib.Path({str(bert / 'ran')!r}).touch()")
    names = {"AutoConfig": "code.Config", "AutoModel": "code.Model", "AutoTokenizer": ["code.Words", None]}
    place = bert / ("tokenizer_config.json" if kind == "tokenizer" else "config.json")
    values = json.loads(place.read_text())
    if kind == "unknown":
        values["model_type"] = "mine"
    place.write_text(json.dumps({**values, "auto_map": names}))
    if kind == "unknown":
        with pytest.raises(CheckpointError, match="has its own code, which emoembed never runs"):
            pretrained.read("text", bert)
    else:
        pretrained.read("text", bert)  # what transformers knows itself is read without that code
    assert not (bert / "ran").exists()


def test_weights_that_are_pickles_are_refused_with_the_way_to_convert_them(bert):
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin, which are not read.*save_pretrained\(FOLDER\)"):
        pretrained.read("text", bert)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_attn_implementation": "nobody/kernels"}, "is code; emoembed does not download code"),
        ({"attn_implementation": "nobody/kernels"}, "is code; emoembed does not download code"),
        ({"num_hidden_layers": 10**9}, "at most 200 are built"),
    ],
)
def test_a_configuration_that_fetches_code_or_never_ends_is_refused(change, said):
    with pytest.raises(CheckpointError, match=said):
        build_trunk({**SMALL, "model_type": "bert", **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": -1}, "has -1 layers"),
        ({"quantization_config": {"load_in_4bit": True}}, "is quantised, which emoembed cannot read"),
    ],
)
def test_a_configuration_that_builds_nothing_that_can_be_read_is_refused(change, said):
    with pytest.raises(CheckpointError, match=said):
        build_trunk({**SMALL, "model_type": "bert", **change})


def test_weights_in_two_forms_are_read_from_the_safe_one(bert):
    (bert / "pytorch_model.bin").write_bytes(b"a pickle")
    assert pretrained.read("text", bert).weights
