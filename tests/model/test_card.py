"""The card of a model says all that was made of it, whatever came first and however often it is saved."""

import numpy as np
import pytest

import emoembed
from emoembed.prediction.recognizer import Recognizer


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


def saved(recognizer, folder):
    recognizer.save_pretrained(folder)
    return (folder / "README.md").read_text(), emoembed.load(folder)


def test_what_was_attuned_and_then_taught_says_both(recognizer, tmp_path):
    faces = [np.random.default_rng(i).integers(0, 255, (48, 48, 3), dtype=np.uint8) for i in range(30)]
    card, attuned = saved(recognizer.attune(video=faces), tmp_path / "a")
    assert card.endswith("## Attuned\n\nWith unlabelled items: 30 video.\n")
    card, taught = saved(attuned.adapt([{"text": "wow", "label": "awe"}]), tmp_path / "b")
    expected = (
        "## Adapted\n\nLabels adapted with examples: awe (1 text).\n\n## Attuned\n\nWith unlabelled items: 30 video.\n"
    )
    assert card.endswith(expected)
    card, _ = saved(taught.adapt([{"text": "oh", "label": "awe"}]), tmp_path / "c")
    assert card.endswith(expected.replace("1 text", "2 text"))
    assert card.startswith("# A model made with emoembed")
