"""Texts computed by ONNX Runtime answer as those computed by torch."""

import copy
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import emoembed
from emoembed.encoders.trunks import onnx_runtime
from emoembed.encoders.trunks.build import build_trunk
from emoembed.errors import InputError, OutputError
from emoembed.interfaces import cli
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.build import set_adapter_strength

TEXTS = ["so merry", "so cross and so very weary of all of it", "merry"]
LABELS = ["joy", "anger"]


@pytest.fixture
def models(text_model, tmp_path):
    """The same model twice: with torch, and with ONNX Runtime. Its adapters are not zero."""
    encoder = text_model.modality("text").encoder
    with torch.no_grad():
        for weight in encoder.adapters.up.values():
            weight.normal_(std=0.3)
    encoder.train(False)
    other = copy.deepcopy(text_model)
    other.modality("text").encoder.use_onnx(tmp_path)
    return Recognizer(text_model), Recognizer(other)


def test_points_are_those_of_torch_alone_and_in_a_batch(models):
    with_torch, with_onnx = (model.encode(TEXTS)["text"] for model in models)
    np.testing.assert_allclose(with_onnx, with_torch, atol=1e-5)
    for text, point in zip(TEXTS, with_onnx, strict=True):
        np.testing.assert_allclose(models[1].encode(text)["text"], point, atol=1e-6)


def test_onnx_runtime_computes_and_copies_of_the_model_use_it_too(models, monkeypatch):
    _, recognizer = models
    calls, call = [], onnx_runtime.OnnxEncoder.__call__
    monkeypatch.setattr(onnx_runtime.OnnxEncoder, "__call__", lambda *given: calls.append(1) or call(*given))
    expected = recognizer.predict("so merry", labels=LABELS).scores
    for other in (Recognizer(copy.deepcopy(recognizer.model)), pickle.loads(pickle.dumps(recognizer))):
        assert other.predict("so merry", labels=LABELS).scores == pytest.approx(expected, abs=1e-6)
    taught = recognizer.adapt([{"text": "so merry", "label": "glee"}])
    for other in (taught, Recognizer(recognizer.model.eval())):
        before = len(calls)
        assert other.predict("merry", labels=["joy", "anger"]).scores
        assert len(calls) == before + 1


def test_new_weights_are_computed_by_torch_again(models):
    with_torch, with_onnx = (model.model for model in models)
    before = with_onnx.modality("text").encoder
    for model in (with_torch, with_onnx):
        set_adapter_strength(model, 0.0)
    assert before._onnx is None
    first, second = (Recognizer(model).encode("so merry")["text"] for model in (with_torch, with_onnx))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_exported_file_is_used_again(models, tmp_path, monkeypatch):
    _, recognizer = models
    assert [path.suffix for path in tmp_path.iterdir()] == [".onnx"]
    again = copy.deepcopy(models[0].model)
    (file,) = tmp_path.glob("*.onnx")
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    again.modality("text").encoder.use_onnx(tmp_path)  # a damaged file is written again
    assert file.stat().st_size > 1000
    monkeypatch.setattr(onnx_runtime, "export", lambda *_: pytest.fail("exported again"))
    again.modality("text").encoder.use_onnx(tmp_path)
    np.testing.assert_allclose(Recognizer(again).encode("merry")["text"], recognizer.encode("merry")["text"], atol=1e-6)


def test_other_encoders_and_missing_packages_are_named(tmp_path, monkeypatch, word_table):
    config = {"model_type": "distilbert", "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "vocab_size": 30}
    with pytest.raises(InputError, match="text encoder of this model is a DistilBertModel"):
        onnx_runtime.export(build_trunk(config), tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"emoembed\[onnx\]"):
        onnx_runtime.OnnxEncoder(tmp_path / "a.onnx")(torch.zeros(1, 2, 1), torch.tensor([2]))
    monkeypatch.undo()
    with pytest.raises(OutputError, match=r"a\.onnx cannot be opened by ONNX Runtime; delete it"):
        onnx_runtime.OnnxEncoder(tmp_path / "a.onnx").open()


def test_base_answers_with_onnx_runtime(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path))
    texts = ["I miss the old days.", "How dare you!", "The bus leaves at nine, and I still have to find my other shoe."]
    labels = ["nostalgia", "anger", "neutral", "awe"]
    fast = emoembed.load("base", backend="onnx")
    assert list((tmp_path / "onnx").glob("*.onnx"))
    usual = emoembed.load("base")
    for one, other in zip(fast.predict(texts, labels=labels), usual.predict(texts, labels=labels), strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_base_answers_with_8_bit_integers(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path))
    assert cli.main(["export", "onnx", "--int8"]) == 0
    file = Path(capsys.readouterr().out.strip())
    assert file.parent == tmp_path / "onnx"
    monkeypatch.setattr(onnx_runtime, "export", lambda *_: pytest.fail("exported again"))
    small, usual = emoembed.load("base", backend="onnx-int8"), emoembed.load("base")
    texts = ["We won the final!", "How dare you!", "I miss my grandmother so much."]
    for one, other in zip(small.encode(texts)["text"], usual.encode(texts)["text"], strict=True):
        cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        assert 0.9 < cosine < 1 - 1e-6  # other numbers, a like point
    assert [result.label for result in small.predict(texts, labels=["joy", "anger", "grief"])] == [
        "joy",
        "anger",
        "grief",
    ]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("base", {"backend": "tensorrt"}, "backend is 'torch', 'onnx' or 'onnx-int8'; given 'tensorrt'"),
        ("ravdess-av", {"backend": "onnx"}, "computes a text transformer, and this model has none"),
    ],
)
def test_a_wrong_backend_is_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        emoembed.load(name, **options)
