import os

import numpy as np
import pandas as pd
import pytest
import soundfile

from emoembed import corpora
from emoembed.corpora.corpus import make_samples
from emoembed.corpora.feature_corpus import Arrays, FeatureCorpus
from emoembed.errors import CorpusError, InputError
from emoembed.features.feature_set import FeatureSet
from emoembed.reading.cache import extract_features
from emoembed.reading.prepare import prepare


def toy(arrays):
    samples = make_samples(list(arrays), labels=[("joy",)] * len(arrays), split="train")
    tables = {"audio": Arrays(FeatureSet("toy", ("a", "b", "c")), arrays)}
    return FeatureCorpus("mosei", samples, ("joy", "anger"), True, tables, "toy", ("said before",))


def test_faults_are_counted_once_and_mended(tmp_path):
    values = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    values[:, 2] = 7.0
    broken = values.copy()
    broken[0, 1], broken[2, 1], broken[3, 0] = -np.inf, -np.inf, np.nan
    done = prepare(toy({"x": values, "y": broken, "z": np.zeros((0, 3), np.float32)}), tmp_path / "out")
    assert done.notes == (
        "said before",
        "audio: 2 of 24 values were infinite, in 2 columns, most in b; they were replaced by 0",
        "audio: 1 of 24 values were NaN, in 2 columns, most in b; they were replaced by 0",
        "audio: 1 columns are constant: c",
        "audio: 1 rows have no features, such as z (the item has no frames of this modality)",
    )
    np.testing.assert_array_equal(done.features["audio"]["x"], values)
    assert done.features["audio"]["y"][0, 1] == 0
    assert "z" not in done.features["audio"]


@pytest.mark.parametrize(("name", "form"), [("mosei", "csd"), ("mosei", "seq-20"), ("iemocap", "nine-class")])
def test_a_prepared_corpus_is_the_corpus(name, form, tmp_path, stand_in):
    source = corpora.load(name, stand_in(name, form))
    prepare(source, tmp_path / "out")
    back = corpora.load(name, tmp_path / "out")
    assert (back.name, back.form, back.labels, back.multi_label) == (name, form, source.labels, source.multi_label)
    assert back.samples["labels"].tolist() == source.samples["labels"].tolist()
    for modality, table in source.features.items():
        assert back.features[modality].feature_set.columns == table.feature_set.columns
        for item in list(table)[:5]:
            expected = np.nan_to_num(table[item], posinf=0, neginf=0)
            np.testing.assert_array_equal(back.features[modality][item], expected)


def test_media_become_this_package_s_own_features(tmp_path, stand_in):
    source = corpora.load("iemocap", stand_in("iemocap", "raw"))
    done = prepare(source, tmp_path / "out")
    assert done.features["audio"].feature_set.name == "speech"
    assert set(done.features["audio"]) == set(source.samples["id"])
    lengths = [len(done.features["audio"][i]) / 100 for i in source.samples["id"]]
    np.testing.assert_allclose(lengths, source.samples["end"] - source.samples["start"], atol=0.05)
    assert any(note.startswith("video: no row could be read: no face found") for note in done.notes)


def test_times_of_any_length_are_the_same_when_prepared_again(tmp_path):
    """Times of the SDK's files have sixteen digits: a table that rounds them makes the corpus another."""
    source = toy({"x": np.ones((2, 3), np.float32)})
    source.samples["start"], source.samples["end"] = 0.3999999999999999, 2.5222495776938536
    prepare(source, tmp_path / "out")
    again = prepare(source, tmp_path / "out")
    assert (again.samples["start"][0], again.samples["end"][0]) == (0.3999999999999999, 2.5222495776938536)


