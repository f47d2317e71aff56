"""The joint checkpoint that ships: it loads, it is small, and it reads speech and OpenFace's files together."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

import emoembed
from emoembed.corpora.readers import ravdess
from emoembed.labels.emotion import canonical
from emoembed.model import checkpoint_files
from emoembed.reading import voice_and_face

DATA = os.environ.get("EMOEMBED_DATA")


@pytest.fixture(scope="module")
def joint():
    return emoembed.load("ravdess-av")


def test_it_is_small_and_says_its_licence_and_labels(joint):
    folder = checkpoint_files.find_folder("ravdess-av")
    card = (folder / "README.md").read_text()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    assert all("CC BY-NC-SA 4.0" in text for text in (card, (folder / "LICENSE").read_text()))
    assert ", ".join(joint.labels) in card


def test_it_reads_speech_and_openface_files_together_and_alone(joint, tmp_path, voice):
    soundfile.write(tmp_path / "a.wav", voice(2.0), 16_000)
    columns = joint.model.config.modalities["video"].columns
    rows = np.random.default_rng(0).random((9, len(columns)))
    lines = [",".join(("frame", "success", *columns)), *(f"{i},1,{','.join(map(str, r))}" for i, r in enumerate(rows))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    both = joint.predict(audio=tmp_path / "a.wav", video=tmp_path / "a.csv", labels=["joy", "anger", "awe"])
    assert set(both.modalities) == {"audio", "video"}
    assert sum(both.scores.values()) == pytest.approx(1, abs=1e-5)
    assert list(joint.predict(video=tmp_path / "a.csv").modalities) == ["video"]


@pytest.mark.skipif(DATA is None, reason="EMOEMBED_DATA names no folder of corpora")
def test_real_clips_of_unheard_actors_are_mostly_understood(joint):
    units = ravdess.read_action_units(Path(DATA) / voice_and_face.ACTION_UNITS)
    clips = sorted((Path(DATA) / "ravdess" / "Actor_21").glob("*.flac"))[::3]
    answered = joint.predict(audio=[str(clip) for clip in clips], video=[units[clip.stem] for clip in clips])
    true = [ravdess.EMOTIONS[int(clip.stem.split("-")[2])] for clip in clips]
    right = [canonical(name) == one.label for name, one in zip(true, answered, strict=True)]
    assert np.mean(right) > 0.4
