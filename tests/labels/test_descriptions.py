import pytest
import torch

from emoembed.labels import descriptions
from emoembed.labels.emotion import table


def said(cue, description):
    names = list(descriptions.VOICE if cue == "sounds" else descriptions.FACE)
    return dict(zip([*names, "pole"], descriptions.attributes(cue, description).tolist(), strict=True))


def test_a_voice_is_read_word_by_word_in_both_directions():
    loud, soft = said("sounds", "a loud, fast, high voice"), said("sounds", "a soft, slow, low voice")
    for name in ("loudness", "pace", "pitch"):
        assert loud[name] == pytest.approx(-soft[name], abs=0.1)
        assert loud[name] > 0.3
    assert said("sounds", "loud, shouting, firm and hard")["loudness"] > loud["loudness"]


def test_a_face_is_read_clause_by_clause():
    up = said("looks", "raised brows, mouth pressed shut")
    assert up["brows up"] > 0
    assert up["mouth tight"] > 0
    assert up["mouth open"] == up["brows down"] == 0
    assert said("looks", "brows relaxed, corners of the mouth raised")["brows up"] == 0


def test_how_is_no_part_of_another_word():
    for description in ("quick restless movement", "uneasy eyes", "bitter mouth", "an upset face"):
        assert descriptions.attributes("looks", description) is None, description
    assert said("looks", "eyebrows raised")["brows up"] > 0
    assert said("looks", "eyes at rest")["soft"] > 0
    assert said("looks", "lips bitten, jaw set")["mouth tight"] > 0


def test_an_adverb_says_what_its_adjective_says():
    for adverb, adjective in (("loudly, quickly", "loud, quick"), ("quietly and slowly", "quiet and slow")):
        torch.testing.assert_close(
            descriptions.attributes("sounds", adverb), descriptions.attributes("sounds", adjective)
        )
    assert said("sounds", "gently, steadily")["tension"] < 0
    assert said("sounds", "gently, steadily")["melody"] < 0


@pytest.mark.parametrize(("cue", "description"), [("sounds", "a loud voice"), ("looks", "raised brows")])
def test_a_description_is_a_direction_or_none_if_it_names_nothing(cue, description):
    vector = descriptions.attributes(cue, description)
    assert vector.shape == (descriptions.count(cue),)
    torch.testing.assert_close(vector.norm(), torch.tensor(1.0))
    assert [descriptions.attributes(cue, text) for text in ("an indescribable way", "")] == [None, None]


def test_nearly_all_of_the_table_says_something_outright():
    for cue in ("sounds", "looks"):
        silent = [n for n, one in table().items() if descriptions.attributes(cue, getattr(one, cue)) is None]
        assert len(silent) < 0.03 * len(table()), silent