def test_preparing_again_does_nothing_and_another_corpus_is_refused(tmp_path):
    arrays = {"x": np.ones((2, 3), np.float32)}
    prepare(toy(arrays), tmp_path / "out")
    before = (tmp_path / "out" / "audio" / "shard-00000.npy").stat().st_mtime_ns
    prepare(toy(arrays), tmp_path / "out")
    assert (tmp_path / "out" / "audio" / "shard-00000.npy").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="contains mosei with other rows"):
        prepare(toy({"other": arrays["x"]}), tmp_path / "out")
    mended = toy(arrays)
    mended.samples["text"] = "said otherwise"
    mended.samples["labels"] = pd.Series([("awe",)] * len(mended.samples), dtype=object)
    with pytest.raises(InputError, match="contains mosei with other values of labels and text"):
        prepare(mended, tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"contains thesis\.txt"):
        prepare(toy(arrays), tmp_path / "full")


def test_a_folder_of_the_user_s_own_media_is_never_touched(tmp_path):
    (tmp_path / "out" / "audio").mkdir(parents=True)
    (tmp_path / "out" / "audio" / "interview.wav").write_text("precious")
    with pytest.raises(InputError, match="audio contains files that are not part of a feature store"):
        prepare(toy({"x": np.ones((2, 3), np.float32)}), tmp_path / "out")
    assert (tmp_path / "out" / "audio" / "interview.wav").read_text() == "precious"


def test_a_stopped_run_goes_on_and_an_unfinished_folder_is_no_corpus(tmp_path):
    prepare(toy({"x": np.ones((2, 3), np.float32)}), tmp_path / "out")
    (tmp_path / "out" / "corpus.json").unlink()
    assert prepare(toy({"x": np.ones((2, 3), np.float32)}), tmp_path / "out").features["audio"]["x"].shape == (2, 3)
    (tmp_path / "out" / "corpus.json").write_text("{")
    with pytest.raises(CorpusError, match="damaged"):
        corpora.load("mosei", tmp_path / "out")


@pytest.mark.parametrize("left", ["audio/.store.json.0badcafe.saving", ".samples.jsonl.0badcafe.saving"])
def test_what_a_killed_run_was_writing_does_not_stop_the_next_run(tmp_path, left):
    (tmp_path / "out" / "audio").mkdir(parents=True)
    (tmp_path / "out" / left).write_bytes(b"half a fi")
    done = prepare(toy({"x": np.ones((2, 3), np.float32)}), tmp_path / "out")
    assert done.features["audio"]["x"].shape == (2, 3)


def test_rows_whose_media_are_others_now_are_refused(corpus_of, tmp_path, voice):
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", voice(1.0), 16_000)
    prepare(corpus_of([None], audio=[str(tmp_path / "a.wav")]), tmp_path / "out")
    with pytest.raises(InputError, match="other values of audio"):
        prepare(corpus_of([None], audio=[str(tmp_path / "b.wav")]), tmp_path / "out")


def test_preparing_again_from_a_relative_path_and_with_empty_texts_does_nothing(
    corpus_of, tmp_path, voice, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", voice(2.0), 16_000)
    corpus = corpus_of(["", "hello"], ["joy", "anger"], audio=["a.wav", "a.wav"])
    prepare(corpus, tmp_path / "out")
    again = prepare(corpus, tmp_path / "out")
    assert len(again.features["audio"]) == 2


def test_other_recordings_of_the_same_size_and_time_are_read_anew(corpus_of, tmp_path, voice):
    for name, seed in (("a.wav", 1), ("b.wav", 2)):
        soundfile.write(tmp_path / name, voice(2.0, seed=seed), 16_000)
        os.utime(tmp_path / name, (1_000, 1_000))
    paths = [str(tmp_path / name) for name in ("a.wav", "b.wav")]
    first = extract_features(corpus_of([None, None], ["joy", "anger"], audio=paths), "audio", tmp_path / "out")
    values = {row: first[row].copy() for row in first}
    second = extract_features(corpus_of([None, None], ["joy", "anger"], audio=paths[::-1]), "audio", tmp_path / "out")
    (one, other) = values
    np.testing.assert_array_equal(second[one], values[other])
