"""Whole manifests: what fails is recorded and stops nothing, files come whole."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile

import emoembed.reading.media
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.errors import InputError, LabelError
from emoembed.features import video
from emoembed.features.text import word_feature_set
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.prediction.manifests import scoring, tasks
from emoembed.prediction.manifests.resumable_table import Summary
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading import cache, sources
from emoembed.training import recipes
from emoembed.training.build import build

LABELS = ["joy", "anger", "sadness"]


@pytest.fixture(scope="module")
def recognizer(word_table):
    columns = word_feature_set(word_table.dim).columns
    text = ModalityConfig(
        "words", "recurrent", 20, columns, RecurrentSettings(hidden=8), parts=LabelParts(vad_share=0.5)
    )
    return Recognizer(build({"text": text}, word_table))


@pytest.fixture(scope="module")
def hearing(recognizer):
    """A model of text and sound."""
    text = recognizer.model.config.modalities["text"]
    return Recognizer(build({"text": text, "audio": recipes.audio_modality()}, recognizer.model.phrases))


@pytest.fixture
def tone(tmp_path, voice):
    """Two seconds: a low voice, then a high one."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.concatenate([voice(pitch=120), voice(pitch=260)]), 16000)
    return str(path)


def test_scores_are_those_of_predict_whatever_the_batch_size(corpus_of, recognizer, tmp_path):
    corpus = corpus_of(["jubilant", "sunny downcast", "wrathful irate blue"] * 4)
    summary = scoring.predict_manifest(recognizer, corpus, LABELS, tmp_path / "a.csv", batch_size=5)
    written = pd.read_csv(tmp_path / "a.csv")
    assert list(written.columns) == [
        "id",
        "text",
        "label",
        "confidence",
        "notes",
        "absent",
        "weight_text",
        *LABELS,
        "error",
    ]
    confidence = written["confidence"].median()
    assert summary == Summary(12, {}, median_confidence=pytest.approx(confidence))
    for row, text in zip(written.to_dict("records"), corpus.samples["text"], strict=True):
        expected = recognizer.predict(text, labels=LABELS)
        assert row["label"] == expected.label
        assert [row[label] for label in LABELS] == pytest.approx([expected.scores[label] for label in LABELS], abs=1e-5)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_failing_row_is_recorded_and_the_others_are_scored(corpus_of, recognizer, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    summary = scoring.predict_manifest(recognizer, corpus_of(["joy", "zzzz", None, "downcast"]), LABELS, output)
    assert summary.failures == {
        "row1": "no word of 'zzzz' has a vector",
        "row2": "nothing to work on: text, audio and video are all None",
    }
    read = {".csv": pd.read_csv, ".jsonl": lambda path: pd.read_json(path, lines=True), ".parquet": pd.read_parquet}
    written = read[suffix](output)
    assert list(written["id"]) == ["row0", "row1", "row2", "row3"]
    assert list(written["joy"].isna()) == [False, True, True, False]
    assert written["error"][1] == "no word of 'zzzz' has a vector"
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_what_is_wrong_with_the_call_is_no_rows_failure(corpus_of, recognizer, tmp_path):
    corpus = corpus_of(["joy"])
    with pytest.raises(LabelError, match="same emotion"):
        scoring.predict_manifest(recognizer, corpus, ["joy", "Joy"], tmp_path / "out.csv")
    with pytest.raises(LabelError, match="names no default labels"):
        scoring.predict_manifest(recognizer, corpus, None, tmp_path / "out.csv")
    with pytest.raises(LabelError, match="'error' is a column of the output"):
        scoring.predict_manifest(recognizer, corpus, {"error": "joy"}, tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"one of \.csv, .*\.xlsx, not '\.txt'"):
        scoring.predict_manifest(recognizer, corpus, LABELS, tmp_path / "out.txt")
    only_video = Corpus("toy", make_samples(["a"], video="a.mp4", labels=[()], split="train"), (), False)
    with pytest.raises(InputError, match="toy has video; this model reads text"):
        scoring.predict_manifest(recognizer, only_video, LABELS, tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"given 0\.9"):
        scoring.predict_manifest(recognizer, corpus, LABELS, tmp_path / "out.csv", abstain=0.9)
    with pytest.raises(InputError, match="this model cannot abstain: its text was never calibrated"):
        scoring.predict_manifest(recognizer, corpus, LABELS, tmp_path / "out.csv", abstain=True)
    assert not list(tmp_path.iterdir())


def test_start_and_end_choose_the_part_that_is_heard(corpus_of, hearing, tone, tmp_path):
    corpus = corpus_of([None, None], audio=[tone, tone], start=[0.0, 1.0], end=[1.0, None])
    scoring.predict_manifest(hearing, corpus, LABELS, tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv")
    samples, rate = soundfile.read(tone, dtype="float32")
    for row, part in zip(written.to_dict("records"), (samples[:16000], samples[16000:]), strict=True):
        expected = hearing.predict(audio=(part, rate), labels=LABELS)
        assert row["joy"] == pytest.approx(expected.scores["joy"], abs=1e-5)


def test_a_part_that_cannot_be_read_leaves_the_other_modalities(corpus_of, hearing, tone, tmp_path):
    corpus = corpus_of(["joy", None], audio=[tone, tone], start=[50.0, 60.0])
    summary = scoring.predict_manifest(hearing, corpus, LABELS, tmp_path / "out.csv")
    assert list(summary.absent) == ["row0"]
    assert summary.absent["row0"].startswith("audio: ")
    assert list(summary.failures) == ["row1"]


def test_extraction_cuts_parts_and_keeps_failures(corpus_of, tone, tmp_path):
    corpus = corpus_of([None] * 3, audio=[tone, tone, str(tmp_path / "no.wav")], start=[0.0, None, None])
    corpus = Corpus("toy", corpus.samples.assign(end=[0.5, np.nan, np.nan]), (), False)
    store = tasks.extract_features(corpus, "audio", tmp_path / "store")
    assert set(store) == {"row0", "row1"}
    assert store.length("row0") < store.length("row1")
    assert list(store.failures) == ["row2"]
    with pytest.raises(InputError, match="toy has no video; it has audio"):
        tasks.extract_features(corpus, "video", tmp_path / "faces")


def test_what_is_trained_on_is_what_predict_looks_at_and_an_extraction_has_all(
    corpus_of, hearing, tone, tmp_path, monkeypatch
):
    for module in (cache, emoembed.reading.media):
        monkeypatch.setattr(module, "LOOKED_AT", 1.2)
    corpus = corpus_of([None] * 2, audio=[tone, tone], start=[np.nan, 0.5])
    features, failures = cache.cached_features(corpus, "audio", tmp_path)
    assert not failures
    whole = tasks.extract_features(corpus, "audio", tmp_path / "store")
    assert len(whole["row0"]) > 180
    assert len(features["row1"]) < len(whole["row1"])
    read = emoembed.reading.media.read(hearing.model, "audio", tone)
    np.testing.assert_allclose(features["row0"], read.values, atol=0.1)  # kept in half precision
    assert len(sources.input_of("audio", (tone, 0.5, None, None)).values) == 1.2 * 16000
    picture = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    limits, real = [], video.read_faces
    monkeypatch.setattr(video, "read_faces", lambda *a, limit, **b: limits.append(limit) or real(*a, limit=limit, **b))
    for whole in (False, True):
        cache.read_span("video", (str(tmp_path / "a.png"), None, None, None), whole=whole)
    assert limits == [hearing.model.config.modalities["audio"].longest, None]


def test_a_manifest_is_not_overwritten_by_its_own_scores(recognizer, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("id,text\na,sunny\n")
    with pytest.raises(InputError, match="is the input itself"):
        scoring.predict_manifest(recognizer, path, ["joy", "anger"], path)
    assert path.read_text() == "id,text\na,sunny\n"
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        scoring.predict_manifest(recognizer, path, ["joy", "anger"], tmp_path / "folder.csv")


def test_a_file_that_is_missing_is_its_rows_failure_alone(corpus_of, hearing, tone, tmp_path):
    missing = str(tmp_path / "none.wav")
    corpus = corpus_of(["joy", None, None], audio=[missing, missing, tone])
    summary = scoring.predict_manifest(hearing, corpus, LABELS, tmp_path / "out.csv")
    assert summary.absent == {"row0": f"audio: no audio file at {missing}"}
    assert list(summary.failures) == ["row1"]
    assert summary.failures["row1"] == f"no audio file at {missing}"


def test_the_side_of_a_row_is_the_half_that_is_looked_at(tmp_path):
    picture = np.random.default_rng(0).integers(0, 255, (48, 96), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    source = (str(tmp_path / "a.png"), None, None, "right")
    expected = video.read_faces(picture, side="right").features.values
    np.testing.assert_array_equal(sources.input_of("video", source).values, expected)


def test_rows_with_sound_are_scored_one_by_one(corpus_of, hearing, tone, tmp_path, monkeypatch):
    real, sizes = hearing.predict, []
    monkeypatch.setattr(hearing, "predict", lambda **given: sizes.append(len(given["text"])) or real(**given))
    corpus = corpus_of(["joy"] * 5, audio=[None, None, tone, tone, None])
    scoring.predict_manifest(hearing, corpus, LABELS, tmp_path / "out.csv")
    assert sizes == [2, 1, 1, 1]


def test_a_recording_that_was_replaced_is_extracted_again_and_one_that_was_moved_is_not(corpus_of, tmp_path, voice):
    place = tmp_path / "a.wav"
    soundfile.write(place, voice(1.0), 16_000)
    first = tasks.extract_features(corpus_of([None], audio=[str(place)]), "audio", tmp_path / "store")["row0"].copy()
    moved = place.rename(tmp_path / "b.wav")
    again = tasks.extract_features(corpus_of([None], audio=[str(moved)]), "audio", tmp_path / "store")
    assert len(list((tmp_path / "store").glob("*.npy"))) == 1
    soundfile.write(moved, voice(2.0), 16_000)
    again = tasks.extract_features(corpus_of([None], audio=[str(moved)]), "audio", tmp_path / "store")
    assert len(again["row0"]) > len(first) + 50
