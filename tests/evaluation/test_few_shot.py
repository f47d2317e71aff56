from dataclasses import replace

import numpy as np
import pytest

from emoembed.evaluation import few_shot, held_out, zero_shot
from emoembed.evaluation.study import Study
from emoembed.training.config import TrainConfig

QUICK = TrainConfig(epochs=1, batch_size=8, bf16=False)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setitem(held_out.HELD_OUT_TRAINING, "text", QUICK)


def test_the_support_is_exact_in_number_and_bears_its_label(toy):
    data = toy(60)
    support = few_shot.draw_support(data, ["joy", "anger"], 4, seed=1)
    for label, positions in support.items():
        assert len(set(positions)) == 4
        assert (data.targets[positions, data.labels.index(label)] == 1).all()
    other = few_shot.draw_support(data, ["joy"], 4, seed=2)["joy"]
    assert set(other) != set(support["joy"])
    np.testing.assert_array_equal(few_shot.draw_support(data, ["joy", "anger"], 4, seed=1)["joy"], support["joy"])
    assert len(few_shot.draw_support(data, ["joy"], 99, seed=1)["joy"]) == 20


def test_copies_of_a_recording_are_not_examples(toy):
    rows = toy(30)
    ids = tuple(f"{rows.ids[i - 1]}@1" if i % 2 else row for i, row in enumerate(rows.ids))
    inputs = {name: dict(zip(ids, store.values(), strict=True)) for name, store in rows.inputs.items()}
    copied = replace(rows, ids=ids, inputs=inputs)
    (positions,) = few_shot.draw_support(copied, ["joy"], 99, seed=0).values()
    assert len(positions) == 5
    assert all(position % 2 == 0 for position in positions)


def test_a_row_whose_id_only_looks_like_that_of_a_copy_is_an_example(toy):
    rows = toy(30)
    ids = tuple(f"{row}@1" for row in rows.ids)
    inputs = {name: dict(zip(ids, store.values(), strict=True)) for name, store in rows.inputs.items()}
    (positions,) = few_shot.draw_support(replace(rows, ids=ids, inputs=inputs), ["joy"], 99, seed=0).values()
    assert len(positions) == 10


def test_no_shots_are_zero_shot_and_shots_come_from_training_rows(manifest, text_model, tmp_path, monkeypatch):
    drawn_from = []
    real = few_shot.draw_support
    monkeypatch.setattr(
        few_shot, "draw_support", lambda rows, *a, **k: drawn_from.append(rows.ids) or real(rows, *a, **k)
    )
    study = Study(str(manifest), manifest.parent, text_model, unseen="fear,joy", cache=tmp_path, split="test")
    table = few_shot.evaluate(study, shots=(0, 2, 8), draws=3)
    zero = zero_shot.evaluate(study)
    none = table[table["shots"] == 0]
    np.testing.assert_allclose(none[["auc", "ap"]], zero[["auc", "ap"]])
    assert table.groupby("shots").size().to_dict() == {0: 2, 2: 6, 8: 6}
    train = study.folds[0].train
    assert all(ids == train.ids for ids in drawn_from)
    assert list(few_shot.summarize(table).index) == [0, 2, 8]


def test_examples_teach(manifest, text_model, tmp_path):
    table = few_shot.evaluate(
        Study(str(manifest), manifest.parent, text_model, unseen="fear", cache=tmp_path), shots=(0, 8)
    )
    mean = table.groupby("shots")["auc"].mean()
    assert mean[8] > mean[0]
