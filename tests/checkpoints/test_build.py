from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import stages
import torch
from studies import novelty

from emoembed import corpora
from emoembed.model import expectation
from emoembed.model.expectation import HeldOut
from emoembed.reading import corpus_rows
from emoembed.training import recipes


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

    def make(train_rows=None, seed=0):
        modality = text_model.config.modalities["text"]
        train_rows = rows("train") if train_rows is None else train_rows
        return stages.trained("text", modality, train_rows, rows(), text_model, seed, tmp_path, strength=0.8)

    return make


@pytest.fixture
def assembled(trained, text_model, tmp_path):
    def make():
        part = trained()
        return part, stages.base_of({"text": part}, text_model, tmp_path / "report")

    return make


def test_what_choices_were_made_on_and_what_is_asked_by_name_is_not_trained_on():
    assert not {"semeval2018", "dair_emotion", "iemocap_text"} & {*stages.TEXT_CORPORA, *stages.AUDIO_CORPORA}


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
    monkeypatch.setattr("emoembed.training.fit.fit", lambda *_, **__: pytest.fail("trained again"))
    second = trained()
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, equal_nan=True)
    for other in ((None, 1), (rows("train").rows(np.arange(20)), 0)):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            trained(*other)
    known = stages.table()
    joy = replace(known["joy"], definition="a storm ahead")
    monkeypatch.setattr(stages, "table", lambda: {**known, "joy": joy})
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        trained()


def test_the_word_table_holds_the_labels_and_the_commonest_words(text_model):
    words = stages.distil_words(text_model, ["The merry merry dog", "a merry cat"], count=400, dim=4)
    assert words.vector_size == 4
    assert all(word in words for word in ("joy", "anger", "nostalgia"))
    few = stages.distil_words(text_model, ["merry"] * 3, count=100, dim=4)
    assert len(few.words) == 100


def test_training_texts_are_those_of_training_rows(monkeypatch, corpus_of, tmp_path):
    def load(name, _):
        held = corpus_of([f"{name} a", f"{name} b"], ["joy", "anger"])
        held.samples["split"] = pd.Series(["train", "test"], index=held.samples.index)
        return held

    monkeypatch.setattr(corpora, "load", load)
    assert stages.training_texts(tmp_path) == [f"{name} a" for name in stages.TEXT_CORPORA]
