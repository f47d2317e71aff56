import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from emoembed.errors import InputError, MissingFileError
from emoembed.features import text

WORDS = ["joy", "Paris", "not", "can't", "!"]


@pytest.fixture
def vectors():
    made = KeyedVectors(3)
    made.add_vectors(WORDS, np.arange(15, dtype=np.float32).reshape(5, 3))
    return made


def test_tokens_keep_inner_apostrophes_and_marks():
    assert text.tokenize("I can’t, really: say_it! 7x") == ["I", "can't", ",", "really", "say", "it", "!", "7x"]
    assert text.tokenize("Schön, 喜び") == ["Schön", ",", "喜び"]


def test_each_token_is_its_vector_as_written_or_in_lower_case(vectors):
    features = text.words("JOY not in Paris!", vectors)
    np.testing.assert_array_equal(features.values, vectors[["joy", "not", "Paris", "!"]])
    assert features.values.dtype == np.float32
    assert features.feature_set.columns == ("word_000", "word_001", "word_002")


@pytest.mark.parametrize(
    ("sentence", "says"), [("", "has no words"), (" -- ", "has no words"), ("zzz", "no word of 'zzz'")]
)
def test_a_text_without_a_known_word_is_an_error(sentence, says, vectors):
    with pytest.raises(InputError, match=says):
        text.words(sentence, vectors)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # gensim leaves GloVe's file to be collected
@pytest.mark.parametrize("form", ["word2vec.bin", "word2vec.txt", "glove.txt", "word2vec.bin.gz", "glove.txt.gz"])
def test_every_form_reads_alike(form, vectors, tmp_path):
    path = tmp_path / form.removesuffix(".gz")
    if path.name == "glove.txt":
        path.write_text("".join(f"{word} {' '.join(map(str, vectors[word]))}\n" for word in WORDS))
    else:
        vectors.save_word2vec_format(str(path), binary=path.suffix == ".bin")
    if form.endswith(".gz"):
        path = Path(path.rename(tmp_path / "plain"))
        (tmp_path / form).write_bytes(gzip.compress(path.read_bytes()))
    read = text.read_word_vectors(tmp_path / form)
    np.testing.assert_allclose(read[WORDS], vectors[WORDS])
    assert len(text.read_word_vectors(tmp_path / form, limit=2)) == 2


def test_words_of_several_parts_are_read(tmp_path):
    (tmp_path / "glove.txt").write_text(", 1 2 3\n. . . 4 5 6\nat name@domain.com 7 8 9\njoy 1 1 1\n")
    read = text.read_word_vectors(tmp_path / "glove.txt")
    assert read.index_to_key == [",", ". . .", "at name@domain.com", "joy"]
    np.testing.assert_array_equal(read["at name@domain.com"], [7, 8, 9])
    assert text.read_word_vectors(tmp_path / "glove.txt", limit=2).index_to_key == [",", ". . ."]


def test_a_file_that_is_none_of_them_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="no word vector file at"):
        text.read_word_vectors(tmp_path / "absent.bin")
    (tmp_path / "prose.txt").write_text("this is no table\nof vectors at all\n")
    with pytest.raises(InputError, match=r"prose\.txt is neither word2vec binary"):
        text.read_word_vectors(tmp_path / "prose.txt")
    (tmp_path / "cut.bin").write_bytes(b"5 300\njoy \x00\x01")
    with pytest.raises(InputError, match=r"cut\.bin says it holds 5 vectors of 300 numbers, too many"):
        text.read_word_vectors(tmp_path / "cut.bin")


@pytest.mark.skipif("EMOEMBED_DATA" not in os.environ, reason="EMOEMBED_DATA is not set")
def test_real_word2vec_vectors_read():
    read = text.read_word_vectors(next((Path(os.environ["EMOEMBED_DATA"]) / "words").glob("*.bin.gz")))
    assert len(read) == 13598
    assert read.similarity("joy", "happiness") > read.similarity("joy", "anger")


def test_a_name_longer_than_names_may_be_is_a_missing_file():
    with pytest.raises(MissingFileError, match="no file can be called"):
        text.read_word_vectors("x" * 300 + ".txt")
