from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import stages
import text_stages
import texts
import torch
import working_folder
from studies import novelty

from emoembed import corpora
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.model import expectation
from emoembed.model.expectation import HeldOut
from emoembed.reading import corpus_rows
from emoembed.reading.rows import join
from emoembed.training import recipes
from emoembed.training.build import set_adapter_strength


@pytest.fixture
def rows(corpus_of, text_model):
    def make(split="valid"):
        texts, labels = [f"so merry {i}" if i % 2 else f"so cross {i}" for i in range(24)], ["joy", "anger"] * 12
        return corpus_rows.text_data(corpus_of(texts, labels, split), text_model.phrases)

    return make


@pytest.fixture
def trained(rows, text_model, tmp_path, monkeypatch):
    """`trained(rows, seed)` -> the part of `base` that reads texts."""
    training = recipes.training
    monkeypatch.setattr(recipes, "training", lambda kind, seed: training(kind, seed, epochs=1))

    def make(train_rows=None, seed=0, reader=None):
        recipe = stages.recipe_of("text", text_model.config.modalities["text"], text_model, seed)
        recipe = replace(recipe, facial_actions=reader)
        train_rows = rows("train") if train_rows is None else train_rows
        return working_folder.trained("text", replace(recipe, strength=0.8), train_rows, rows(), tmp_path)

    return make


@pytest.fixture
def assembled(trained, text_model, tmp_path):
    def make():
        part = trained()
        return part, stages.expecting(stages.base_of({"text": part}, text_model), tmp_path / "report")

    return make


def test_what_choices_were_made_on_and_what_is_asked_by_name_is_not_trained_on():
    assert not {*texts.TESTED, "iemocap_text", "emovo"} & {*stages.TEXT_CORPORA, *stages.AUDIO_CORPORA}


def test_adapters_train_at_full_strength_though_the_trunk_was_kept(text_model, rows, monkeypatch, tmp_path):
    monkeypatch.setattr(text_stages, "text_rows", lambda *_: (rows("train"), rows()))
    training = recipes.training
    monkeypatch.setattr(recipes, "training", lambda kind, seed: training(kind, seed, epochs=3, imitate=0.0))
    kept_trunk = set_adapter_strength(text_model, 0.0)
    monkeypatch.setattr(text_stages, "answers_of", lambda *_, **__: None)
    part = text_stages.train_text(tmp_path, kept_trunk, 0, tmp_path, "mpnet")
    adapters = part.modality("text").encoder.adapters
    assert adapters.strength == text_stages.STRENGTH
    assert any(bool(weight.any()) for weight in adapters.up.values())


def test_the_rows_of_voted_images_have_shares_of_votes_as_targets():
    names = ("neutral", "joy", "contempt")
    samples = make_samples(["a", "b"], video=["a.jpg", "b.jpg"], labels=[("joy",), ("contempt",)], split="train")
    samples["shares"] = pd.Series([(0.2, 0.8, 0.0), (0.25, 0.15, 0.6)], dtype=object)
    votes = Corpus("ferplus", samples, names, multi_label=False)
    faces = {row: np.zeros((1, 4)) for row in ("a", "b")}
    own = Corpus("fer2013", samples.drop(columns="shares"), ("joy", "contempt"), multi_label=False)
    joined = join([corpus_rows.annotate(own, {"video": faces}), corpus_rows.annotate(votes, {"video": faces})])
    rows = stages.with_shares(joined, votes)
    np.testing.assert_array_equal(rows.targets[:2], joined.targets[:2])
    columns = [rows.labels.index(name) for name in names]
    np.testing.assert_allclose(rows.targets[2:, columns], [[0.2, 0.8, 0.0], [0.25, 0.15, 0.6]])
    assert rows.has[3].tolist() == [label == "contempt" for label in rows.labels]


def test_a_checkpoint_holds_its_parts_weights_and_calibration(assembled):
    part, model = assembled()
    for name, value in part.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, equal_nan=True)
    assert model.modality("text").calibration.thresholds.abs().sum() > 0
    assert model.config.modalities["text"].settings.strength == model.modality("text").encoder.adapters.strength == 0.8
    assert model.state.provenance["trained_on"]["text"] == list(stages.TEXT_CORPORA)
    assert model.state.labels == stages.DEFAULT_LABELS


