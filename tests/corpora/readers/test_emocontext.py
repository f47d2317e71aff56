import pytest

from emoembed.corpora.readers import emocontext
from emoembed.errors import CorpusError

HEADER = "id\tturn1\tturn2\tturn3\tlabel\r\n"


@pytest.fixture
def folder(tmp_path):
    rows = {"train": '0\tHi\tHow so?\t"Why\tangry\r\n1\tBy\tx\ty\tothers', "valid": "0\ta\tb\t😀\thappy\r\n"}
    for split in ("train", "valid", "test"):
        content = HEADER + rows.get(split, "0\ta\tb\tc\tsad")
        (tmp_path / f"{split}.txt").write_bytes(content.encode())
    return tmp_path


def test_reads_the_release_layout(folder):
    corpus = emocontext.read(folder)
    assert corpus.labels == ("joy", "sadness", "anger")
    assert list(corpus.samples["id"]) == ["train_0", "train_1", "valid_0", "test_0"]
    assert list(corpus.samples["text"]) == ['Hi\nHow so?\n"Why', "By\nx\ny", "a\nb\n😀", "a\nb\nc"]
    assert list(corpus.samples["labels"]) == [("anger",), (), ("joy",), ("sadness",)]


def test_a_missing_column_is_named(folder):
    (folder / "test.txt").write_text("id\tturn1\tturn2\tturn3\n0\ta\tb\tc\n")
    with pytest.raises(
        CorpusError, match=r"test\.txt: no column 'label'; the columns found are id, turn1, turn2, turn3"
    ):
        emocontext.read(folder)
