import pytest

from emoembed import corpora
from emoembed.errors import CorpusError, InputError, MissingFileError


@pytest.fixture
def tess(tmp_path):
    place = tmp_path / "tess" / "wav"
    place.mkdir(parents=True)
    (place / "OAF_back_happy.wav").touch()
    (tmp_path / "another_corpus.wav").touch()
    return tmp_path / "tess"


def test_the_corpus_folder_and_the_folder_that_holds_it_are_read_alike(tess):
    assert list(corpora.load("tess", tess).samples["id"]) == ["OAF_back_happy"]
    assert list(corpora.load("tess", str(tess.parent)).samples["id"]) == ["OAF_back_happy"]


def test_a_manifest_is_read_by_its_path_or_by_name(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,text\na,hello\n")
    assert corpora.load(str(path)).name == "mine"
    assert corpora.load("manifest", path).name == "mine"


def test_an_unknown_corpus_lists_the_known():
    with pytest.raises(
        CorpusError, match=r"there is no corpus 'ravdes'; give one of goemotions, dair_emotion, .*manifest"
    ):
        corpora.load("ravdes", ".")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"there is no .*nowhere; give the folder that holds meld"):
        corpora.load("meld", tmp_path / "nowhere")


def test_a_folder_left_out_is_asked_for():
    with pytest.raises(InputError, match="where is meld"):
        corpora.load("meld")
