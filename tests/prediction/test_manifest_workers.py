"""Rows of a manifest scored by several processes, and features extracted by several."""

import os
import pickle
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from emoembed.errors import InputError
from emoembed.features import store, workers
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.prediction.manifests import batches, scoring, tasks
from emoembed.prediction.recognizer import Recognizer

LABELS = ["joy", "anger"]


@pytest.fixture
def rows(tmp_path, voice):
    """Texts and recordings; one recording is missing."""
    wavfile.write(tmp_path / "a.wav", 16_000, (voice() * 2**15).astype(np.int16))
    lines = [f"t{i},so merry {i % 7}," for i in range(40)] + ["s0,,a.wav", "s1,,b.wav", "s2,so cross,a.wav"]
    (tmp_path / "in.csv").write_text("\n".join(["id,text,audio", *lines]) + "\n")
    return tmp_path / "in.csv"


def test_several_processes_write_the_table_of_one(rows, three_model):
    recognizer, (single_path, two) = Recognizer(three_model), (rows.with_name(f"{n}.csv") for n in (1, 2))
    summary = scoring.predict_manifest(recognizer, rows, LABELS, single_path, batch_size=8)
    assert scoring.predict_manifest(recognizer, rows, LABELS, two, batch_size=8, workers=2) == summary
    assert list(summary.failures) == ["s1"]
    first, second = pd.read_csv(single_path), pd.read_csv(two)
    pd.testing.assert_frame_equal(first.round(5), second.round(5))
    np.testing.assert_allclose(first[LABELS], second[LABELS], atol=1e-6)
    assert first["id"].tolist() == [*(f"t{i}" for i in range(40)), "s0", "s1", "s2"]


class Deadly(Recognizer):
    """Kills its process at the text "so cross"."""

    def predict(self, *arguments, **options):
        if "so cross" in (options.get("text") or ()):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(*arguments, **options)


def test_a_pickled_recognizer_answers_as_before(three_model):
    recognizer = Recognizer(three_model)
    before = recognizer.predict("so merry", labels=LABELS).scores
    again = pickle.loads(pickle.dumps(recognizer)).predict("so merry", labels=LABELS).scores
    assert again == pytest.approx(before, abs=1e-6)


def test_a_row_that_kills_its_process_fails_and_the_others_are_scored(rows, three_model):
    out = rows.with_name("out.csv")
    summary = scoring.predict_manifest(Deadly(three_model), rows, LABELS, out, batch_size=8, workers=2)
    assert summary.failures["s2"] == workers.STOPPED
    assert set(summary.failures) == {"s1", "s2"}
    assert pd.read_csv(out)["label"].notna().sum() == 41


def test_a_run_with_more_processes_goes_on_where_one_was_stopped(rows, three_model, monkeypatch):
    recognizer, out = Recognizer(three_model), rows.with_name("out.csv")
    real, calls = batches.score_batch, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(batches, "score_batch", stopping)
    for module in ("batches", "resumable_table"):
        monkeypatch.setattr(f"emoembed.prediction.manifests.{module}.FLUSH_ROWS", 1)
    with pytest.raises(KeyboardInterrupt):
        scoring.predict_manifest(recognizer, rows, LABELS, out, batch_size=8)
    summary = scoring.predict_manifest(recognizer, rows, LABELS, out, batch_size=8, workers=2)
    assert summary.resumed == 24
    assert pd.read_csv(out)["id"].is_unique


@pytest.mark.parametrize("value", [0, 1.5, "two"])
def test_a_wrong_number_of_processes_is_refused(rows, three_model, value):
    with pytest.raises(InputError, match="workers must be a whole number"):
        scoring.predict_manifest(Recognizer(three_model), rows, LABELS, rows.with_name("out.csv"), workers=value)


def test_dialogues_are_scored_by_one_process(tmp_path, three_model):
    (tmp_path / "in.csv").write_text("id,text,dialogue,turn\na,so merry,d,1\nb,so cross,d,2\n")
    arguments = Recognizer(three_model), tmp_path / "in.csv", LABELS, tmp_path / "out.csv"
    with pytest.raises(InputError, match="scored by one process in the context of their dialogues; given workers=2"):
        scoring.predict_manifest(*arguments, context=True, workers=2)
    assert scoring.predict_manifest(*arguments, context=True, workers=None).rows == 2


def test_the_number_of_processes_suits_the_work_and_the_machine(corpus_of, three_model, monkeypatch):
    recognizer = Recognizer(three_model)
    corpus = corpus_of([str(i) for i in range(200)], ["joy", "anger"] * 100)
    sound = replace(corpus, samples=corpus.samples.assign(audio="a.wav"))
    monkeypatch.setattr(workers, "cores", lambda: 8)
    monkeypatch.setattr(workers, "free_memory", lambda: 6 * 2**30)
    assert scoring.workers_for(None, recognizer, corpus, ("text",), False) == 1
    assert scoring.workers_for(None, recognizer, sound, ("text", "audio"), False) == 6
    assert scoring.workers_for(None, recognizer, sound, ("text", "audio"), True) == 1
    assert scoring.workers_for(3, recognizer, corpus, ("text",), False) == 3
    monkeypatch.setattr(workers, "free_memory", lambda: 0)
    assert scoring.workers_for(None, recognizer, sound, ("text", "audio"), False) == 1


def test_features_are_those_of_one_process(rows, tmp_path):
    alone, two = (tasks.extract_features(rows, "audio", tmp_path / str(n), workers=n) for n in (1, 2))
    assert list(alone) == list(two) == ["s0", "s2"]
    assert alone.failures == two.failures
    for item in alone:
        np.testing.assert_array_equal(alone[item], two[item])


def deadly(source):
    if source == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return Features(np.zeros((3, 1), np.float32), FeatureSet("toy", ("x",), 1.0))


def test_an_item_that_kills_its_process_is_a_failure_of_the_store(tmp_path):
    made = store.extract([(name, name) for name in "abc"], deadly, tmp_path / "s", workers=2)
    assert list(made) == ["a", "c"]
    assert made.failures == {"b": workers.STOPPED}
