from dataclasses import replace

import numpy as np
import pytest
import torch

from emoembed.errors import InputError
from emoembed.prediction.manifests.tasks import attune_manifest
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.background import fit_background
from emoembed.training.ridge_maps import prepare
from emoembed.transfer import attune


@pytest.fixture
def at_home(units_model, toy):
    """A model, and rows like those it was trained on: `(model, data)`."""
    data = toy(90)
    prepare(units_model, data)
    fit_background(units_model, data)
    return units_model, data


def batches(data, rows):
    return [data.batch(np.array([i])) for i in rows]


@torch.no_grad()
def mean_point(model, data):
    return model.encode(data.batch(range(len(data))))["video"].mean(dim=0)


def test_items_of_another_place_are_brought_home(at_home, toy):
    model, _ = at_home
    away = toy(60, 1)
    for frames in away.inputs["video"].values():
        frames += 1.5
    home = model.modality("video").background
    before = (mean_point(model, away) - home).norm()
    with pytest.warns(UserWarning, match="attuned to only 2 items of video"):
        few = attune.attune(model, batches(away, range(2)))
    many = attune.attune(model, batches(away, range(60)))
    left = [float((mean_point(m, away) - home).norm() / before) for m in (few, many)]
    assert left[1] < 0.5 < left[0] < 1.0
    assert many.state.attuned == {"video": 60}
    points = many.encode(away.batch(range(60)))["video"].detach()
    torch.testing.assert_close(points.norm(dim=1), torch.ones(60))
    assert not bool(model.modality("video").shift.any())


def test_attuning_anew_forgets_what_it_was_attuned_to_before(at_home, toy):
    model, _ = at_home
    away = batches(toy(30, 1), range(30))
    once = attune.attune(model, away)
    torch.testing.assert_close(attune.attune(once, away).modality("video").shift, once.modality("video").shift)


def test_items_that_lack_the_modality_say_nothing_of_where_it_lies(at_home, toy):
    model, _ = at_home
    away = toy(30, 1)
    moved = attune.attune(model, [away.batch(np.arange(20))])
    lacking = dict(list(away.inputs["video"].items())[:20])
    some = attune.attune(model, [replace(away, inputs={"video": lacking}).batch(np.arange(30))])
    torch.testing.assert_close(some.modality("video").shift, moved.modality("video").shift)
    assert some.state.attuned == {"video": 20}


def test_texts_of_dialogues_are_attuned_if_they_are_given(three_model):
    texts = ["we made it", "oh no", "not that again", "we made it again", "oh no no"]
    attuned = Recognizer(three_model).attune(text=texts).model
    assert attuned.state.attuned == {"text": 5}
    assert bool(attuned.modality("text").shift.any())
    assert not bool(attuned.modality("audio").shift.any())
    with pytest.raises(InputError, match="recordings, faces or texts of your own; given none"):
        attune.attune(three_model, [])


def test_what_was_heard_before_cannot_be_attuned(three_model, sounds):
    taught = Recognizer(three_model).adapt([{"audio": sounds[0], "label": "awe"}])
    with pytest.raises(InputError, match="already has audio examples of awe, which attune cannot shift"):
        taught.attune(audio=sounds)
    by_text = Recognizer(three_model).adapt([{"text": "wow", "label": "awe"}])  # which is not in the way
    assert bool(by_text.attune(audio=sounds).model.modality("audio").shift.any())


def test_an_attuned_model_is_saved_whole(at_home, toy, tmp_path):
    model, _ = at_home
    attuned = Recognizer(attune.attune(model, batches(toy(30, 1), range(30))))
    attuned.save_pretrained(tmp_path / "mine")
    again = Recognizer.from_pretrained(tmp_path / "mine").model
    torch.testing.assert_close(again.modality("video").shift, attuned.model.modality("video").shift, atol=1e-3, rtol=0)
    assert "30 video" in (tmp_path / "mine/README.md").read_text()


def test_nothing_to_attune_to_is_told(at_home, three_model):
    model, _ = at_home
    with pytest.raises(InputError, match="recordings, faces or texts of your own; given none"):
        attune.attune(model, [])
    recognizer = Recognizer(three_model)
    with pytest.raises(InputError, match="recordings, faces or texts of your own; given none"):
        recognizer.attune()
    with pytest.raises(InputError, match=r"a list of audio items; given 'a\.wav'"):
        recognizer.attune(audio="a.wav")
    with pytest.raises(InputError, match="audio item 1 is None"):
        recognizer.attune(audio=["a.wav", None])


@pytest.fixture
def sounds(voice):
    return [(voice(pitch=pitch), 16_000) for pitch in (120, 150, 180, 210, 240)]


def test_sounds_attune_sound_alone(three_model, sounds):
    recognizer = Recognizer(three_model)
    attuned = recognizer.attune(audio=sounds).model
    assert bool(attuned.modality("audio").shift.any())
    assert not bool(attuned.modality("video").shift.any())
    assert attuned.state.attuned == {"audio": 5}
    faces = list(np.random.default_rng(0).integers(0, 255, (5, 48, 48), dtype=np.uint8))
    later = Recognizer(attuned).attune(video=faces)
    torch.testing.assert_close(later.model.modality("audio").shift, attuned.modality("audio").shift)
    assert later.model.state.attuned == {"audio": 5, "video": 5}


def test_a_manifest_attunes_by_the_rows_that_can_be_read(three_model, sounds, tmp_path):
    import soundfile

    for i, (samples, rate) in enumerate(sounds):
        soundfile.write(tmp_path / f"{i}.wav", samples, rate)
    (tmp_path / "mine.csv").write_text(
        "id,audio,text\na,0.wav,x\nb,1.wav,y\nc,2.wav,z\nd,none.wav,\ne,3.wav,\nf,4.wav,\n"
    )
    attuned, failures = attune_manifest(Recognizer(three_model), tmp_path / "mine.csv", tmp_path / "model")
    assert list(failures) == ["d"]
    direct = Recognizer(three_model).attune(audio=[tmp_path / f"{i}.wav" for i in range(5)])
    torch.testing.assert_close(attuned.model.modality("audio").shift, direct.model.modality("audio").shift)
    assert (tmp_path / "model/config.json").is_file()


def test_a_manifest_none_of_which_can_be_read_says_why(three_model, tmp_path):
    (tmp_path / "mine.csv").write_text("id,audio\na,none.wav\n")
    with pytest.raises(InputError, match="given none; a: no audio file at"):
        attune_manifest(Recognizer(three_model), tmp_path / "mine.csv", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_manifest_of_texts_alone_is_refused(three_model, tmp_path):
    (tmp_path / "mine.csv").write_text("id,text\na,x\n")
    with pytest.raises(InputError, match="attuning needs audio or video; mine has text alone; name text to attune"):
        attune_manifest(Recognizer(three_model), tmp_path / "mine.csv", tmp_path / "model")
    (tmp_path / "mine.csv").write_text("id,text\n" + "".join(f"{i},we made it\n" for i in range(6)))
    attuned, failures = attune_manifest(Recognizer(three_model), tmp_path / "mine.csv", tmp_path / "model", ["text"])
    assert attuned.model.state.attuned == {"text": 6}
    assert not failures
