"""Sixty answers that do not change: what moves code must not move them.

`pytest tests/test_golden.py --write-golden` keeps the answers of the code as it is. Do so only where a change of
answers is meant, and say so in CHANGELOG.md.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import emoembed
from emoembed.features.feature_set import Features, FeatureSet

GOLDEN = Path(__file__).parent / "golden.json"
RATE = 16_000
CLOSE = 2e-6
"""The greatest difference. On one processor, 1 and 2 threads differ by less than 5e-7; confidences and weights are
rounded to six places, so they may differ by 1e-6. With the instructions of older processors (AVX2 or SSE4 instead of
AVX-512), scores differ by up to 1.13e-6."""
BASIC = ["joy", "anger", "sadness", "fear", "surprise", "disgust", "neutral"]
OWN = ["nostalgia", "awe", "relief", "pride", "boredom"]
MIXED = ["happy", "furious", "homesick", emoembed.Label("Schadenfreude", definition="joy at the misfortune of another")]
TEXTS = [
    "We made it to the top of the hill!",
    "How dare you lie to me again?",
    "I miss the house where we grew up.",
    "She packed her bag and left without a word.",
    "The meeting is moved to Tuesday.",
    "Thank goodness, the test came back negative.",
    "There is something under the stairs.",
    "I never thought they would do this for me \U0001f602",
    "ugh, not again",
    "Nie wieder lasse ich mir das gefallen.",
]


def face(seed, size=48):
    """A soft pattern as a picture of a face, uint8 `(size, size)`."""
    generator = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    waves = sum(np.sin(generator.uniform(1, 9) * x + generator.uniform(1, 9) * y + seed) for _ in range(4))
    return (127 + 30 * waves).clip(0, 255).astype(np.uint8)


def units(model, seed):
    """Action units of twenty frames, as `ravdess-av` reads them."""
    columns = model.model.config.modalities["video"].columns
    values = np.random.default_rng(seed).random((20, len(columns)), dtype=np.float32)
    return Features(values, FeatureSet("action_units", columns))


def answers(voice):
    """Every case by name: what `predict` answered."""
    base, joint = emoembed.load("base"), emoembed.load("ravdess-av")
    sounds = [(voice(1.5 + 0.4 * seed, 110 + 30 * seed, seed), RATE) for seed in range(6)]
    faces = [{"image": face(seed), "face": True} for seed in range(4)]
    clip = np.stack([np.repeat(face(seed, 64)[..., None], 3, axis=2) for seed in range(5)])
    stereo = np.stack([sounds[0][0], 0.5 * sounds[0][0]], axis=1)
    cases = {}
    for place, text in enumerate(TEXTS):
        cases[f"text {place}"] = base.predict(text, labels=BASIC)
    for place, text in enumerate(TEXTS[:4]):
        cases[f"text, own emotions {place}"] = base.predict(text, labels=OWN)
        cases[f"text, several {place}"] = base.predict(text, labels=BASIC, multi_label=True)
        cases[f"text, abstaining {place}"] = base.predict(text, labels=OWN, abstain=0.3)
    cases["text, descriptions"] = base.predict(TEXTS[2], labels=MIXED)
    for place, sound in enumerate(sounds):
        cases[f"sound {place}"] = base.predict(audio=sound, labels=BASIC)
    cases["sound, own emotions"] = base.predict(audio=sounds[0], labels=OWN)
    cases["sound, several"] = base.predict(audio=sounds[1], labels=BASIC, multi_label=True)
    cases["sound, abstaining"] = base.predict(audio=sounds[2], labels=BASIC, abstain=0.2)
    cases["sound, two channels"] = base.predict(audio=(stereo, RATE), labels=BASIC)
    for place, shown in enumerate(faces):
        cases[f"face {place}"] = base.predict(video=shown, labels=BASIC)
    cases["face, own emotions"] = base.predict(video=faces[0], labels=OWN)
    cases["face, several"] = base.predict(video=faces[1], labels=BASIC, multi_label=True)
    cases["face, abstaining"] = base.predict(video=faces[2], labels=BASIC, abstain=0.2)
    cases["faces of a clip"] = base.predict(video=clip, labels=BASIC)
    for place in range(4):
        given = {"text": TEXTS[place], "audio": sounds[place], "video": faces[place]}
        cases[f"all three {place}"] = base.predict(**given, labels=BASIC)
    cases["text and sound"] = base.predict(TEXTS[1], sounds[1], labels=OWN)
    cases["text and face"] = base.predict(TEXTS[1], video=faces[1], labels=OWN, multi_label=True)
    cases["sound and face"] = base.predict(audio=sounds[1], video=faces[1], labels=BASIC, abstain=0.3)
    taught = base.adapt(
        [
            {"text": TEXTS[2], "label": "nostalgia"},
            {"text": TEXTS[3], "label": "resolve"},
            {"text": TEXTS[5], "label": "relief"},
        ]
    )
    for place in (0, 2, 3):
        cases[f"adapted to texts {place}"] = taught.predict(TEXTS[place], labels=[*BASIC, "nostalgia", "resolve"])
    names = ["awe", "awe", "boredom", "boredom"]
    heard = base.adapt([{"audio": sound, "label": name} for sound, name in zip(sounds, names, strict=False)])
    for place in (0, 4):
        cases[f"adapted to sounds {place}"] = heard.predict(audio=sounds[place], labels=[*BASIC, "awe", "boredom"])
    many = [face(seed) for seed in range(20)]
    at_home = base.attune(audio=[(voice(1.0, 100 + 8 * seed, seed), RATE) for seed in range(20)], video=many)
    cases["attuned, sound"] = at_home.predict(audio=sounds[1], labels=BASIC)
    cases["attuned, face"] = at_home.predict(video=faces[1], labels=BASIC)
    cases["attuned, both"] = at_home.predict(audio=sounds[1], video=faces[1], labels=OWN)
    for place in range(2):
        together = {"audio": sounds[place], "video": units(joint, place)}
        cases[f"voice with face {place}"] = joint.predict(**together, labels=BASIC)
        cases[f"face beside voice {place}"] = joint.predict(video=units(joint, place), labels=OWN)
    return {name: kept(result) for name, result in cases.items()}


def kept(result):
    """What of an answer is compared."""
    modalities = {name: {"weight": one.weight, **one.scores} for name, one in result.modalities.items()}
    return {
        "label": result.label,
        "confidence": result.confidence,
        "scores": result.scores,
        "modalities": modalities,
        "notes": [note.code for note in result.notes],
    }


@pytest.fixture(scope="module")
def now(voice, request):
    kept_answers = answers(voice)
    if request.config.getoption("--write-golden"):
        GOLDEN.write_text(json.dumps(kept_answers, indent=1) + "\n")
    return kept_answers


def test_sixty_answers_are_kept(now):
    assert len(now) >= 60
    assert list(now) == list(json.loads(GOLDEN.read_text()))


@pytest.mark.parametrize("name", json.loads(GOLDEN.read_text()) if GOLDEN.exists() else [])
def test_an_answer_is_what_it_was(now, name):
    before, after = json.loads(GOLDEN.read_text())[name], now[name]
    for field in ("label", "notes"):
        assert after[field] == before[field]
    assert after["confidence"] == pytest.approx(before["confidence"], abs=CLOSE)
    assert after["scores"] == pytest.approx(before["scores"], abs=CLOSE)
    assert list(after["modalities"]) == list(before["modalities"])
    for modality, scores in before["modalities"].items():
        assert after["modalities"][modality] == pytest.approx(scores, abs=CLOSE)