def test_what_to_expect_of_new_labels_is_read_from_the_report_or_missed_aloud(assembled, tmp_path, capsys):
    _, model = assembled()
    assert f"no {expectation.FILE} in {tmp_path / 'report' / 'text'}" in capsys.readouterr().out
    folder = tmp_path / "report" / "text"
    folder.mkdir(parents=True)
    novelty.write([HeldOut(name, 0.5, 0.9, 1.0, -1.0) for name in ("awe", "pride", "relief")], folder)
    _, informed = assembled()
    assert capsys.readouterr().out == ""
    assert not torch.equal(informed.modality("text").calibration.expected, model.modality("text").calibration.expected)
    assert informed.modality("text").calibration.expected[0].item() == pytest.approx(0.9, abs=1e-5)


def test_a_stage_that_was_finished_is_taken_up(rows, trained, monkeypatch):
    first = trained()
    monkeypatch.setattr("emoembed.training.fit.optimise", lambda *_, **__: pytest.fail("trained again"))
    second = trained()
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, equal_nan=True)
    for other in ((None, 1), (rows("train").rows(np.arange(20)), 0), (None, 0, FacialActionReader())):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            trained(*other)
    emotions = working_folder.table()
    joy = replace(emotions["joy"], definition="a storm ahead")
    monkeypatch.setattr(working_folder, "table", lambda: {**emotions, "joy": joy})
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        trained()


def test_the_word_table_holds_the_labels_and_the_commonest_words(text_model):
    words = text_stages.distil_words(text_model, ["The merry merry dog", "a merry cat"], count=400, dim=4)
    assert words.vector_size == 4
    assert all(word in words for word in ("joy", "anger", "nostalgia"))
    few = text_stages.distil_words(text_model, ["merry"] * 3, count=100, dim=4)
    assert len(few.words) == 100


@pytest.fixture
def few_corpora(monkeypatch, corpus_of):
    """Corpora of two rows each, one of train and one of test, in place of the real ones."""

    def load(name, _=None):
        corpus = corpus_of([f"a first text in {name}", f"a second text in {name}"], ["joy", "anger"])
        samples = corpus.samples.assign(split=pd.Series(["train", "test"], index=corpus.samples.index))
        return replace(corpus, name=name, samples=samples)

    monkeypatch.setattr(corpora, "load", load)
    monkeypatch.setattr(texts, "read_pairs", lambda _: load("situations_pairs"))
    monkeypatch.setattr(texts, "TESTED", ("semeval2018",))
    monkeypatch.setattr(texts, "tested_corpora", lambda _: [load("tested")])
    monkeypatch.setattr(texts, "COMMON", 1)
    return load


def test_training_texts_are_those_of_training_rows(few_corpora, tmp_path):
    collected = texts.training_texts(tmp_path)
    own = [name for name in texts.TEXT_CORPORA if name not in texts.WHOLE]
    assert {text for text in collected if "second" in text} == {f"a second text in {name}" for name in texts.WHOLE}
    assert {f"a first text in {name}" for name in own} <= set(collected)


def test_a_text_that_is_tested_on_is_not_trained_on(few_corpora, monkeypatch, tmp_path):
    monkeypatch.setattr(texts, "tested_corpora", lambda _: [few_corpora("tec")])
    collected = texts.training_texts(tmp_path)
    assert not any("in tec" in text for text in collected)
    assert any("in xed" in text for text in collected)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("PersonX washes PersonX's car", "I wash my car"),
        ("PersonX 's boss gives PersonX a rise", "my boss gives me a rise"),
        ("PersonX tries ___ again", "I try something again"),
        ("PersonX is late for PersonY's party", "I am late for someone's party"),
    ],
)
def test_events_are_told_in_the_first_person(event, told):
    assert texts.first_person(event) == told


def test_only_common_names_of_one_feeling_are_labels(corpus_of):
    corpus = corpus_of(["a", "b", "c", "d"], ["glad", "glad", "in awe", "sad, lost"])
    assert texts.of_common_names(corpus, 2).labels == ("glad",)
    assert texts.of_common_names(corpus, 1).labels == ("glad", "in awe")


def test_drawn_rows_are_labelled_and_the_same_in_every_call(corpus_of):
    corpus = corpus_of([str(i) for i in range(40)], ["joy", "anger"] * 20)
    corpus = replace(
        corpus,
        samples=corpus.samples.assign(
            labels=[(x,) if i % 4 else () for i, (x,) in enumerate(corpus.samples["labels"])]
        ),
    )
    assert len(texts.drawn(corpus, 99).samples) == 30
    first = texts.drawn(corpus, 7).samples
    assert len(first) == 7
    assert first["id"].tolist() == texts.drawn(corpus, 7).samples["id"].tolist()
