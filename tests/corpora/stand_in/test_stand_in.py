import pytest

from emoembed import corpora
from emoembed.corpora import stand_in
from emoembed.errors import InputError
from emoembed.labels.phrases import WordTable


def written(writer, folder, words, **settings):
    writer(folder, words, words.words, **settings)
    name = "iemocap" if writer is stand_in.write_iemocap else "mosei"
    samples = corpora.load(name, folder).samples
    return list(zip(samples["id"], samples["labels"], samples["text"], strict=True))


@pytest.mark.parametrize(
    ("writer", "form"),
    [(stand_in.write_iemocap, "merbench"), (stand_in.write_mosei, "csd")],
    ids=["iemocap", "mosei"],
)
def test_a_seed_says_all_that_is_written(writer, form, word_table, tmp_path):
    first, again, other = (
        written(writer, tmp_path / str(i), word_table, form=form, seed=seed) for i, seed in enumerate((3, 3, 4))
    )
    assert first == again
    assert first != other


def test_a_form_nobody_has_is_refused(word_table, tmp_path):
    for writer in (stand_in.write_iemocap, stand_in.write_mosei):
        with pytest.raises(InputError, match=r"unknown form 'tape'; give one of .*pickle"):
            writer(tmp_path / "out", word_table, word_table.words, form="tape")
    assert not (tmp_path / "out").exists()


def test_word_vectors_that_lack_an_emotion_or_the_vocabulary_are_refused(word_table, tmp_path):
    few = WordTable(["joy"], word_table[["joy"]], "one word")
    with pytest.raises(InputError, match=r"the word vectors lack .*neutral"):
        stand_in.write_iemocap(tmp_path, few, word_table.words)
    with pytest.raises(InputError, match="the word vectors lack most of the vocabulary"):
        stand_in.write_iemocap(tmp_path, word_table, ["joy", "anger"])
