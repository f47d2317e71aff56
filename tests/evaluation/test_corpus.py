"""Scores on a corpus: they agree with the metrics, thresholds come from valid, training rows are no test."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emoembed import metrics
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.errors import InputError
from emoembed.evaluation.corpus import _figures, chosen_on, evaluate_corpus, trained_on, write_evaluation
from emoembed.features.text import word_feature_set
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.model.state import State
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.build import build


@pytest.fixture(scope="module")
def recognizer(word_table):
    columns = word_feature_set(word_table.dim).columns
    text = ModalityConfig(
        "words", "recurrent", 20, columns, RecurrentSettings(hidden=8), parts=LabelParts(vad_share=0.5)
    )
    return Recognizer(build({"text": text}, word_table))


def test_evaluation_agrees_with_the_metrics(corpus_of, recognizer):
    texts, labels = (
        ["jubilant", "sunny", "wrathful", "downcast", "blue", "irate"],
        ["joy", "joy", "anger", "sadness", "sadness", "anger"],
    )
    corpus = corpus_of(texts * 4, labels * 4, split=["train", "valid", "valid", "valid"] * 6)
    evaluation = evaluate_corpus(recognizer, corpus, batch_size=4)
    scored = corpus.split("valid")
    results = [recognizer.predict(text, labels=corpus.labels) for text in scored.samples["text"]]
    true = np.array([row[0] for row in scored.samples["labels"]])
    answered = np.array([result.label for result in results])
    assert evaluation.figures["accuracy"] == pytest.approx((true == answered).mean())
    assert evaluation.figures["uar"] == pytest.approx(metrics.uar(answered, true))
    assert evaluation.figures["uar_low"] <= evaluation.figures["uar"] <= evaluation.figures["uar_high"]
    joy = np.array([result.scores["joy"] for result in results])
    assert evaluation.by_label.loc["joy", "auc"] == pytest.approx(metrics.auc(joy, true == "joy"), abs=0.02)
    assert list(evaluation.predictions["true"]) == list(true)
    assert not evaluation.trained_on


def test_turns_are_evaluated_in_the_context_of_their_dialogues(corpus_of, recognizer):
    texts = ["jubilant", "wrathful", "sunny", "downcast"] * 2
    labels = ["joy", (), "joy", "sadness"] * 2  # a turn without a label informs later turns
    corpus = corpus_of(texts, labels, split="valid", dialogue=["a"] * 4 + ["b"] * 4, turn=[0, 1, 2, 3] * 2)
    evaluation = evaluate_corpus(recognizer, corpus, context=2.0)
    talk = recognizer.predict_dialogue(texts[:4], corpus.labels, strength=2.0)
    predictions = evaluation.predictions.set_index("id")
    assert list(predictions.index) == ["row0", "row2", "row3", "row4", "row6", "row7"]
    assert evaluation.figures["rows"] == 6
    for i in (0, 2, 3):
        assert predictions.loc[f"row{i}", "joy"] == pytest.approx(talk[i].scores["joy"], abs=1e-6)
    alone = evaluate_corpus(recognizer, corpus).predictions.set_index("id")
    assert predictions.loc["row3", "joy"] != pytest.approx(alone.loc["row3", "joy"], abs=1e-6)


def test_multi_label_thresholds_come_from_valid(corpus_of, recognizer):
    rows = [("joy",), ("joy", "anger"), ("anger",), ()] * 3
    corpus = corpus_of(["jubilant", "sunny", "wrathful", "downcast"] * 3, rows, split=["valid"] * 8 + ["test"] * 4)
    evaluation = evaluate_corpus(recognizer, corpus, "test")
    assert set(evaluation.figures) >= {"macro_f1", "mean_auc", "mean_ap"}
    assert "uar" not in evaluation.figures
    assert evaluation.figures["rows"] == 4
    with pytest.raises(ValueError, match="no valid rows"):
        evaluate_corpus(recognizer, corpus.split("test"), "test")


def test_the_interval_redraws_speakers_and_not_rows(corpus_of, recognizer):
    texts, labels = ["jubilant", "wrathful", "sunny", "irate"] * 10, ["joy", "anger"] * 20
    alone = evaluate_corpus(recognizer, corpus_of(texts, labels, split="valid", speaker=["anna"] * 40))
    assert np.isnan([alone.figures["uar_low"], alone.figures["uar_high"]]).all()  # of one speaker
    three = evaluate_corpus(recognizer, corpus_of(texts, labels, split="valid", speaker=["a", "b", "b", "c"] * 10))
    for name in ("uar", "accuracy", "macro_f1"):
        assert three.figures[f"{name}_low"] < three.figures[name] < three.figures[f"{name}_high"], name


def test_a_corpus_without_splits_is_trained_on_whole(recognizer):
    model = build(recognizer.model.config.modalities, recognizer.model.phrases)
    model = model.with_state(State(provenance={"trained_on": {"audio": ["tess", "ravdess"]}}))
    assert trained_on(model, "tess", "valid")
    assert trained_on(model, "ravdess", "train")
    assert not trained_on(model, "ravdess", "test")


def test_two_corpora_of_one_series_are_no_test_of_each_other(recognizer):
    model = build(recognizer.model.config.modalities, recognizer.model.phrases)
    model = model.with_state(State(provenance={"trained_on": {"text": ["emorynlp"]}}))
    assert trained_on(model, "meld", "test")
    assert not trained_on(model, "emorynlp", "test")
    assert not trained_on(model, "goemotions", "test")


def test_written_figures_are_strict_json(tmp_path):
    write_evaluation(tmp_path / "out", {"auc": float("nan"), "n": np.int64(3)}, runs=pd.DataFrame({"a": [1]}))
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == {"auc": None, "n": 3}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.json", "runs.csv"]


def test_rows_on_which_a_model_was_validated_or_calibrated_are_told(recognizer):
    model = build(recognizer.model.config.modalities, recognizer.model.phrases)
    provenance = {"trained_on": {"text": ["goemotions"]}, "calibrated_on": {"text": ["enisear", "semeval2018"]}}
    model = model.with_state(State(provenance=provenance))
    assert chosen_on(model, "goemotions", "valid")
    assert chosen_on(model, "enisear", "train")
    assert chosen_on(model, "semeval2018", "valid")
    assert not chosen_on(model, "semeval2018", "test")
    assert not chosen_on(model, "goemotions", "test")
    assert not chosen_on(model, "meld", "valid")


def test_a_label_without_rows_does_not_lower_macro_f1(corpus_of, recognizer):
    words = {"joy": "jubilant", "anger": "wrathful"}
    names = ["joy", "anger"] * 3
    corpus = corpus_of([words[name] for name in names], names, split="valid")
    corpus = replace(corpus, labels=(*corpus.labels, "zest"))
    bears = np.array([[name == label for label in corpus.labels] for name in names])
    assert _figures(bears.astype(float), bears, None)["macro_f1"] == 1.0
    found = evaluate_corpus(recognizer, corpus).figures
    assert found["macro_f1_low"] <= found["macro_f1"] <= found["macro_f1_high"]


def test_a_multi_label_table_without_valid_rows_is_told_before_the_work(corpus_of, recognizer, monkeypatch):
    monkeypatch.setattr("emoembed.evaluation.corpus.score_rows", None)
    corpus = corpus_of(["jubilant", "wrathful"], [("joy", "pride"), ("anger",)], split="test")
    with pytest.raises(InputError, match="no valid rows, on which the thresholds of macro-F1 are fitted"):
        evaluate_corpus(recognizer, corpus, "test")


def test_a_table_whose_labels_are_in_the_column_label_is_told_to_rename_it(recognizer, tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("text,label\nso merry,joy\nso cross,anger\n")
    with pytest.raises(InputError, match="no row with a label in split 'train'; rename its column 'label' to 'labels'"):
        evaluate_corpus(recognizer, path, "train")


def test_a_multi_label_split_without_a_label_is_refused(corpus_of, recognizer):
    labels = [("joy", "pride"), ("anger",), (), ()]
    corpus = corpus_of(["jubilant", "wrathful", "sunny", "blue"], labels, split=["valid", "valid", "test", "test"])
    with pytest.raises(InputError, match="toy has no row with a label in split 'test'"):
        evaluate_corpus(recognizer, corpus, "test")
