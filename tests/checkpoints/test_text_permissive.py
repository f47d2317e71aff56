"""The text checkpoint for commercial use: its licence and its training data say so, and it answers."""

import pytest
from texts import PERMISSIVE

import emoembed
from emoembed.model import checkpoint_files

NOT_PERMISSIVE = ("RAVDESS", "FER2013", "EmoBank", "MELD", "EmoContext", "TEC", "StockEmotions", "EmotionPush")


@pytest.fixture(scope="module")
def model():
    return emoembed.load("text-permissive")


def test_its_data_admits_commercial_use(model):
    folder = checkpoint_files.find_folder("text-permissive")
    licence = (folder / "LICENSE").read_text()
    assert model.model.state.provenance["trained_on"] == {"text": list(PERMISSIVE)}
    assert model.model.state.provenance["licence"].startswith("Apache-2.0")
    assert not [name for name in NOT_PERMISSIVE if name in licence]
    assert "license: apache-2.0" in (folder / "README.md").read_text()


def test_it_is_small_and_reads_texts_alone(model):
    folder = checkpoint_files.find_folder("text-permissive")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 45e6
    assert tuple(model.model.modalities) == ("text",)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("How dare you lie to me again, I'm furious!", "anger"),
        ("I miss the old days, nothing feels the same anymore.", "nostalgia"),
        ("I stood beneath the mountains, speechless at how vast they were.", "awe"),
    ],
)
def test_it_answers_names_that_it_was_not_asked_in_training(model, text, label):
    assert model.predict(text, labels=["joy", "anger", "nostalgia", "awe"]).label == label


def test_it_learns_from_examples(model):
    taught = model.adapt([{"text": "The sea at dusk, and no one to tell.", "label": "saudade"}])
    assert "saudade" in taught.predict("I miss the sea.", labels=["joy", "saudade"]).scores
