"""The checkpoint that ships: it loads, it is small, and it answers on real media."""

import os
from pathlib import Path

import pytest

import emoembed
from emoembed.model import checkpoint_files
from emoembed.prediction import describe

DATA = os.environ.get("EMOEMBED_DATA")
LABELS = ["joy", "anger", "nostalgia", "awe"]


@pytest.fixture(scope="module")
def base():
    return emoembed.load("base")


def test_it_is_under_55_megabytes():
    folder = checkpoint_files.find_folder("base")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 55e6
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "words.bin", "README.md"}


def test_it_reads_all_three_modalities_and_says_its_licence(base):
    assert tuple(base.model.modalities) == ("text", "audio", "video")
    assert "CC BY-NC-SA" in base.model.state.provenance["licence"]
    assert "CC BY-NC-SA" in (checkpoint_files.find_folder("base") / "LICENSE").read_text()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("This is the happiest day of my life, I could dance!", "joy"),
        ("How dare you lie to me again, I'm furious!", "anger"),
        ("I miss the old days, nothing feels the same anymore.", "nostalgia"),
        ("I stood beneath the mountains, speechless at how vast they were.", "awe"),
    ],
)
def test_clear_sentences_find_their_emotion_seen_or_not(base, text, label):
    assert base.predict(text=text, labels=LABELS).label == label


def test_the_default_labels_are_those_of_its_card(base):
    result = base.predict(text="Leave me alone!")
    card = (checkpoint_files.find_folder("base") / "README.md").read_text()
    assert set(result.scores) == set(base.labels)
    assert all(label in card for label in base.labels)


def test_saving_and_loading_change_nothing(base, tmp_path):
    base.save_pretrained(tmp_path / "copy")
    copy = emoembed.load(tmp_path / "copy")
    one, other = (model.predict(text="What a relief.", labels=LABELS).scores for model in (base, copy))
    assert one == pytest.approx(other, abs=1e-3)


@pytest.mark.skipif(DATA is None, reason="EMOEMBED_DATA names no folder of corpora")
def test_it_answers_on_a_real_clip_face_and_sentence_together_and_alone(base):
    sound = Path(DATA) / "ravdess/Actor_21/03-01-05-02-01-01-21.flac"
    face = next((Path(DATA) / "fer2013/test/angry").glob("*.jpg"))
    sources = {"text": "Get out of my house!", "audio": sound, "video": face}
    together = base.predict(**sources, labels=LABELS)
    assert together.label == "anger"
    assert sum(one.weight for one in together.modalities.values()) == pytest.approx(1.0, abs=1e-4)
    for name, source in sources.items():
        alone = base.predict(**{name: source}, labels=LABELS)
        assert alone.scores == pytest.approx(together.modalities[name].scores, abs=1e-3)
        assert sum(alone.scores.values()) == pytest.approx(1.0, abs=1e-4)


def test_every_modality_knows_what_it_saw_and_what_its_items_look_like(base):
    for model in (base.model, emoembed.load("ravdess-av").model):
        for name in model.modalities:
            trust = model.modality(name).calibration
            assert len(model.state.seen_in(name)) >= 7
            for known in (trust.familiar, trust.reference, trust.spread, trust.offsets, trust.thresholds):
                assert bool(known.any()), name
    for name in base.model.modalities:
        assert bool(base.model.modality(name).calibration.expected.any()), name


def test_it_says_what_to_expect_of_an_emotion_it_never_heard(base):
    near, far = (
        describe.describe_label(base.model, label)["modalities"]["audio"] for label in ("delight", "nostalgia")
    )
    assert near["nearest"][0]["cosine"] > far["nearest"][0]["cosine"]
    for description in (near, far):
        assert 0.5 < description["expected_auc"] < 1.0
        assert description["error"] > 0
