from functools import partial
from types import SimpleNamespace

import labelled_teacher
import numpy as np
import pytest
import text_stages
import torch

from emoembed.reading import corpus_rows
from emoembed.training import recipes
from emoembed.training.loop import optimise
from emoembed.training.objective import Teacher

NAMES = ["joy", "anger", "glad, sad", "awe", "joyful"]


@pytest.fixture
def rows_of(corpus_of):
    def make(model, split):
        texts = [f"so merry {i}" if i % 2 else f"so cross {i}" for i in range(24)]
        return corpus_rows.text_data(corpus_of(texts, ["joy", "anger"] * 12, split), model.phrases)

    return make


def test_names_of_several_emotions_and_second_names_of_one_are_left_out():
    assert labelled_teacher.different(["joy", "glad, sad", "joyful", "awe", "  ", "Joy"]) == ["joy", "awe"]


def answered(larger, rows_of, file, epochs):
    """The teacher of a tiny encoder, trained on the rows."""
    model = labelled_teacher.untrained(larger, None, [])
    config = recipes.training("teacher", epochs=epochs, batch_size=8, learning_rate=2e-2, bf16=False)
    names = labelled_teacher.different(NAMES)
    labelled_teacher.answers(model, rows_of(model, "train"), rows_of(model, "valid"), config, names, file)
    return labelled_teacher.read(file)


def test_answers_are_those_of_the_trained_encoder(larger, rows_of, text_model, tmp_path):
    teacher = answered(larger, rows_of, tmp_path / "answers.safetensors", 12)
    ids = rows_of(text_model, "train").ids
    assert teacher.names == ("joy", "anger", "awe")
    assert tuple(teacher.points) == ids
    assert len(teacher.label_points) == 3
    similarity = np.stack([teacher.points[i] for i in ids]).astype(float) @ teacher.label_points[:2].double().numpy().T
    assert (similarity.argmax(axis=1) == np.arange(24) % 2).mean() > 0.9


def test_a_smaller_encoder_learns_from_the_answers(larger, rows_of, text_model, tmp_path):
    teacher = answered(larger, rows_of, tmp_path / "answers.safetensors", 3)
    rows = rows_of(text_model, "train")
    config = recipes.training("texts", epochs=2, batch_size=8, bf16=False, imitate=1.0)
    history = optimise(text_model, rows, rows_of(text_model, "valid"), config, teacher=teacher)
    assert history.losses[1] < history.losses[0]


def test_the_answers_of_a_finished_stage_are_read_without_the_larger_encoder(monkeypatch, tmp_path):
    teacher = Teacher("text", {"a": np.ones(2, np.float16)}, ("joy",), torch.ones(1, 2))
    monkeypatch.setattr(text_stages, "training_texts", lambda *_: ["so merry"])
    monkeypatch.setattr(text_stages, "feelings", lambda _: ["joy"])
    made = []

    def write(*arguments):
        made.append(arguments[-1])
        arguments[-1].touch()

    monkeypatch.setattr(labelled_teacher, "untrained", lambda *_: SimpleNamespace(phrases="mpnet"))
    monkeypatch.setattr(text_stages, "text_rows", lambda *_: ("rows", "valid"))
    monkeypatch.setattr(labelled_teacher, "answers", write)
    monkeypatch.setattr(labelled_teacher, "read", lambda _: teacher)
    ask = partial(text_stages.answers_of, tmp_path, "mpnet", 0, tmp_path, rated=False)
    assert ask(names=("xed",)) is ask(names=("xed",)) is teacher
    assert len(made) == 1
    ask(names=("tec",))
    monkeypatch.setattr(labelled_teacher, "RANK", 4)
    ask(names=("tec",))
    assert len(set(made)) == 3
