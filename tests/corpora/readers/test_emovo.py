import pytest

from emoembed import corpora
from emoembed.errors import CorpusError


@pytest.fixture
def folder(tmp_path):
    for name in ("gio-f1-b1.ogg", "rab-m3-d2.wav", "tri-f1-n5.flac"):
        actor = tmp_path / "EMOVO" / name.split("-")[1]
        actor.mkdir(parents=True, exist_ok=True)
        (actor / name).touch()
    return tmp_path


def test_reads_file_names(folder):
    samples = corpora.load("emovo", folder).samples
    assert samples["id"].tolist() == ["gio-f1-b1", "rab-m3-d2", "tri-f1-n5"]
    assert samples["labels"].tolist() == [("joy",), ("anger",), ("sadness",)]
    assert samples["speaker"].tolist() == ["f1", "m3", "f1"]
    assert samples["split"].tolist() == ["valid", "test", "valid"]


def test_another_name_is_refused(folder):
    (folder / "EMOVO" / "f1" / "notes.wav").touch()
    with pytest.raises(CorpusError, match=r"notes\.wav: expected a name EEE-ACTOR-SENTENCE, such as gio-f1-b1"):
        corpora.load("emovo", folder)
