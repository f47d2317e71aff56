import json
import shutil

import h5py
import numpy as np
import pytest

from emoembed import corpora
from emoembed.corpora import feature_names, stand_in
from emoembed.corpora.readers import mosei, mosei_labels
from emoembed.errors import CorpusError, MissingFileError

SIX = ("joy", "sadness", "anger", "surprise", "disgust", "fear")


@pytest.mark.parametrize("form", stand_in.MOSEI_FORMS)
def test_every_form_gives_one_sample_table(stand_in, form):
    corpus = corpora.load("mosei", stand_in("mosei", form))
    assert (corpus.name, corpus.form, corpus.multi_label, corpus.labels) == ("mosei", form, True, SIX)
    assert set(corpus.samples["split"]) == {"train", "valid", "test"}


def test_the_same_segments_bear_the_same_emotions_in_every_form(stand_in):
    """The forms order the six emotions differently: the SDK's own labels, and ey_*.h5."""
    by_split = {form: corpora.load("mosei", stand_in("mosei", form)).counts() for form in ("csd", "seq-20", "pickle")}
    for form in ("seq-20", "pickle"):
        assert by_split[form].equals(by_split["csd"]), form


def test_csd_segments_hold_the_words_that_overlap_them(stand_in):
    folder = stand_in("mosei", "csd")
    corpus = corpora.load("mosei", folder)
    row = corpus.samples.iloc[7]
    rows = {name: table[row["id"]] for name, table in corpus.features.items()}
    assert len({len(values) for values in rows.values()}) == 1
    with h5py.File(folder / "CMU_MOSEI_TimestampedWordVectors.csd") as file:
        entry = file["glove_vectors/data"][row["dialogue"]]
        times, vectors = entry["intervals"][()], entry["features"][()]
    inside = (times[:, 0] < row["end"] - 1e-5) & (times[:, 1] > row["start"] + 1e-5)
    np.testing.assert_array_equal(rows["text"], vectors[inside])
    assert len(row["text"].split()) == inside.sum()
    assert corpus.features["video"].feature_set.columns == feature_names.FACET
    assert corpus.features["audio"].feature_set.columns == feature_names.COVAREP


def test_a_video_missing_from_one_sequence_lacks_that_modality_alone(stand_in, tmp_path):
    folder = shutil.copytree(stand_in("mosei", "csd"), tmp_path / "copy")
    with h5py.File(folder / "CMU_MOSEI_VisualFacet42.csd", "a") as file:
        del file["FACET 4.2/data/video0001"]
    corpus = corpora.load("mosei", folder)
    segment = corpus.samples["id"][corpus.samples["dialogue"] == "video0001"].iloc[0]
    assert corpus.features["video"][segment].shape == (0, 35)
    assert len(corpus.features["audio"][segment]) > 0
    assert any("video: 1 videos (6 segments) are not in" in note for note in corpus.notes)


def test_segments_by_number_bear_their_own_emotions_in_whatever_order_the_file_keeps_them(tmp_path):
    """As CMU_MOSEI_Labels.csd does: rows in the order of the numbers as strings, times in another."""
    numbers = ["10", "13", "2", "3", "4"]
    values = np.zeros((5, 7), np.float32)
    values[:, 0] = np.linspace(-2, 2, 5)
    values[np.arange(5), 1 + np.arange(5)] = 1.0  # happy, sad, anger, surprise, disgust
    starts = np.array([82.8, 119.9, 4.8, 13.2, 26.5], np.float32)
    with h5py.File(tmp_path / "CMU_MOSEI_Labels.csd", "w") as file:
        group = file.create_group("All Labels/data/v")
        group["features"], group["intervals"] = values, np.stack([starts, starts + 3], axis=1)
        file.create_group("All Labels/metadata")
    labels = mosei_labels.ComputationalSequence(tmp_path / "CMU_MOSEI_Labels.csd")
    sentiment = dict(zip(numbers, values[:, 0].tolist(), strict=True))
    native = dict(zip(numbers, ("joy", "sadness", "anger", "surprise", "disgust"), strict=True))

    def ask(numbers):
        emotions, unmatched = mosei_labels.emotions_of(
            [f"v$_${n}" for n in numbers], [sentiment[n] for n in numbers], labels
        )
        return dict(zip(numbers, emotions, strict=True)), unmatched

    assert ask(["2", "3", "4", "10", "13"]) == ({n: (native[n],) for n in ("2", "3", "4", "10", "13")}, 0)
    assert ask(["2", "3", "4", "10"])[1] == 4  # which rows they are nobody can tell
    sentiment["3"] = 0.9
    found, unmatched = ask(numbers)
    assert (found["3"], unmatched) == (None, 1)
    by_time, _ = mosei_labels.emotions_of(["v/13.2/16.2", "w/0/1"], [0.0, 0.0], labels)
    assert by_time == [("surprise",), None]


