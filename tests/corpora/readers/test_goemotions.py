import pytest

from emoembed.corpora import names
from emoembed.corpora.readers import goemotions
from emoembed.errors import CorpusError, MissingFileError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(names.GOEMOTIONS))
    (tmp_path / "train.tsv").write_text('He said "no\t27\te1\nSo sad, so glad!\t25,17\te2\n')
    (tmp_path / "dev.tsv").write_text("NA\t0\te3\n")
    (tmp_path / "test.tsv").write_text("don’t\t26\te4\n")
    return tmp_path


def test_reads_the_release_layout(folder):
    corpus = goemotions.read(folder)
    assert corpus.multi_label
    assert corpus.labels == names.GOEMOTIONS
    assert list(corpus.samples["id"]) == ["e1", "e2", "e3", "e4"]
    assert list(corpus.samples["text"]) == ['He said "no', "So sad, so glad!", "NA", "don’t"]
    assert list(corpus.samples["labels"]) == [("neutral",), ("sadness", "joy"), ("admiration",), ("surprise",)]
    assert list(corpus.samples["split"]) == ["train", "train", "valid", "test"]


@pytest.mark.parametrize("cell", ["28", "x", "", "-1"])
def test_a_label_number_out_of_range_is_named_with_its_row(folder, cell):
    (folder / "dev.tsv").write_text(f"fine\t3\te3\nhm\t{cell}\te5\n")
    with pytest.raises(CorpusError, match=rf"dev\.tsv, row 2, column 2: expected label numbers below 28 .* '{cell}'"):
        goemotions.read(folder)


def test_the_order_of_the_labels_file_counts(folder):
    (folder / "labels.txt").rename(folder / "emotions.txt")
    (folder / "emotions.txt").write_text("\n".join(reversed(names.GOEMOTIONS)))
    assert goemotions.read(folder).samples["labels"].iloc[0] == ("admiration",)


def test_a_missing_split_is_named(folder):
    (folder / "dev.tsv").unlink()
    with pytest.raises(MissingFileError, match=r"there is no .*dev\.tsv"):
        goemotions.read(folder)
