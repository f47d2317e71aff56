from dataclasses import replace

import numpy as np
import pytest
import torch

from emoembed import closed_form, objectives, recipes, train
from emoembed.errors import CheckpointError, TrainingError
from emoembed.model_config import ModalityConfig
from emoembed.projections import LabelParts

CONFIG = train.TrainConfig(epochs=6, batch_size=16, learning_rate=0.02, bf16=False, patience=6)


@pytest.fixture
def fresh(word_table):
    def make(seed=0):
        modality = ModalityConfig(
            "units", "pooled", 24, tuple("abcdef"), {"hidden": 16, "dropout": 0.1}, parts=LabelParts(vad_share=0.5)
        )
        return recipes.build({"video": modality}, word_table, seed)

    return make


def weights(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_it_learns_what_can_be_learned(fresh, toy):
    model, data = closed_form.prepare(fresh(), toy(90, 1)), toy(60, 2)
    assert train.validation_score(model, data) < 0.75
    history = train.fit(model, toy(90, 1), data, CONFIG)
    assert train.validation_score(model, data) > 0.95
    assert history.scores[history.best_epoch] == max(history.scores)
    assert history.losses[-1] < history.losses[0]


def test_the_seed_decides_the_weights(fresh, toy):
    def run(seed):
        model = closed_form.prepare(fresh(seed), toy())
        train.fit(model, toy(), toy(30, 2), train.TrainConfig(epochs=2, batch_size=16, bf16=False, seed=seed))
        return weights(model)

    torch.testing.assert_close(run(3), run(3), rtol=0, atol=0)
    assert not torch.allclose(run(3), run(4))


def test_a_killed_run_goes_on_exactly(fresh, toy, tmp_path, monkeypatch):
    whole = closed_form.prepare(fresh(), toy())
    expected = train.fit(whole, toy(), toy(30, 2, noise=3.0), CONFIG)
    real, calls = train.validation_score, []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(train, "validation_score", dying)
    with pytest.raises(KeyboardInterrupt):
        train.fit(closed_form.prepare(fresh(), toy()), toy(), toy(30, 2, noise=3.0), CONFIG, resume=tmp_path)
    monkeypatch.setattr(train, "validation_score", real)
    torch.manual_seed(99)
    again = closed_form.prepare(fresh(5), toy())
    history = train.fit(again, toy(), toy(30, 2, noise=3.0), CONFIG, resume=tmp_path)
    assert history == expected
    torch.testing.assert_close(weights(again), weights(whole), rtol=0, atol=0)
    assert not list(tmp_path.glob("*.pt"))


def test_a_run_of_other_settings_is_not_taken_up(fresh, toy, tmp_path):
    train.fit(closed_form.prepare(fresh(), toy()), toy(), toy(30, 2), CONFIG, resume=tmp_path)
    other = train.TrainConfig(epochs=7, batch_size=16, learning_rate=0.02, bf16=False, patience=6)
    with pytest.raises(CheckpointError, match=r"a run of other settings \(epochs\)"):
        train.fit(fresh(), toy(), toy(30, 2), other, resume=tmp_path)


@pytest.mark.parametrize("several", [True, False])
def test_what_was_not_annotated_teaches_nothing(several):
    logits = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[1.0, 0.0, torch.nan]] * 4)
    objectives.label_loss(logits, targets, np.full(4, several), torch.ones(4), CONFIG).backward()
    assert logits.grad[:, 2].abs().max() == 0
    assert logits.grad[:, :2].abs().min() > 0


def test_dropping_modalities_never_takes_the_last():
    frames = torch.zeros(200, 1, 1)
    batch = {"audio": (frames, torch.ones(200).long()), "video": (frames, torch.arange(200) % 2)}
    dropped = train._drop_modalities(batch, 0.9, torch.Generator().manual_seed(0))
    left = sum((lengths > 0).long() for _, lengths in dropped.values())
    assert left.min() == 1
    assert (left[1::2] == 1).float().mean() > 0.5


def test_joint_training_survives_rows_that_lack_a_modality(word_table, toy):
    units = ModalityConfig(
        "units", "pooled", 24, tuple("abcdef"), {"hidden": 16, "dropout": 0.1}, parts=LabelParts(vad_share=0.5)
    )
    model, data = recipes.build({"audio": units, "video": units}, word_table), toy(90, 1)
    both = replace(data, inputs={"audio": data.inputs["video"], "video": data.inputs["video"]})
    lacking = replace(
        both, inputs={"audio": dict(list(data.inputs["video"].items())[:60]), "video": both.inputs["video"]}
    )
    closed_form.prepare(model, both)
    train.fit(model, lacking, both, replace(CONFIG, modality_dropout=0.5))
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    for modality in ("audio", "video"):
        alone = replace(both, inputs={modality: both.inputs[modality]})
        assert train.validation_score(model, alone) > 0.9


def test_divergence_is_an_error_that_names_the_remedy(fresh, toy):
    data = toy()
    broken = {i: np.full_like(frames, np.nan) for i, frames in data.inputs["video"].items()}
    with pytest.raises(TrainingError, match=r"diverged in epoch 1: the video encoder.*lower the learning rate"):
        train.fit(fresh(), replace(data, inputs={"video": broken}), toy(30, 2), CONFIG)


def test_of_equal_epochs_the_last_is_the_best():
    assert train._best([0.5, 0.7, 0.7, 0.6]) == 2
    assert train._best([0.2]) == 0
