import pytest

from emoembed import corpora
from emoembed.errors import CorpusError

HEADER = "id,split,V,A,D,text\n"


def test_ratings_lie_about_zero(tmp_path):
    (tmp_path / "emobank.csv").write_text(HEADER + 'a,train,5.0,3.0,1.0,"Oh, well"\nb,dev,2.0,3.5,3.0,None\n')
    corpus = corpora.load("emobank", tmp_path)
    assert list(corpus.samples["split"]) == ["train", "valid"]
    assert corpus.samples.loc[0, ["valence", "arousal", "dominance"]].tolist() == [1.0, 0.0, -1.0]
    assert corpus.samples["text"].tolist() == ["Oh, well", "None"]
    assert corpus.labels == ()


def test_a_rating_that_is_no_number_is_told(tmp_path):
    (tmp_path / "emobank.csv").write_text(HEADER + "a,train,5.0,high,1.0,text\n")
    with pytest.raises(CorpusError, match="row 1, column A: expected a number, found 'high'"):
        corpora.load("emobank", tmp_path)
