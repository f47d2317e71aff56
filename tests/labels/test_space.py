import numpy as np
import pytest
import torch

from emoembed.errors import LabelError
from emoembed.labels.emotion import Label, table
from emoembed.labels.phrases import WordTable
from emoembed.labels.space import CUE_DIMS, LabelSpace


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
    first, other = LabelSpace(16), LabelSpace(16)
    first.fit(word_table)
    other.fit(word_table)
    torch.testing.assert_close(first.embed(["joy", "awe"], word_table)[1], other.embed(["awe"], word_table)[0])


def test_features_are_a_text_vector_valence_arousal_and_dominance_and_two_cues(word_table):
    space = LabelSpace(16)
    space.fit(word_table)
    features = space.embed(list(table()), word_table)
    assert features.shape == (len(table()), 16 + 4 + sum(CUE_DIMS.values()))
    for part in ("text", "sounds", "looks"):
        torch.testing.assert_close(space.part(features, part).norm(dim=1), torch.ones(len(table())))
    joy = list(table()).index("joy")
    torch.testing.assert_close(space.part(features, "vad")[joy], torch.tensor([*table()["joy"].vad, 1.0]))


def test_a_space_that_was_read_forgets_what_it_said_before(word_table):
    space, other = LabelSpace(word_table.dim), LabelSpace(word_table.dim)
    space.fit(word_table)
    before = space.embed(["joy"], word_table)
    other.fit(word_table)
    other.centre.add_(0.3)
    space.load_state_dict(other.state_dict())
    torch.testing.assert_close(space.embed(["joy"], word_table), other.embed(["joy"], word_table))
    assert not torch.allclose(space.embed(["joy"], word_table), before)


def test_a_space_taken_over_shares_what_it_embeds_until_it_is_another(word_table, monkeypatch):
    looked_up = []
    look_up = WordTable.phrase_vectors
    monkeypatch.setattr(
        WordTable, "phrase_vectors", lambda words, given: looked_up.extend(given) or look_up(words, given)
    )
    space, other = LabelSpace(16), LabelSpace(16)
    space.fit(word_table)
    joy = space.embed(["joy"], word_table)
    other.copy_from(space)
    looked_up.clear()
    torch.testing.assert_close(other.embed(["joy"], word_table), joy)
    other.load_state_dict(other.state_dict())  # as when the weights of one's best epoch are taken back
    other.embed(["joy"], word_table)
    assert looked_up == []
    other.load_state_dict({name: value + 0.3 for name, value in other.state_dict().items()})
    assert not torch.allclose(other.embed(["joy"], word_table), joy)
    torch.testing.assert_close(space.embed(["joy"], word_table), joy)


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


def test_how_a_label_sounds_and_looks_is_its_own_where_given_and_guessed_elsewhere(word_table):
    space = LabelSpace(16)
    space.fit(word_table)
    joy = table()["joy"]
    bare, told = Label("nostalgia"), Label("nostalgia", sounds=joy.sounds, looks=joy.looks)
    features = space.embed([joy], word_table)
    for cue in ("sounds", "looks"):
        guessed = space.part(space.embed([bare], word_table), cue)
        described = space.part(space.embed([told], word_table), cue)
        torch.testing.assert_close(described, space.part(features, cue))
        assert torch.cosine_similarity(guessed, described).item() < 0.99


def test_rated_sentences_teach_what_an_unknown_label_feels_like():
    names = list(dict.fromkeys(word for name in table() for word in name.split()))
    words = WordTable(
        [*names, "bright"], np.vstack([np.random.default_rng(0).standard_normal((len(names), 8)), np.eye(8)[:1]])
    )
    sentences = torch.nn.functional.normalize(torch.randn(20_000, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    ratings = sentences[:, :1] * torch.tensor([[1.0, 0.0, 0.0]])
    untaught, taught = LabelSpace(8), LabelSpace(8)
    untaught.fit(words)
    taught.fit(words, (sentences, ratings))
    assert taught.vad(Label("bright"), words)[0] > untaught.vad(Label("bright"), words)[0] + 0.1


@pytest.mark.parametrize("cue", ["sounds", "looks"])
def test_a_description_that_names_no_cue_is_as_good_as_none(word_table, cue):
    space = LabelSpace(word_table.dim)
    space.fit(word_table)
    bare, vague = Label("nostalgia"), Label("nostalgia", **{cue: "an indescribable way"})
    without, described = (space.part(space.embed([label], word_table), cue) for label in (bare, vague))
    torch.testing.assert_close(described, without)
