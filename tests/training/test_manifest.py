"""Training on a manifest: the held-out rows are honest, each modality learns, what is missing is named."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
from emoembed.evaluation.corpus import trained_on
from emoembed.model.state import State
from emoembed.prediction.recognizer import Recognizer
from emoembed.training import manifest
from emoembed.training.config import Execution
from emoembed.training.loop import optimise
from emoembed.training.ridge_maps import fit_overviews

LABELS = ["joy", "anger", "sadness"]


@pytest.fixture
def sentences(corpus_of):
    """24 texts whose words say their label."""
    kinds = {"joy": ("jubilant", "sunny"), "anger": ("wrathful", "irate"), "sadness": ("downcast", "blue")}
    labels = [name for name in kinds for _ in range(8)]
    texts = [f"{kinds[name][i % 2]} {kinds[name][(i + i // 2) % 2]}" for i, name in enumerate(labels)]
    return corpus_of(texts, labels)


def test_training_learns_and_comes_back_from_disk(sentences, word_table, tmp_path):
    trained = manifest.train_manifest(sentences, tmp_path / "model", base=word_table, epochs=12, batch_size=8)
    assert trained.rows["text"][0] + trained.rows["text"][1] == 24
    assert trained.held_out == trained.rows["text"][1] > 0
    again = Recognizer.from_pretrained(tmp_path / "model")
    assert sorted(again.labels) == sorted(LABELS)
    answers = [result.label for result in again.predict(list(sentences.samples["text"]))]
    assert np.mean([answer in row for answer, row in zip(answers, sentences.samples["labels"], strict=True)]) > 0.8
    assert trained_on(again.model, "toy", "train")
    assert not trained_on(again.model, "toy", "valid")


def test_the_same_seed_gives_the_same_weights(sentences, word_table):
    weights, other = (
        manifest.train_manifest(sentences, base=word_table, epochs=1, seed=3).model.state_dict() for _ in range(2)
    )
    for name, value in weights.items():
        torch.testing.assert_close(value, other[name], rtol=0, atol=0)


def test_a_manifest_without_labels_says_where_they_belong(word_table, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,text,label\na,hello,joy\nb,oh no,anger\n")
    with pytest.raises(InputError, match=r"no row of mine has a label.*rename its column 'label' to 'labels'"):
        manifest.train_manifest(path, base=word_table)


def test_labels_as_written_become_one_emotion(sentences, word_table):
    spelled = sentences.samples["labels"].map(lambda row: ("angry",) if row == ("anger",) else row)
    corpus = Corpus("toy", sentences.samples.assign(labels=spelled), ("angry", "joy", "sadness"), False)
    assert "anger" in manifest.train_manifest(corpus, base=word_table, epochs=1).model.state.labels


def test_text_and_sound_are_trained_apart_and_weighed_together(corpus_of, word_table, tmp_path, monkeypatch):
    monkeypatch.setenv("EMOEMBED_CACHE", str(tmp_path / "cache"))
    labels = ["joy", "anger"] * 6
    for i, name in enumerate(labels):
        wave = 0.3 * np.sin(2 * np.pi * (900 if name == "joy" else 150) * np.arange(4800) / 16000)
        soundfile.write(tmp_path / f"{i}.wav", wave, 16000)
    paths = [str(tmp_path / f"{i}.wav") for i in range(11)] + [str(tmp_path / "none.wav")]
    texts = ["jubilant" if name == "joy" else "irate" for name in labels]
    corpus = corpus_of(texts, labels, audio=paths)
    trained = manifest.train_manifest(corpus, tmp_path / "model", base=word_table, epochs=2, batch_size=4)
    assert {name: sum(rows) for name, rows in trained.rows.items()} == {"text": 12, "audio": 11}
    assert list(trained.failures) == ["row11"]
    result = Recognizer.from_pretrained(tmp_path / "model").predict("jubilant", paths[0])
    assert sum(one.weight for one in result.modalities.values()) == pytest.approx(1, abs=1e-5)
    assert set(result.scores) == {"joy", "anger"}


def test_clips_are_trained_on_by_a_few_faces_and_recordings_are_read_once(corpus_of, word_table, tmp_path, monkeypatch):
    random, labels = np.random.default_rng(0), ["joy", "anger"] * 6
    stores = {"audio": (700, 84), "video": (20, 2304)}
    features = {name: {f"row{i}": random.random(shape) for i in range(12)} for name, shape in stores.items()}
    monkeypatch.setattr(manifest.cache, "cached_features", lambda corpus, name, progress: (features[name], {}))
    fits, real = {}, optimise

    def noted(model, train, valid, config, **rest):
        name = next(iter(train.inputs))
        fits[name] = {len(train.inputs[name][row]) for row in train.ids}, config.max_frames, max(valid.lengths())
        return real(model, train, valid, config, **rest)

    fitted, overviews = [], fit_overviews
    monkeypatch.setattr("emoembed.training.fit.optimise", noted)
    monkeypatch.setattr(
        "emoembed.training.ridge_maps.fit_overviews", lambda *given: fitted.append(given[2]) or overviews(*given)
    )
    media = [str(tmp_path / f"{i}") for i in range(12)]
    corpus = corpus_of(["x"] * 12, labels, audio=media, video=media)
    manifest.train_manifest(corpus, modalities=["audio", "video"], base=word_table, epochs=1, batch_size=4)
    assert fits == {"audio": ({1}, 3000, 1), "video": ({8}, 600, 20)}
    assert fitted == [3000, 600]


def test_training_names_what_is_missing(corpus_of, sentences, word_table):
    with pytest.raises(InputError, match="toy has no audio; it has text"):
        manifest.train_manifest(sentences, modalities=["audio"], base=word_table)
    with pytest.raises(InputError, match="have 1 label; give at least 2"):
        manifest.train_manifest(corpus_of(["joy sunny"] * 12, ["joy"] * 12), base=word_table)
    with pytest.raises(InputError, match="needs a base model"):
        manifest.train_manifest(sentences)


def test_valid_rows_that_bear_nothing_cannot_say_when_to_stop(corpus_of, word_table):
    texts, labels = [f"jubilant {i}" for i in range(12)], [("joy", "anger"), ("joy",), ("anger",)] * 4
    corpus = corpus_of(texts, [*labels[:9], (), (), ()])
    corpus = corpus.with_splits(["train"] * 9 + ["valid"] * 3)
    with pytest.raises(InputError, match="no valid row of toy with text has a label; give labelled valid rows"):
        manifest.train_manifest(corpus, base=word_table)


def test_what_stands_in_the_way_is_told_before_the_work(sentences, word_table, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "train", lambda *_: pytest.fail("it trained first"))
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="contains files that do not belong to a checkpoint"):
        manifest.train_manifest(sentences, tmp_path, base=word_table)
    with pytest.raises(InputError, match="device 'nonsense' cannot be used here"):
        manifest.train_manifest(sentences, base=word_table, execution=Execution("nonsense"))
    with pytest.raises(InputError, match="seed must be at least 0"):
        manifest.train_manifest(sentences, base=word_table, seed=-1)


def test_what_was_taken_from_a_base_keeps_its_terms(corpus_of, text_model, tmp_path):
    base = text_model.with_state(State(provenance={"sentence_encoder": "an encoder (Apache-2.0)"}))
    texts, labels = ["so sunny", "how grey", "merry days", "sad rain"] * 5, ["joy", "sadness"] * 10
    manifest.train_manifest(corpus_of(texts, labels), tmp_path / "mine", base=base, epochs=1)
    again = Recognizer.from_pretrained(tmp_path / "mine")
    assert again.model.state.provenance["licence"] == "that of toy; an encoder (Apache-2.0)"
    card = (tmp_path / "mine/README.md").read_text()
    assert "- text: trained on toy" in card
    assert "- Labels: joy, sadness" in card
    assert "an encoder (Apache-2.0)" in card


def test_text_taught_on_a_base_reads_valence_as_it_does(corpus_of, text_model):
    with torch.no_grad():
        text_model.modality("text").encoder.ratings.weight.normal_()
    text_model.space.vad_map.fill_(0.25)
    corpus = corpus_of(["joy", "sad", "joy a", "sad b"] * 6, ["joy", "sadness"] * 12)
    made = manifest.train_manifest(corpus, base=text_model, epochs=1).model
    for trained, other in (
        (made.modality("text").encoder.ratings.weight, text_model.modality("text").encoder.ratings.weight),
        (made.space.vad_map, text_model.space.vad_map),
    ):
        torch.testing.assert_close(trained, other)
    assert set(made.state.seen_in("text")) == {"joy", "sadness"}
    assert bool(made.modality("text").calibration.reference.any())
