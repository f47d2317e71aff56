import unicodedata
from fractions import Fraction

import numpy as np
import pytest

from emoembed.errors import LabelError
from emoembed.labels import emotion


def test_the_table_is_large_and_whole():
    entries = emotion.table()
    assert len(entries) >= 150
    for label in entries.values():
        assert label.synonyms
        assert label.definition
        assert label.sounds
        assert label.looks
        assert all(-1 <= value <= 1 for value in label.vad)


@pytest.mark.parametrize(
    ("given", "name"),
    [("happy", "joy"), ("ang", "anger"), ("EXC", "excitement"), ("fru", "frustration"), (" Sad ", "sadness")],
)
def test_aliases_join(given, name):
    assert emotion.canonical(given) == name


def test_a_strange_name_stays_itself():
    assert emotion.find("saudade") == emotion.Label("saudade")


def test_a_letter_with_a_mark_is_one_letter_however_it_was_typed():
    composed, apart = unicodedata.normalize("NFC", "mélancolie"), unicodedata.normalize("NFD", "mélancolie")
    assert composed != apart
    with pytest.raises(LabelError, match="same emotion"):
        emotion.resolve([composed, apart])


def test_a_label_is_an_ensemble_of_templates_synonyms_and_its_definition():
    label = emotion.Label("awe", synonyms=("wonder",), definition="wonder before a vast thing")
    prompts = label.prompts()
    assert len({prompt for prompt in prompts if "awe" in prompt}) >= 4
    assert "wonder" in prompts
    assert "awe: wonder before a vast thing" in prompts


def test_a_description_takes_the_place_of_the_definition():
    resolved = emotion.resolve({"saudade": "a longing for someone absent", "joy": ""})
    assert resolved["saudade"].definition == "a longing for someone absent"
    assert "saudade: a longing for someone absent" in resolved["saudade"].prompts()
    assert resolved["joy"] == emotion.table()["joy"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([], "no labels were given"),
        (["joy", " "], "not an emotion name"),
        (["joy", "joy"], "same emotion"),
        (["joy", "happy"], "'joy' and 'happy' are the same emotion"),
        ("joy", "is one string"),
    ],
)
def test_bad_labels_are_told(labels, said):
    with pytest.raises(LabelError, match=said):
        emotion.resolve(labels)


def test_synonyms_leak():
    label = emotion.table()["nostalgia"]
    assert emotion.synonymous("nostalgia", label.synonyms[0])
    assert emotion.leaks(["joy", "anger"], ["happiness"]) == [("joy", "happiness")]
    assert emotion.leaks(["joy", "rage", "terror"], ["anger", "surprise"]) == [("rage", "anger")]
    assert emotion.leaks(["joy", "anger"], ["fear"]) == []


def test_families_are_of_the_table_and_share_no_emotion():
    named = [name for family in emotion._families() for name in family]
    assert set(named) <= set(emotion.table())
    assert len(named) == len(set(named))


def test_a_description_may_say_how_an_emotion_sounds_and_looks():
    said = {"definition": "a longing", "sounds": "a soft, slow voice", "synonyms": ["yearning"]}
    told = emotion.resolve({"saudade": said})
    assert told["saudade"] == emotion.Label("saudade", ("yearning",), "a longing", "a soft, slow voice")
    assert emotion.resolve({"joy": {"looks": "a grin"}})["joy"].definition == emotion.table()["joy"].definition
    with pytest.raises(
        LabelError, match=r"'awe' is described by smells; .* any of synonyms, definition, sounds, looks"
    ):
        emotion.resolve({"awe": {"smells": "of incense"}})


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (5, "'saudade' is described by 5; a description must be a definition, or a dictionary"),
        (["longing"], "'saudade' is described by"),
        ({"sounds": 5}, "sounds of label 'saudade' must be a string; given 5"),
        ({"synonyms": ["longing", 3]}, "synonyms of label 'saudade' must be strings"),
        ({"synonyms": 3}, "synonyms of label 'saudade' must be strings"),
        ({"valence": -1.0}, "three numbers from -1 to 1, or all None"),
        ({"valence": 50, "arousal": 5, "dominance": 5}, "three numbers from -1 to 1"),
        ({"valence": "low", "arousal": 0.0, "dominance": 0.0}, "three numbers from -1 to 1"),
    ],
)
def test_a_wrong_description_is_told(description, said):
    with pytest.raises(LabelError, match=said):
        emotion.resolve({"saudade": description})


def test_a_whole_label_is_a_description_too():
    own = emotion.Label("longing", ("ache",), "missing what is gone")
    assert emotion.resolve({"saudade": own, "joy": ""}) == {"saudade": own, "joy": emotion.table()["joy"]}


def test_one_synonym_is_a_word_and_not_its_letters():
    assert emotion.resolve({"saudade": {"synonyms": "longing"}}) == emotion.resolve(
        {"saudade": {"synonyms": ["longing"]}}
    )
    assert emotion.resolve([emotion.Label("saudade", synonyms=["longing"])])["saudade"].synonyms == ("longing",)
    assert emotion.resolve({"awe": {"valence": 0.5}})["awe"].vad == (0.5, *emotion.table()["awe"].vad[1:])


@pytest.mark.parametrize("name", ["joy;fear", "joy|fear", "joy\nfear", "joy, fear", "sad \ud800", "x" * 300])
def test_a_name_that_holds_several_or_is_none_is_refused(name):
    with pytest.raises(LabelError, match=r"several emotions|half a character|characters"):
        emotion.resolve([name])


def test_a_name_with_a_comma_that_is_one_emotion_stays_one():
    assert list(emotion.resolve(["cold, distant anger"])) == ["cold, distant anger"]


def test_ratings_of_any_kind_of_number_are_floats():
    rated = emotion.Label("awe", valence=Fraction(1, 2), arousal=0, dominance=np.float32(-0.5))
    assert rated.vad == (0.5, 0.0, -0.5)
    assert all(type(value) is float for value in rated.vad)


@pytest.mark.parametrize("name", ["3", "1.0", " 12 ", "(2)"])
def test_the_number_of_a_class_is_no_label(name):
    with pytest.raises(LabelError, match="is a number; give the emotion's name"):
        emotion.resolve([name, "joy"])
    assert list(emotion.resolve(["feeling 3"])) == ["feeling 3"]
