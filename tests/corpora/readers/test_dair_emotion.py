import pytest

from emoembed.corpora.readers import dair_emotion
from emoembed.errors import CorpusError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.txt").write_text("text;label_name\ni feel rotten;sadness\ni feel fine;joy\n")
    (tmp_path / "val.txt").write_text("text;label_name\ni feel cranky;anger\n")
    (tmp_path / "test.txt").write_text("i adore it;love\n")
    return tmp_path


def test_reads_the_release_layout_with_and_without_header(folder):
    samples = dair_emotion.read(folder).samples
    assert list(samples["id"]) == ["train_0", "train_1", "valid_0", "test_0"]
    assert list(samples["text"]) == ["i feel rotten", "i feel fine", "i feel cranky", "i adore it"]
    assert list(samples["labels"]) == [("sadness",), ("joy",), ("anger",), ("love",)]
    assert list(samples["split"]) == ["train", "train", "valid", "test"]


def test_an_unknown_emotion_is_named_with_its_row(folder):
    (folder / "val.txt").write_text("text;label_name\nfine;joy\nhm;happy\n")
    message = r"val\.txt, row 2, column label_name: 'happy' is not an emotion of dair_emotion"
    with pytest.raises(CorpusError, match=message):
        dair_emotion.read(folder)


def test_an_empty_file_has_no_rows(folder):
    (folder / "train.txt").write_text("")
    assert (dair_emotion.read(folder).samples["split"] != "train").all()
