import pytest

from emoembed.corpora.readers import emodb
from emoembed.errors import CorpusError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "wav").mkdir()
    for name in ("03a01Fa.wav", "03b02Wc.flac", "16a05Lb.flac"):
        (tmp_path / "wav" / name).touch()
    return tmp_path


def test_reads_file_names(folder):
    samples = emodb.read(folder).samples
    assert list(samples["id"]) == ["03a01Fa", "03b02Wc", "16a05Lb"]
    assert list(samples["labels"]) == [("joy",), ("anger",), ("boredom",)]
    assert list(samples["speaker"]) == ["03", "03", "16"]
    assert set(samples["split"]) == {"train"}
    assert samples["text"].iloc[0] is None


def test_each_speaker_is_left_out_once(folder):
    divided = emodb.leave_one_speaker_out(emodb.read(folder))
    assert [list(corpus.samples["split"]) for corpus in divided] == [
        ["test", "test", "train"],
        ["train", "train", "test"],
    ]


def test_a_file_of_another_name_is_named(folder):
    (folder / "wav" / "readme.wav").touch()
    with pytest.raises(CorpusError, match=r"readme\.wav: expected a name SSTTTEV, such as 03a01Fa"):
        emodb.read(folder)
