import pytest

from emoembed.corpora.readers import situations
from emoembed.errors import CorpusError


def test_the_first_label_is_the_emotion_and_the_others_are_also_shown(tmp_path):
    rows = 'train\tenvy\tanger|hurt\tchat\t1\t"Yours, again.\nvalid\tjoy\t\tevent\t1\tWhen we won.\n'
    (tmp_path / "situations.tsv").write_text("split\temotion\talso\tform\tround\ttext\n" + rows)
    corpus = situations.read(tmp_path)
    assert corpus.samples["labels"].tolist() == [("envy", "anger", "hurt"), ("joy",)]
    assert corpus.samples["text"].tolist() == ['"Yours, again.', "When we won."]
    assert corpus.samples["split"].tolist() == ["train", "valid"]


@pytest.fixture
def pairs(tmp_path):
    header = "split\tkind\temotion_a\ttext_a\temotion_b\ttext_b\n"
    rows = "test\tnegation\trelief\tNot sad.\tsadness\tSad.\ntrain\ttense\thappy\tI am.\tneutral\tI was.\n"
    rows += "test\tintensity\tfatigue\tA.\texhaustion\tB.\n"  # one emotion under two names
    (tmp_path / "pairs.tsv").write_text(header + rows)
    return tmp_path


def test_the_texts_of_a_pair_follow_one_another_and_name_each_other_s_emotion(pairs):
    samples = situations.read_pairs(pairs).samples
    assert samples["text"].tolist() == ["Not sad.", "Sad.", "I am.", "I was."]
    assert samples["labels"].tolist() == [("relief",), ("sadness",), ("joy",), ("neutral",)]
    assert samples["rival"].tolist() == ["sadness", "relief", "neutral", "joy"]
    assert samples["dialogue"].tolist() == ["0", "0", "1", "1"]
    assert samples["split"].tolist() == ["test", "test", "train", "train"]


def test_an_unknown_split_is_named(pairs):
    path = pairs / "pairs.tsv"
    path.write_text(path.read_text().replace("train", "dev"))
    with pytest.raises(CorpusError, match="row 2, column split: 'dev' is not a split"):
        situations.read_pairs(pairs)
