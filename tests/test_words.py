import numpy as np
import pytest
import torch

from emoembed.errors import LabelError
from emoembed.labels import Label, table
from emoembed.words import LabelSpace, WordTable, vad_vectors


def test_a_phrase_is_the_mean_of_its_words():
    words = WordTable(["a", "b"], np.array([[3.0, 0.0], [0.0, 5.0]]))
    torch.testing.assert_close(words.phrase_vectors(["a b"])[0], torch.full((2,), 0.5**0.5))


def test_hyphenated_words_are_whole_where_known_and_parts_elsewhere():
    words = WordTable(["tut-tut", "good", "bye"], np.eye(3))
    assert words.phrase_vectors(["tut-tut"])[0].argmax() == 0
    torch.testing.assert_close(words.phrase_vectors(["good-bye"])[0], torch.tensor([0.0, 0.5**0.5, 0.5**0.5]))


def test_an_unknown_word_gets_the_nearest_spellings():
    words = WordTable(["nostalgia", "joy"], np.eye(2), "toy.bin")
    with pytest.raises(LabelError, match=r"'nostalgiaa' has no vector in toy.bin; nearest known spellings: nostalgia"):
        words.phrase_vectors(["nostalgiaa"])


def test_a_label_does_not_depend_on_its_company(word_table):
    one, other = LabelSpace(16), LabelSpace(16)
    one.fit(word_table)
    other.fit(word_table)
    torch.testing.assert_close(one.embed(["joy", "awe"], word_table)[1], other.embed(["awe"], word_table)[0])


def test_features_are_a_text_vector_and_a_direction(word_table):
    space = LabelSpace(16)
    space.fit(word_table)
    features = space.embed(list(table()), word_table)
    assert features.shape == (len(table()), 20)
    torch.testing.assert_close(features[:, :16].norm(dim=1), torch.ones(len(table())))
    joy = list(table()).index("joy")
    torch.testing.assert_close(features[joy, 16:], vad_vectors(torch.tensor([table()["joy"].vad]))[0])


def test_valence_of_an_unknown_label_comes_from_its_vector():
    names = list(dict.fromkeys(word for name in table() for word in name.split()))
    vectors = 0.1 * np.random.default_rng(0).standard_normal((len(names), 8))
    vectors[:, 0] = [table()[name].valence if name in table() else 0.0 for name in names]
    words = WordTable([*names, "bright", "bleak"], np.vstack([vectors, np.eye(8)[:1], -np.eye(8)[:1]]))
    space = LabelSpace(8)
    space.fit(words)
    assert space.vad(Label("bright"), words)[0] > 0.2
    assert space.vad(Label("bleak"), words)[0] < -0.2
    assert space.vad(table()["joy"], words) == table()["joy"].vad
