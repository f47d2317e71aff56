"""The same seed gives the same weights as before the four ways to train became one: sums kept in `weights.json`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from studies import voice_and_face

from emoembed.evaluation import held_out
from emoembed.evaluation.folds import Fold
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData
from emoembed.reading.voice_and_face import only
from emoembed.training import loop, manifest, recipes

KEPT = Path(__file__).parent / "weights.json"
QUICK = loop.TrainConfig(epochs=2, batch_size=8, bf16=False)


def sums_of(model):
    """Part that is trained or fitted before it -> the sum of the squares of its numbers.

    The sum of the numbers depends on signs that LAPACK chooses, which differ between processors.
    """
    sums = {}
    for name, value in sorted(model.state_dict().items()):
        part = ".".join(name.split(".")[: 3 if name.startswith("modalities") else 2])
        trained = part.startswith("space") or part.endswith((".encoder", ".projection", ".log_scale", ".bias"))
        if trained and value.is_floating_point():
            numbers = value.double().nan_to_num(0.0)
            sums[part] = sums.get(part, 0.0) + float(numbers.square().sum())
    return sums


def frames_of(rows, shape, seed=0):
    draw = np.random.default_rng(seed)
    return {f"toy/r{i}": draw.random(shape, np.float32) + (i % 3) for i in range(rows)}


def data_of(rows=24, seed=0, **shapes):
    stores = {name: frames_of(rows, shape, seed + place) for place, (name, shape) in enumerate(shapes.items())}
    targets = np.eye(3, dtype=np.float32)[np.arange(rows) % 3]
    ids = tuple(next(iter(stores.values())))
    return EmotionData(ids, stores, ("anger", "joy", "sadness"), targets, np.zeros(rows, bool))


@pytest.fixture
def sentences(corpus_of):
    words = (("jubilant", "sunny", "joy"), ("wrathful", "irate", "anger"), ("downcast", "blue", "sadness"))
    texts = [f"{words[i % 3][i % 2]} {'abcdefgh'[i // 3]}" for i in range(24)]
    return corpus_of(texts, [words[i % 3][2] for i in range(24)])


def ways(sentences, text_model, word_table, folder):
    """What trains, and the model it gives."""
    texts = corpus_rows.text_data(sentences, text_model.phrases)
    fold = Fold("toy", "text", texts, texts, texts, {}, dict(text_model.config.modalities), phrases=text_model.phrases)
    faces = data_of(video=(1, 2304))
    face = Fold("f", "video", faces, faces, faces, {}, {"video": recipes.video_modality()}, phrases=text_model.phrases)
    both = data_of(audio=(12, 84), video=(1, 4))
    read = {"audio": recipes.audio_modality(), "video": recipes.action_unit_modality(tuple("abcd"))}
    return {
        "manifest, words": lambda: manifest.train_manifest(sentences, base=word_table, epochs=2).model,
        "manifest, sentences": lambda: manifest.train_manifest(sentences, base=text_model, epochs=2).model,
        "held out, texts": lambda: held_out.train_without(
            fold, ("joy",), held_out.recipe_of(fold, ("joy",), 0, base=text_model, training=QUICK), cache=folder
        ),
        "held out, faces": lambda: held_out.train_without(
            face, ("joy",), held_out.recipe_of(face, ("joy",), 0, base=text_model, training=QUICK), cache=folder
        ),
        "voice with face": lambda: voice_and_face.train_on(read, both, data_of(12, 5, audio=(12, 84), video=(1, 4)), 0),
        "voice alone": lambda: voice_and_face.train_on(
            {"audio": read["audio"]}, only(both, "audio"), data_of(12, 5, audio=(12, 84)), 0
        ),
    }


def test_weights_are_those_kept(sentences, text_model, word_table, tmp_path, monkeypatch, request):
    for kind in ("audio", "action_units"):
        monkeypatch.setitem(recipes.TRAINING, kind, QUICK)
    monkeypatch.setattr("emoembed.model.checkpoint.read_word_table", lambda path=None: word_table)
    torch.manual_seed(0)
    sums = {name: sums_of(train()) for name, train in ways(sentences, text_model, word_table, tmp_path).items()}
    if request.config.getoption("--write-golden"):
        KEPT.write_text(json.dumps(sums, indent=1) + "\n")
    kept = json.loads(KEPT.read_text())
    assert set(sums) == set(kept)
    for name, parts in kept.items():
        assert set(sums[name]) == set(parts), name
        for part, squares in parts.items():
            assert sums[name][part] == pytest.approx(squares, rel=2e-3, abs=1e-3), f"{name}: {part}"
