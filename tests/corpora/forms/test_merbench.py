import numpy as np
import pytest

from emoembed.corpora.forms import merbench
from emoembed.errors import CorpusError, MissingFileError


@pytest.mark.parametrize(
    ("folder", "modality"),
    [
        ("chinese-hubert-large-UTT", "audio"),
        ("whisper-large-v2-FRA", "audio"),
        ("clip-vit-base-patch32-UTT", "video"),
        ("manet_UTT", "video"),
        ("deberta-chinese-large-4-UTT", "text"),
        ("bloom-7b-UTT", "text"),
    ],
)
def test_a_published_folders_name_says_its_modality(folder, modality):
    assert merbench.modality_of(folder) == modality


def write(folder, clips):
    folder.mkdir(parents=True)
    for clip, values in clips.items():
        np.save(folder / f"{clip}.npy", values)


def test_a_vector_is_one_frame_and_a_clip_without_a_file_is_left_out(tmp_path):
    write(tmp_path / "hubert-UTT", {"a": np.arange(3.0), "b": np.ones((4, 3))})
    (table,) = merbench.read_features(tmp_path, ["a", "b", "c"]).values()
    assert {clip: array.shape for clip, array in table.items()} == {"a": (1, 3), "b": (4, 3)}
    assert table["a"].dtype == np.float32
    np.testing.assert_array_equal(table["a"], [[0, 1, 2]])
    assert table.feature_set.columns == ("hubert-UTT_0000", "hubert-UTT_0001", "hubert-UTT_0002")


def test_folders_that_cannot_be_told_or_read_are_named(tmp_path):
    with pytest.raises(MissingFileError, match="holds no feature folder"):
        merbench.read_features(tmp_path, ["a"])
    write(tmp_path / "hubert-UTT", {"a": np.ones(3)})
    with pytest.raises(MissingFileError, match=r"holds no \.npy file of the labelled clips, such as z\.npy"):
        merbench.read_features(tmp_path, ["z"])
    (tmp_path / "hubert-UTT" / "z.npy").write_bytes(b"nothing of NumPy's")
    with pytest.raises(CorpusError, match=r"z\.npy: not a NumPy array of numbers"):
        merbench.read_features(tmp_path, ["z"])
    write(tmp_path / "wavlm-UTT", {"a": np.ones(3)})
    with pytest.raises(CorpusError, match="both hold audio features; keep one of them"):
        merbench.read_features(tmp_path, ["a"])


def test_labels_of_other_names_are_refused(tmp_path):
    path = tmp_path / "label.npz"
    np.savez(path, somewhere=np.array({"a": {"emo": 0, "val": 0.5}}, dtype=object))
    with pytest.raises(CorpusError, match=r"expected whole_corpus, or train_corpus.*found somewhere"):
        merbench.read_labels(path)
    np.savez(path, test_corpus=np.array({"a": {"emo": 0, "val": 0.5}}, dtype=object))
    assert merbench.read_labels(path) == {"test_corpus": {"a": {"emo": 0, "val": 0.5}}}


def test_transcripts_are_read_where_there_are_any(tmp_path):
    assert merbench.read_texts(tmp_path) == {}
    (tmp_path / "transcription-eng.csv").write_text('name,chinese,english\na,x,"well, then"\n')
    assert merbench.read_texts(tmp_path) == {"a": "well, then"}