def test_columns_named_like_emotions_are_known():
    listed = feature_names.emotion_columns(feature_names.FACET)
    assert listed == feature_names.FACET[:10]
    assert feature_names.emotion_columns(feature_names.COVAREP) == ()


def test_labels_in_another_order_are_refused(stand_in, tmp_path):
    folder = shutil.copytree(stand_in("mosei", "csd"), tmp_path / "copy")
    with h5py.File(folder / "CMU_MOSEI_Labels.csd", "a") as file:
        swapped = ["sentiment", *mosei.SEQ20_LABELS]
        file["All Labels/metadata/dimension names"][0] = json.dumps(swapped)
    with pytest.raises(CorpusError, match=r"CMU_MOSEI_Labels\.csd names its columns sentiment, anger"):
        corpora.load("mosei", folder)


def test_missing_parts_are_named_with_the_remedy(stand_in, tmp_path):
    folder = shutil.copytree(stand_in("mosei", "csd"), tmp_path / "copy")
    (folder / "standard_folds.json").rename(tmp_path / "folds.json")
    with pytest.raises(MissingFileError, match=r"cmu_mosei_std_folds\.py"):
        corpora.load("mosei", folder)
    shutil.copy(tmp_path / "folds.json", folder / "standard_folds.json")
    (folder / "CMU_MOSEI_TimestampedWords.csd").unlink()
    (folder / "CMU_MOSEI_TimestampedWordVectors.csd").unlink()
    with pytest.raises(MissingFileError, match="has no word sequence"):
        corpora.load("mosei", folder)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(MissingFileError, match="has no files of CMU-MOSEI"):
        corpora.load("mosei", tmp_path / "nothing")


def test_the_sdk_s_own_folds_are_read_and_not_run(tmp_path):
    trace = tmp_path / "trace"
    (tmp_path / "cmu_mosei_std_folds.py").write_text(
        f"import pathlib; pathlib.Path({str(trace)!r}).touch()\n"
        "standard_train_fold=['a', 'b']\nstandard_valid_fold=['c']\nstandard_test_fold=['d']\n"
    )
    assert mosei_labels.read_folds(tmp_path) == {"a": "train", "b": "train", "c": "valid", "d": "test"}
    assert not trace.exists()


def test_a_pickle_without_labels_beside_it_says_so(stand_in, tmp_path):
    shutil.copy(stand_in("mosei", "pickle") / "mosei_senti_data.pkl", tmp_path)
    corpus = corpora.load("mosei", tmp_path)
    assert not corpus.samples["labels"].map(len).any()
    assert any("put CMU_MOSEI_Labels.csd beside it" in note for note in corpus.notes)


def test_two_forms_in_one_folder_are_refused(stand_in, tmp_path):
    folder = shutil.copytree(stand_in("mosei", "seq-20"), tmp_path / "copy")
    shutil.copy(stand_in("mosei", "pickle") / "mosei_senti_data.pkl", folder)
    with pytest.raises(CorpusError, match="several forms of CMU-MOSEI: seq-20, pickle"):
        corpora.load("mosei", folder)


def test_arrays_of_different_lengths_are_refused(stand_in, tmp_path):
    folder = shutil.copytree(stand_in("mosei", "seq-20"), tmp_path / "copy")
    with h5py.File(folder / "ey_valid.h5", "a") as file:
        kept = file["d1"][:-1]
        del file["d1"]
        file["d1"] = kept
    with pytest.raises(CorpusError, match=r"ey_valid\.h5, valid: numbers of items differ"):
        corpora.load("mosei", folder)


def test_raw_segments_have_sound_and_transcript(stand_in):
    corpus = corpora.load("mosei", stand_in("mosei", "raw"))
    row = corpus.samples.iloc[1]
    assert row["audio"].endswith(f"{row['dialogue']}.wav")
    assert row["video"].endswith(f"{row['dialogue']}.mp4")
    assert row["text"]
    assert 0 < row["start"] < row["end"]
