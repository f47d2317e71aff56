import json

import facial_actions
import numpy as np
import pytest
import stages
import torch
from facial_actions import MUSCLES, actions_of, read_blendshapes, standardised, train_reader

from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.errors import InputError
from emoembed.labels.descriptions import FACE

NAMES = ["browInnerUp", "browOuterUpLeft", "browOuterUpRight", "browDownLeft", "browDownRight", "eyeWideLeft"]
NAMES += ["eyeWideRight", "eyeSquintLeft", "eyeBlinkLeft", "mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft"]
NAMES += ["mouthFrownLeft", "jawOpen", "mouthLowerDownLeft", "mouthPressLeft", "mouthRollLower", "mouthRollUpper"]
NAMES += ["noseSneerLeft", "mouthUpperUpLeft", "eyeLookDownLeft", "_neutral"]


@pytest.fixture
def shapes():
    """Blendshapes of 300 faces, and pictures in which the brightness of a corner says how far the mouth smiles."""
    draw = np.random.default_rng(0)
    values = draw.uniform(0, 0.5, (300, len(NAMES))).astype(np.float32)
    values[:, NAMES.index("_neutral")] = 0.0
    pictures = draw.normal(0.5, 0.02, (300, 48, 48)).astype(np.float32)
    smile = values[:, [NAMES.index("mouthSmileLeft"), NAMES.index("mouthSmileRight")]].mean(axis=1)
    pictures[:, 24:, :24] += smile[:, None, None]
    return values, pictures.reshape(300, -1).clip(0, 1)


def test_every_action_that_labels_are_described_by_is_read():
    assert list(MUSCLES) == list(FACE)


def test_an_action_is_the_mean_of_its_muscles(shapes):
    values, _ = shapes
    scaled = standardised(values)
    actions = actions_of(scaled, NAMES)
    assert actions.shape == (300, len(FACE))
    np.testing.assert_allclose(actions.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(actions.std(axis=0), 1, atol=0.1)
    left, right = (scaled[:, NAMES.index(name)] for name in ("browOuterUpLeft", "browOuterUpRight"))
    outer, inner = (left + right) / 2, scaled[:, NAMES.index("browInnerUp")]
    brows = outer / outer.std() + inner / inner.std()
    assert np.corrcoef(actions[:, list(FACE).index("brows up")], brows)[0, 1] > 0.99
    assert np.corrcoef(brows, inner)[0, 1] < 0.9
    moved = np.abs(scaled[:, [NAMES.index(name) for name in NAMES if name != "_neutral"]]).mean(axis=1)
    assert np.corrcoef(actions[:, list(FACE).index("soft")], moved)[0, 1] < -0.7


def few_epochs(monkeypatch, count):
    monkeypatch.setattr(facial_actions, "EPOCHS", count)
    monkeypatch.setattr(facial_actions, "BATCH", 50)


def test_blendshapes_of_another_kind_are_refused(shapes):
    with pytest.raises(InputError, match="lack jawOpen"):
        actions_of(standardised(shapes[0]), [name.replace("jawOpen", "other") for name in NAMES])


def test_a_reader_learns_the_teachers_answers_and_leaves_out_faces_without_one(shapes, monkeypatch, tmp_path):
    values, pictures = shapes
    values[:20] = np.nan
    few_epochs(monkeypatch, 6)
    reader = train_reader(pictures, values, NAMES, tmp_path / "state")
    with torch.no_grad():
        read = reader(torch.from_numpy(pictures[20:, None]), torch.ones(280, dtype=torch.long)).numpy()
    smile = list(FACE).index("smile")
    shown = values[20:][:, [NAMES.index("mouthSmileLeft"), NAMES.index("mouthSmileRight")]].mean(axis=1)
    assert np.corrcoef(read[:, smile], shown)[0, 1] > 0.8
    losses = json.loads((tmp_path / "state" / "run.json").read_text())["losses"]
    assert losses[-1] < losses[0] - 0.02


def test_a_stopped_training_resumes_with_the_same_result(shapes, monkeypatch, tmp_path):
    values, pictures = shapes
    few_epochs(monkeypatch, 2)
    whole = train_reader(pictures[:100], values[:100], NAMES, tmp_path / "whole")
    monkeypatch.setattr(facial_actions.augment, "faces", stop_after(3))
    with pytest.raises(KeyboardInterrupt):
        train_reader(pictures[:100], values[:100], NAMES, tmp_path / "state")
    monkeypatch.undo()
    few_epochs(monkeypatch, 2)
    resumed = train_reader(pictures[:100], values[:100], NAMES, tmp_path / "state")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value)


def stop_after(calls):
    change, count = facial_actions.augment.faces, iter(range(calls))

    def faces(*arguments):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return change(*arguments)

    return faces


def test_a_finished_reader_is_taken_up(shapes, monkeypatch, tmp_path):
    reader = FacialActionReader()
    trainings = []

    def train(faces, values, names, state):
        trainings.append((faces.shape, values.shape, names, state.name))
        return reader

    monkeypatch.setattr(stages, "train_reader", train)
    values, _ = shapes
    file = tmp_path / "blendshapes.npz"
    np.savez(file, paths=np.array([f"train/happy/{i}" for i in range(300)]), values=values, names=np.array(NAMES))
    rows = {f"fer2013/train/happy/{i}": np.zeros((1, 48 * 48), np.float32) for i in (3, 7)}
    data = type("Rows", (), {"ids": tuple(rows), "inputs": {"video": rows}})
    monkeypatch.setattr(stages.corpora, "load", lambda *_: type("Corpus", (), {"split": lambda *_: None}))
    monkeypatch.setattr(stages.corpus_rows, "video_data", lambda _: data)
    found = [stages.action_reader(tmp_path, file, tmp_path) for _ in range(2)]
    assert [one.digest() for one in found] == [reader.digest()] * 2
    ((faces, taught, names, state),) = trainings
    assert (faces, taught, names) == ((2, 48 * 48), (2, len(NAMES)), NAMES)
    assert state.startswith("run-actions-")


def test_images_that_the_teacher_was_not_asked_about_are_an_error(monkeypatch, tmp_path):
    file = tmp_path / "blendshapes.npz"
    np.savez(file, paths=np.array(["train/happy/1"]), values=np.zeros((1, 2)), names=np.array(["a", "b"]))
    data = type("Rows", (), {"ids": ("fer2013/train/happy/2",), "inputs": {}})
    monkeypatch.setattr(stages.corpora, "load", lambda *_: type("Corpus", (), {"split": lambda *_: None}))
    monkeypatch.setattr(stages.corpus_rows, "video_data", lambda _: data)
    with pytest.raises(InputError, match="lacks 1 of 1 training images, such as train/happy/2"):
        stages.action_reader(tmp_path, file, tmp_path)


def test_blendshapes_that_are_missing_say_how_to_make_them(tmp_path):
    with pytest.raises(InputError, match="make blendshapes"):
        read_blendshapes(tmp_path / "no.npz")
    np.savez(tmp_path / "other.npz", values=np.zeros(2))
    with pytest.raises(InputError, match="lacks paths, names"):
        read_blendshapes(tmp_path / "other.npz")
