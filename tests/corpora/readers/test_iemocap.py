import pickle
import shutil

import numpy as np
import pytest

from emoembed import corpora
from emoembed.corpora import stand_in
from emoembed.corpora.forms.pickles import read_pickle
from emoembed.corpora.readers import iemocap
from emoembed.errors import CorpusError, MissingFileError


@pytest.mark.parametrize("form", stand_in.IEMOCAP_FORMS)
def test_every_form_gives_one_sample_table(stand_in, form):
    corpus = corpora.load("iemocap", stand_in("iemocap", form))
    assert (corpus.name, corpus.form, corpus.multi_label) == ("iemocap", form, False)
    assert {"train", "test"} <= set(corpus.samples["split"])


def test_four_and_nine_classes_agree_where_both_have_a_row(stand_in):
    four = corpora.load("iemocap", stand_in("iemocap", "pickle")).counts()
    nine = corpora.load("iemocap", stand_in("iemocap", "nine-class")).counts()
    assert four.loc[["neutral", "joy", "sadness", "anger"]].equals(nine.loc[["neutral", "joy", "sadness", "anger"]])
    assert four.loc["excitement"].sum() == 0 < nine.loc["excitement"].sum()


def test_no_raw_utterance_is_dropped_silently(stand_in):
    folder = stand_in("iemocap", "raw")
    corpus = corpora.load("iemocap", folder)
    evaluated = [
        line
        for path in folder.rglob("EmoEvaluation/*.txt")
        for line in path.read_text().splitlines()
        if line[:1] == "["
    ]
    assert len(corpus.samples) == len(evaluated)
    undecided = corpus.samples[corpus.samples["native"] == "xxx"]
    assert undecided["labels"].map(len).eq(0).all()
    assert f"{len(undecided)} utterances are annotated as xxx and have no label" in corpus.notes


def test_a_raw_row_knows_its_media_speaker_and_side(stand_in):
    samples = corpora.load("iemocap", stand_in("iemocap", "raw")).samples.set_index("id")
    row = samples.loc["Ses01F_impro90_F000"]
    assert (row["speaker"], row["side"], row["split"]) == ("Ses01F", "left", "train")
    assert samples.loc["Ses01F_impro90_M001", ["speaker", "side"]].tolist() == ["Ses01M", "right"]
    assert row["audio"].endswith("Ses01F_impro90_F000.wav")
    assert row["video"].endswith("Ses01F_impro90.avi")
    assert samples["text"].notna().all()


def test_sessions_and_the_conversation_split():
    assert iemocap.split_of("Ses05M_script03_2") == "test"
    assert iemocap.split_of("Ses02F_impro07") == "valid"
    assert iemocap.split_of("Ses02F_impro06") == "train"
    with pytest.raises(CorpusError, match="has no session number"):
        iemocap.session_of("dialogue7")


def test_labels_of_another_shape_are_refused(stand_in, tmp_path):
    held = read_pickle(stand_in("iemocap", "pickle") / "iemocap_data.pkl")
    for part in held.values():
        part["labels"] = part["labels"][:, :3]
    (tmp_path / "iemocap_data.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(CorpusError, match=r"iemocap_data\.pkl, train: expected labels \(items, 4, 2\)"):
        corpora.load("iemocap", tmp_path)


def test_a_dictionary_that_lacks_a_modality_is_refused(stand_in, tmp_path):
    held = read_pickle(stand_in("iemocap", "pickle") / "iemocap_data.pkl")
    del held["valid"]["vision"]
    (tmp_path / "iemocap_data.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(CorpusError, match="valid: lacks vision"):
        corpora.load("iemocap", tmp_path)
    (tmp_path / "iemocap_data.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(CorpusError, match="expected a dictionary of train, valid and test; found list"):
        corpora.load("iemocap", tmp_path)


def test_columns_without_names_are_refused(stand_in, tmp_path):
    held = read_pickle(stand_in("iemocap", "pickle") / "iemocap_data.pkl")
    for part in held.values():
        part["audio"] = part["audio"][:, :, :40]
    (tmp_path / "iemocap_data.pkl").write_bytes(pickle.dumps(held))
    with pytest.raises(CorpusError, match=r"the 40 columns of audio have no names.*audio\.columns\.txt"):
        corpora.load("iemocap", tmp_path)
    (tmp_path / "audio.columns.txt").write_text("\n".join(f"c{i}" for i in range(40)))
    assert corpora.load("iemocap", tmp_path).features["audio"].feature_set.columns[39] == "c39"


def test_merbench_features_of_two_sizes_are_refused(stand_in, tmp_path):
    folder = shutil.copytree(stand_in("iemocap", "merbench"), tmp_path / "copy")
    first = sorted((folder / "features" / "chinese-hubert-base-UTT").iterdir())[0]
    np.save(first, np.zeros(3))
    with pytest.raises(CorpusError, match="clips have 3, 74 columns"):
        corpora.load("iemocap", folder)


def test_an_empty_folder_says_what_is_expected(tmp_path):
    with pytest.raises(MissingFileError, match=r"Session1 to Session5, iemocap_data\.pkl"):
        corpora.load("iemocap", tmp_path)
