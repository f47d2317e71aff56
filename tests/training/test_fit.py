"""One `train()`: what comes out is finished and calibrated, whatever the recipe."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import emoembed
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.encoders.whisper import WhisperLayers
from emoembed.errors import InputError
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData
from emoembed.training import recipes
from emoembed.training.config import TrainConfig
from emoembed.training.fit import assemble, train, untrained
from emoembed.training.recipes import Recipe

QUICK = TrainConfig(epochs=1, batch_size=8, bf16=False)


@pytest.fixture
def recipe(units_model, word_table):
    return Recipe(units_model.config.modalities, word_table, QUICK)


def test_a_model_comes_out_finished_and_calibrated(recipe, toy):
    rows = toy(60)
    nobody = replace(rows, labels=(*rows.labels, "awe"), targets=np.pad(rows.targets, ((0, 0), (0, 1))))
    model, history = train(recipe, nobody, toy(30, 1))
    trust = model.modality("video").calibration
    assert not model.training
    assert len(history.scores) == 1
    assert model.state.all_seen == ("joy", "anger", "sadness")  # no row bears awe
    for fitted in (trust.offsets, trust.thresholds, trust.reference, trust.spread, model.modality("video").background):
        assert bool(fitted.any())
    assert not bool((trust.slopes == 1.0).any())
    torch.testing.assert_close(trust.familiar, model.label_points(model.state.all_seen)["video"].detach())


def test_whisper_reads_each_recording_once_and_training_is_the_same(word_table, monkeypatch):
    store = {f"r{i}": np.random.default_rng(i).standard_normal((12, 84)).astype(np.float32) for i in range(24)}
    targets = np.eye(3, dtype=np.float32)[np.arange(24) % 3]
    rows = EmotionData(tuple(store), {"audio": store}, ("joy", "anger", "sadness"), targets, np.zeros(24, bool))
    recipe = Recipe({"audio": recipes.audio_modality()}, word_table, replace(QUICK, epochs=3))
    calls = []
    real = WhisperLayers.forward
    monkeypatch.setattr(WhisperLayers, "forward", lambda *given: calls.append(len(given[1])) or real(*given))
    once, history = train(recipe, rows, rows)
    assert sum(calls) == 2 * len(rows)  # the training and the validation rows
    monkeypatch.setattr("emoembed.training.fit.summarised", lambda model, rows: rows)
    each_time, same = train(recipe, rows, rows)
    assert sum(calls) > 6 * len(rows)
    assert history.losses == pytest.approx(same.losses, rel=1e-3)
    torch.testing.assert_close(once.state_dict(), each_time.state_dict(), atol=1e-3, rtol=1e-2, equal_nan=True)


def test_kept_weights_are_read_and_finished_alike(recipe, toy, tmp_path, monkeypatch):
    first, _ = train(recipe, toy(60), toy(30, 1), weights_file=tmp_path / "new" / "kept.safetensors")
    monkeypatch.setattr("emoembed.training.fit.optimise", lambda *_, **__: pytest.fail("trained again"))
    second, history = train(recipe, toy(60), toy(30, 1), weights_file=tmp_path / "new" / "kept.safetensors")
    assert history.scores == ()
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, equal_nan=True)
    other = replace(recipe, modalities={"video": replace(recipe.modalities["video"], embed_dim=30)})
    with pytest.raises(InputError, match=r"kept\.safetensors cannot be read as trained weights .* train again"):
        train(other, toy(60), toy(30, 1), weights_file=tmp_path / "new" / "kept.safetensors")


@pytest.mark.parametrize("content", [b"", b"{}", b'\x08\0\0\0\0\0\0\0{"a":1}'])
def test_damaged_kept_weights_are_an_own_error(recipe, toy, tmp_path, content):
    (tmp_path / "kept.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"kept\.safetensors cannot be read as trained weights"):
        train(recipe, toy(60), toy(30, 1), weights_file=tmp_path / "kept.safetensors")


def test_parts_keep_their_weights_and_calibration_when_they_are_put_together(recipe, toy, word_table):
    rows, valid = toy(60), toy(30, 1)
    seen, _ = train(recipe, rows, valid)
    heard, _ = train(
        Recipe({"audio": recipe.modalities["video"]}, word_table, QUICK),
        *(replace(part, inputs={"audio": part.inputs["video"]}) for part in (rows, valid)),
    )
    whole = assemble({"audio": heard, "video": seen}, word_table)
    for part, name in ((heard, "audio"), (seen, "video")):
        for key, value in part.modality(name).calibration.state_dict().items():
            torch.testing.assert_close(whole.modality(name).calibration.state_dict()[key], value)
        torch.testing.assert_close(whole.modality(name).log_weight, part.modality(name).log_weight)
        points = part.encode({name: valid.batch(np.arange(30))["video"]})[name]
        torch.testing.assert_close(whole.encode({name: valid.batch(np.arange(30))["video"]})[name], points)


def test_text_adapters_count_as_the_recipe_says(text_model, corpus_of):
    rows = corpus_rows.text_data(corpus_of(["joy a", "sad b"] * 6, ["joy", "sadness"] * 6), text_model.phrases)
    plain = Recipe(text_model.config.modalities, text_model.phrases, QUICK, base=text_model)
    for strength in (None, 0.25):
        model, _ = train(replace(plain, strength=strength), rows, rows)
        assert model.modality("text").encoder.adapters.strength == (1.0 if strength is None else strength)


def test_a_published_transformer_is_where_its_recipe_starts(text_model):
    weights = {
        name: torch.full_like(value, 0.5)
        for name, value in text_model.modality("text").encoder.trunk.state_dict().items()
    }
    recipe = Recipe(text_model.config.modalities, text_model.phrases, QUICK, weights={"text": weights})
    assert all(
        bool((value == 0.5).all()) for value in untrained(recipe).modality("text").encoder.trunk.state_dict().values()
    )


def test_there_is_one_way_to_train():
    """The loop is called by `fit.train`, for the context of dialogues, for a teacher, and for models of comparison."""
    callers = set()
    root = Path(emoembed.__file__).parent
    for path in (*root.rglob("*.py"), *(root.parent / "checkpoints").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "emoembed.training.loop":
                callers |= {path.stem for alias in node.names if alias.name == "optimise"}
    assert callers == {"fit", "context", "labelled_teacher", "all_seen", "mtee"}


def test_faces_start_from_the_network_of_the_reader_of_facial_actions(word_table):
    """Nothing is learned at a rate of zero, so what is left is the reader's network."""
    draw = np.random.default_rng(0)
    faces = {f"r{i}": draw.random((1, 48 * 48)).astype("f4") for i in range(16)}
    targets = np.eye(2, dtype=np.float32)[np.arange(16) % 2]
    rows = EmotionData(tuple(faces), {"video": faces}, ("anger", "joy"), targets, np.zeros(16, bool))
    torch.manual_seed(5)
    reader = FacialActionReader().eval()
    config = recipes.training("video", epochs=1, batch_size=8, learning_rate=0.0, bf16=False)
    recipe = Recipe({"video": recipes.video_modality()}, word_table, config, facial_actions=reader)
    model, _ = train(recipe, rows, rows)
    weights = model.modality("video").encoder.state_dict()
    kept = [name for name in reader.network() if name.endswith("weight") and "norm" not in name]
    assert len(kept) > 8
    for name in kept:
        torch.testing.assert_close(weights[name], reader.network()[name])
