"""No silent answer: what was cut, not understood or not seen is said in the result."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

import emoembed
from emoembed import features
from emoembed.errors import MediaError
from emoembed.features import audio
from emoembed.features.notes import CODES
from emoembed.features.readable import readable
from emoembed.labels.emotion import Label
from emoembed.prediction import describe, label_sets
from emoembed.prediction.label_sets import FAR, unlike_any
from emoembed.prediction.manifests.scoring import predict_manifest

LABELS = ["joy", "anger", "sadness", "neutral"]
TEXTS = json.loads((Path(__file__).parents[1] / "languages.json").read_text(encoding="utf-8"))
RATE = 16_000


@pytest.fixture(scope="module")
def base():
    return emoembed.load("base")


def codes(result):
    assert all(note.code in CODES for note in result.notes)
    return [note.code for note in result.notes]


def test_a_plain_item_has_nothing_to_note(base, voice):
    assert codes(base.predict("We made it to the top of the hill!", (voice(2.0), RATE), labels=LABELS)) == []


@pytest.mark.parametrize("language", TEXTS["languages"])
def test_a_text_in_another_language_is_noted_and_not_answered_when_abstaining(base, language):
    texts = TEXTS["languages"][language]["test"]
    results = base.predict(texts, labels=LABELS, abstain=True, errors="skip")
    told = [not result.scores or ("not-understood" in codes(result) and result.label is None) for result in results]
    assert np.mean(told) >= 0.8


def test_nonsense_is_noted_and_english_is_not(base):
    nonsense = base.predict(TEXTS["nonsense"]["test"], labels=LABELS, errors="skip")
    assert np.mean([not one.scores or "not-understood" in codes(one) for one in nonsense]) >= 0.9
    english = base.predict(TEXTS["english"]["test"], labels=LABELS)
    assert np.mean(["not-understood" in codes(one) for one in english]) <= 0.1


def test_what_is_not_understood_has_no_confidence_alone_and_less_beside_others(base, voice):
    foreign, sound = "Nie wieder lasse ich mir das gefallen", (voice(2.0), RATE)
    assert base.predict(foreign, labels=LABELS).confidence == 0.0
    both = base.predict(foreign, sound, labels=LABELS)
    share = both.modalities["text"].weight
    english = base.predict("Never again will I put up with that", sound, labels=LABELS)
    assert 0 < both.confidence <= 1 - share
    assert codes(english) == []


def test_a_long_text_says_how_much_was_read(base):
    (note,) = base.predict("I was happy and then I was sad. " * 40, labels=LABELS).notes
    assert (note.code, note.modality) == ("cut", "text")
    assert note.text == "the first 128 of 361 word pieces were read"


def test_a_text_of_ten_megabytes_is_cut_before_it_is_read(base):
    (note,) = base.predict("I am happy. " * 800_000, labels=LABELS).notes
    assert note.text.startswith("the first 128 of more than ")


def test_features_that_are_longer_than_what_is_read_say_so(base, voice):
    spoken = audio.speech((np.tile(voice(5.0), 8)), RATE)
    whole, beginning = (base.predict(audio=given, labels=LABELS) for given in (spoken, (np.tile(voice(5.0), 8), RATE)))
    assert whole.notes[-1].text == f"the first 3000 of {len(spoken.values)} rows of features were read"
    assert whole.scores == pytest.approx(beginning.scores, abs=1e-4)


def test_a_part_of_a_recording_in_a_manifest_says_how_much_of_it_was_read(base, voice, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.tile(voice(5.0), 65), RATE)
    (tmp_path / "m.csv").write_text("id,audio,start,end\npart,long.wav,5,324\nshort,long.wav,5,15\n")
    predict_manifest(base, tmp_path / "m.csv", LABELS, tmp_path / "scores.csv")
    part, short = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)["notes"]
    assert part.startswith("audio cut: the first 300 of 319 s were read; audio cut: the first 30 of 300 s of speech")
    assert short == ""


def test_a_long_recording_says_how_much_was_read(base, voice):
    result = base.predict(audio=(np.tile(voice(5.0), 65), RATE), labels=LABELS)
    assert [note.text for note in result.notes] == [
        "the first 300 of 325 s were read",
        "the first 30 of 300 s of speech were read; `timeline` scores a long recording in windows",
    ]


def test_clipping_a_narrow_band_and_opposite_channels_are_noted(base, voice):
    from scipy.signal import butter, sosfilt

    sound = voice(2.0)
    low = sosfilt(butter(8, 3000, fs=RATE, output="sos"), sound).astype(np.float32)
    assert codes(base.predict(audio=(np.clip(sound * 20, -1, 1), RATE), labels=LABELS)) == ["clipped"]
    assert codes(base.predict(audio=(low, RATE), labels=LABELS)) == ["band-limited"]
    opposite = base.predict(audio=(np.stack([sound, -sound], axis=1), RATE), labels=LABELS)
    assert codes(opposite) == ["channels-cancel"]
    assert opposite.scores == base.predict(audio=(sound, RATE), labels=LABELS).scores


def generated(seed=0):
    generator = np.random.default_rng(seed)
    time = np.arange(2 * RATE) / RATE
    noise = generator.standard_normal(len(time))
    spectrum = np.fft.rfft(noise)
    falling = np.maximum(np.arange(len(spectrum)), 1)
    pink = np.fft.irfft(spectrum / np.sqrt(falling), len(time))
    notes = 220 * 2 ** (generator.integers(0, 12, 16) / 12)[np.minimum((time / 0.25).astype(int), 15)]
    melody = sum(np.sin(2 * np.pi * k * np.cumsum(notes) / RATE) / k for k in range(1, 8))
    return {
        "white noise": noise,
        "pink noise": pink,
        "brown noise": np.fft.irfft(spectrum / falling, len(time)),
        "noise that comes and goes": pink * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)),
        "a tone": np.sin(2 * np.pi * 440 * time),
        "a hum": sum(np.sin(2 * np.pi * 50 * k * time) / k for k in (1, 2, 3)),
        "a chord": sum(np.sin(2 * np.pi * 220 * r * time) for r in (1, 1.26, 1.5)),
        "a melody": melody * np.exp(-(time % 0.25) * 6),
        "a siren": np.sin(2 * np.pi * np.cumsum(800 + 400 * np.sin(2 * np.pi * 0.5 * time)) / RATE),
        "clicks": (np.arange(len(time)) % 3000 < 16).astype(float),
    }


@pytest.mark.parametrize("kind", generated())
def test_what_is_no_speech_is_absent(base, kind):
    sound = (0.3 * generated()[kind] / np.abs(generated()[kind]).max()).astype(np.float32)
    with pytest.raises(MediaError, match="no speech found in the recording: "):
        base.predict(audio=(sound, RATE), labels=LABELS)
    assert "no speech found" in base.predict("so happy", (sound, RATE), labels=LABELS).absent["audio"]


def test_labels_that_are_not_understood_or_far_from_all_are_noted(base):
    result = base.predict("what a day", labels=["joy", "xqzzy", "banana"])
    assert [(note.code, note.modality) for note in result.notes] == [("label-unknown", "labels")]
    assert "'xqzzy'" in result.notes[0].text
    assert ("label-far", "labels") in [
        (note.code, note.modality) for note in base.predict("what a day", labels=["banana"]).notes
    ]
    described = {"joy": "", "xqzzy": "a deep and quiet sadness about something that is lost"}
    assert "label-unknown" not in codes(base.predict("what a day", labels=described))


def test_the_confidence_in_a_label_that_nothing_is_like_is_low(base):
    """A text about soup is near the label soup; that says nothing about an emotion."""
    result = base.predict("I ate soup", labels=["purple monkey", "joy", "kitchen soup"])
    assert result.label == "kitchen soup"
    cosine = unlike_any(base.model, {"kitchen soup": Label("kitchen soup")})["kitchen soup"]
    assert base._label_sets.of(["joy", "kitchen soup"]).familiarity == pytest.approx({"kitchen soup": cosine / FAR})
    assert 0.2 < cosine / FAR < 0.9
    guess = base.predict("xqzzy xqzzy", labels=["joy", "xqzzy"])
    assert (guess.label, guess.confidence) == ("xqzzy", 0.0)
    assert base.predict("xqzzy xqzzy", labels=["joy", "xqzzy"], abstain=True).label is None


def test_a_misspelled_label_is_suggested(base):
    (note,) = base.predict("what a day", labels=["joy", "nostaliga"]).notes
    assert note.code == "label-unknown"
    assert "did you mean 'nostalgia'? If not, describe it" in note.text
    assert "did you mean" not in base.predict("what a day", labels=["joy", "xqzzy"]).notes[0].text


def test_one_known_word_is_enough_to_understand_a_label(base):
    assert codes(base.predict("chills ran down my back", labels=["joy", "musical chills"])) == ["label-far"]


def test_notes_are_in_every_form_of_an_answer(base, capsys):
    from emoembed.interfaces.cli import main

    result = base.predict("asdf qwer lkjh", labels=LABELS)
    plain = json.loads(json.dumps(result.to_dict()))["notes"]
    assert plain == [{"code": "not-understood", "modality": "text", "text": result.notes[0].text}]
    main(["predict", "--text", "asdf qwer lkjh", "--labels", "joy,anger"])
    assert "note: text: too few words of 'asdf qwer lkjh' are English" in capsys.readouterr().out


def test_marks_at_the_end_capitals_and_emoji(base):
    made = [
        base.predict(text, labels=LABELS).scores
        for text in ("We made it", "We made it!", "We made it!!!", "WE MADE IT")
    ]
    assert all(scores == made[0] for scores in made)
    happy, sad = (base.predict(text, labels=["joy", "sadness"]) for text in ("😊", "😭"))
    assert (happy.label, sad.label) == ("joy", "sadness")
    assert base.predict("see you :)", labels=["joy", "sadness"]).label == "joy"
    assert base.predict("see you :(", labels=["joy", "sadness"]).label == "sadness"


@pytest.mark.parametrize(
    "text", ["12:30", "Don’t! I’m grieving", "nooooo whyyyyy", "wonderful https://youtu.be/xkqzjvb"]
)
def test_times_curly_apostrophes_drawn_out_words_and_links_are_english(base, text):
    assert "not-understood" not in codes(base.predict(text, labels=LABELS))


def test_one_english_word_makes_no_foreign_sentence_understood(base):
    assert "not-understood" in codes(base.predict("我很高兴 happy", labels=LABELS))


def test_emoji_are_words_beside_few_words_alone():
    assert readable("see you 😭") != "see you 😭"
    assert readable("we all went there together last week 😭") == "we all went there together last week 😭"
    assert readable("!!!") == "!!!"
    assert readable("👍🏽") == readable("👍")


def test_the_table_of_codes_is_that_of_the_notes_there_are():
    folders = [Path(emoembed.__file__).parent, Path(features.__file__).parent]
    source = "".join(path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.rglob("*.py")))
    assert set(re.findall(r'Note\(\s*"([a-z-]+)"', source)) == set(CODES)


def test_a_label_unlike_all_that_was_trained_on_is_noted_until_it_has_an_example(base):
    labels = ["joy", "winter"]
    assert codes(base.predict("We won the cup!", labels=labels)) == []
    result = base.predict("snow again and the roads are icy", labels=labels)
    (note,) = result.notes
    assert (result.label, note.code) == ("winter", "label-far")
    assert "winter" in note.text
    taught = base.adapt([{"text": "the lake has frozen over", "label": "winter"}])
    assert codes(taught.predict("snow again and the roads are icy", labels=labels)) == []


@pytest.mark.parametrize("modality", ["text", "audio", "video"])
def test_a_label_of_which_its_description_warns_is_noted_where_it_is_the_answer(base, voice, modality):
    item = {
        "text": "how I miss those years",
        "audio": (voice(2.0), RATE),
        "video": {"image": np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8), "face": True},
    }[modality]
    for label in ("nostalgia", "relief", "joy", "awe"):
        notes = base.predict(**{modality: item}, labels=[label]).notes
        warned = describe.describe_label(base.model, label)["modalities"][modality]["warning"]
        assert [note.code for note in notes if note.modality == modality and note.code == "label-far"] == (
            ["label-far"] if warned else []
        )


def test_a_label_that_was_described_is_not_far_from_all(base):
    labels = {"joy": "", "banana": "a yellow fruit that grows in warm countries"}
    assert all(note.modality != "labels" for note in base.predict("what a day", labels=labels).notes)


def test_a_label_that_a_model_was_trained_on_is_not_unlike_any():
    model, labels = emoembed.load("base").model, {"banana": Label("banana")}
    assert list(label_sets.unlike_any(model, labels)) == ["banana"]
    model = model.with_seen({"text": (*model.state.seen_in("text"), "banana")})
    assert label_sets.unlike_any(model, labels) == {}


def test_twenty_thousand_characters_of_a_text_are_read():
    assert len(readable("ab " * 10_000)) == 20_000


def test_emoticons_stand_between_blanks():
    assert readable("see you :/") != "see you :/"
    assert readable("https://x.org") == "https://x.org"


def test_the_longest_emoji_is_the_one_that_is_meant():
    assert readable("❤️‍🔥").split() == ["passionate", "burning", "love"]


def test_a_description_that_names_no_cue_is_noted_whatever_the_answer(base):
    labels = {"joy": "", "gezelligheid": {"definition": "warmth among friends", "looks": "an indescribable way"}}
    still = np.random.default_rng(0).integers(0, 255, (48, 48), np.uint8)
    notes = [note for note in base.predict(video=still, labels=labels).notes if note.code == "cues-unknown"]
    assert [note.modality for note in notes] == ["video"]
    assert "how 'gezelligheid' looks is described by 'an indescribable way', which names no known cue" in notes[0].text
    assert "cues-unknown" not in codes(base.predict("what a day", labels=labels))
    labels["gezelligheid"]["looks"] = "a smile, relaxed eyes"
    assert "cues-unknown" not in codes(base.predict(video=still, labels=labels))
