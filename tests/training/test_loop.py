from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from emoembed.encoders.pooled import PooledSettings
from emoembed.errors import CheckpointError, TrainingError
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.training import loop, objective
from emoembed.training.build import build
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.execution.run_state import Run
from emoembed.training.ridge_maps import prepare

CONFIG = TrainConfig(epochs=6, batch_size=16, learning_rate=0.02, bf16=False, patience=6)


@pytest.fixture
def fresh(word_table):
    def make(seed=0):
        modality = ModalityConfig(
            "units",
            "pooled",
            24,
            tuple("abcdef"),
            PooledSettings(hidden=16, dropout=0.1),
            parts=LabelParts(vad_share=0.5),
        )
        return build({"video": modality}, word_table, seed)

    return make


def weights(model):
    return torch.cat([value.flatten().float() for value in model.state_dict().values()])


def test_it_learns_what_can_be_learned(fresh, toy):
    model, data = prepare(fresh(), toy(90, 1)), toy(60, 2)
    assert loop.validation_score(model, data) < 0.75
    history = loop.optimise(model, toy(90, 1), data, CONFIG)
    assert loop.validation_score(model, data) > 0.95
    assert history.scores[history.kept_epoch] == max(history.scores)
    assert history.losses[-1] < history.losses[0]


def test_the_seed_decides_the_weights(fresh, toy):
    def run(seed):
        model = prepare(fresh(seed), toy())
        loop.optimise(model, toy(), toy(30, 2), TrainConfig(epochs=2, batch_size=16, bf16=False, seed=seed))
        return weights(model)

    torch.testing.assert_close(run(3), run(3), rtol=0, atol=0)
    assert not torch.allclose(run(3), run(4))


def test_a_killed_run_goes_on_exactly(fresh, toy, tmp_path, monkeypatch):
    whole = prepare(fresh(), toy())
    expected = loop.optimise(whole, toy(), toy(30, 2, noise=3.0), CONFIG)
    real, calls = loop.validation_score, []

    def dying(*args, **kwargs):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, "validation_score", dying)
    with pytest.raises(KeyboardInterrupt):
        loop.optimise(
            prepare(fresh(), toy()), toy(), toy(30, 2, noise=3.0), CONFIG, execution=Execution(resume=tmp_path)
        )
    monkeypatch.setattr(loop, "validation_score", real)
    torch.manual_seed(99)
    again = prepare(fresh(), toy())
    history = loop.optimise(again, toy(), toy(30, 2, noise=3.0), CONFIG, execution=Execution(resume=tmp_path))
    assert history == expected
    torch.testing.assert_close(weights(again), weights(whole), rtol=0, atol=0)
    assert not list(tmp_path.glob("*.pt"))


def test_a_run_of_other_settings_is_not_taken_up(fresh, toy, tmp_path):
    loop.optimise(prepare(fresh(), toy()), toy(), toy(30, 2), CONFIG, execution=Execution(resume=tmp_path))
    other = TrainConfig(epochs=7, batch_size=16, learning_rate=0.02, bf16=False, patience=6)
    with pytest.raises(CheckpointError, match=r"a run with other settings \(epochs"):
        loop.optimise(fresh(), toy(), toy(30, 2), other, execution=Execution(resume=tmp_path))


@pytest.mark.parametrize("change", ["texts", "validation labels", "first weights"])
def test_a_run_on_other_inputs_is_not_taken_up(fresh, toy, tmp_path, change):
    train, valid = toy(), toy(30, 2)
    loop.optimise(fresh(), train, valid, CONFIG, execution=Execution(resume=tmp_path))
    if change == "texts":  # two rows exchange what they hold; ids, labels and sizes stay
        name = next(iter(train.inputs))
        first, second = [row for row in train.ids if row in train.inputs[name]][:2]
        inputs = {**train.inputs[name], first: train.inputs[name][second], second: train.inputs[name][first]}
        train = replace(train, inputs={**train.inputs, name: inputs})
    elif change == "validation labels":
        valid = replace(valid, targets=valid.targets[::-1].copy())
    with pytest.raises(CheckpointError, match="a run with other settings"):
        loop.optimise(
            fresh(5 if change == "first weights" else 0), train, valid, CONFIG, execution=Execution(resume=tmp_path)
        )


@pytest.mark.parametrize("several", [True, False])
def test_what_was_not_annotated_teaches_nothing(several):
    logits = torch.randn(4, 3, requires_grad=True)
    targets = torch.tensor([[1.0, 0.0, torch.nan]] * 4)
    objective.label_loss(logits, targets, np.full(4, several), torch.ones(4), CONFIG).backward()
    assert logits.grad[:, 2].abs().max() == 0
    assert logits.grad[:, :2].abs().min() > 0


def test_dropping_modalities_never_takes_the_last():
    frames = torch.zeros(200, 1, 1)
    batch = {"audio": (frames, torch.ones(200).long()), "video": (frames, torch.arange(200) % 2)}
    dropped = loop._drop_modalities(batch, 0.9, torch.Generator().manual_seed(0))
    left = sum((lengths > 0).long() for _, lengths in dropped.values())
    assert left.min() == 1
    assert (left[1::2] == 1).float().mean() > 0.5


def test_joint_training_survives_rows_that_lack_a_modality(word_table, toy):
    units = ModalityConfig(
        "units", "pooled", 24, tuple("abcdef"), PooledSettings(hidden=16, dropout=0.1), parts=LabelParts(vad_share=0.5)
    )
    model, data = build({"audio": units, "video": units}, word_table), toy(90, 1)
    both = replace(data, inputs={"audio": data.inputs["video"], "video": data.inputs["video"]})
    lacking = replace(
        both, inputs={"audio": dict(list(data.inputs["video"].items())[:60]), "video": both.inputs["video"]}
    )
    prepare(model, both)
    loop.optimise(model, lacking, both, replace(CONFIG, modality_dropout=0.5))
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    for modality in ("audio", "video"):
        alone = replace(both, inputs={modality: both.inputs[modality]})
        assert loop.validation_score(model, alone) > 0.9


def test_divergence_is_an_error_that_names_the_remedy(fresh, toy):
    data = toy()
    broken = {i: np.full_like(frames, np.nan) for i, frames in data.inputs["video"].items()}
    with pytest.raises(TrainingError, match=r"diverged in epoch 1: the video encoder.*lower the learning rate"):
        loop.optimise(fresh(), replace(data, inputs={"video": broken}), toy(30, 2), CONFIG)


@pytest.mark.parametrize(("keep_last", "kept"), [(False, 1), (True, 4)])
def test_what_is_left_is_the_model_of_the_best_epoch_or_of_the_last(fresh, toy, monkeypatch, keep_last, kept):
    weights, scores = [], [0.3, 0.9, 0.5, 0.7, 0.6]

    def score(model, data, *, device):
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
        return scores[len(weights) - 1]

    monkeypatch.setattr(loop, "validation_score", score)
    model = prepare(fresh(), toy(30, 1))
    history = loop.optimise(model, toy(30, 1), toy(20, 2), replace(CONFIG, epochs=5, patience=5, keep_last=keep_last))
    assert (history.scores, history.kept_epoch) == (tuple(scores), kept)
    assert all(torch.equal(value, weights[kept][name]) for name, value in model.state_dict().items())
    assert any(not torch.equal(value, weights[kept - 1][name]) for name, value in model.state_dict().items())


def test_training_stops_after_so_many_epochs_without_a_better_one(fresh, toy):
    model, valid = prepare(fresh(), toy(90, 1)), toy(60, 2, noise=6.0)
    history = loop.optimise(model, toy(90, 1), valid, replace(CONFIG, epochs=40, patience=3))
    assert len(history.scores) == len(history.losses) == history.kept_epoch + 1 + 3 < 40


def watched(model, seen):
    """A change of batches that changes nothing, and notes the parameters each batch meets and what it is given."""

    def watch(frames, lengths, noise):
        parameters = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        seen.append((parameters, frames, float(torch.rand(1, generator=noise)), model.training))
        return frames

    return {"video": watch}


def test_the_rate_rises_and_then_falls(fresh, toy):
    model, seen = prepare(fresh(), toy()), []
    config = replace(CONFIG, epochs=10, patience=10, warmup=0.5, weight_decay=0.0)
    loop.optimise(model, toy(64), toy(30, 2), config, augment=watched(model, seen))
    moved = np.array([float((after[0] - before[0]).norm()) for before, after in pairwise(seen)])
    assert len(moved) == 39
    assert moved[0] == 0.0
    assert moved[:3].mean() < moved[15:25].mean() / 2
    assert moved[-3:].mean() < moved[15:25].mean() / 4


def test_the_seed_decides_which_rows_meet_and_what_is_drawn(fresh, toy):
    def run(seed):
        model, seen = prepare(fresh(), toy()), []
        loop.optimise(model, toy(), toy(30, 2), replace(CONFIG, epochs=2, seed=seed), augment=watched(model, seen))
        assert all(training for _, _, _, training in seen)
        return {float(frames.sum()) for _, frames, _, _ in seen}, {draw for _, _, draw, _ in seen}

    first, again, other = run(3), run(3), run(4)
    assert first == again
    assert not first[0] & other[0]
    assert not first[1] & other[1]


def test_what_chance_drops_in_training_goes_by_the_seed_alone(fresh, toy):
    def run(drawn):
        model = prepare(fresh(), toy())
        torch.rand(drawn)
        loop.optimise(model, toy(), toy(30, 2), replace(CONFIG, epochs=1))
        return weights(model)

    torch.testing.assert_close(run(7), run(1), rtol=0, atol=0)


def test_weights_decay_where_they_are_matrices_of_encoders_and_nowhere_else(fresh, toy):
    """Gradients are clipped away: what moves, moves by decay."""
    model = prepare(fresh(), toy())
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loop.optimise(model, toy(), toy(30, 2), replace(CONFIG, epochs=1, patience=1, clip=0.0, weight_decay=0.5))
    for name, parameter in model.named_parameters():
        if ".encoder." in name and parameter.ndim > 1:
            assert parameter.norm() < before[name].norm()
        else:
            torch.testing.assert_close(parameter, before[name], rtol=0, atol=0)


def test_what_changes_batches_is_all_that_training_sees(fresh, toy):
    model, blind = prepare(fresh(), toy()), {"video": lambda frames, lengths, noise: 0.0 * frames}
    history = loop.optimise(model, toy(), toy(30, 2), CONFIG, augment=blind)
    assert min(history.losses) > 0.9 * np.log(3)


def test_items_are_cut_in_training(fresh, toy):
    model, seen = prepare(fresh(), toy()), []
    loop.optimise(model, toy(), toy(30, 2), replace(CONFIG, epochs=1, max_frames=2), augment=watched(model, seen))
    assert {frames.shape[1] for _, frames, _, _ in seen} == {2}


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows(fresh, toy):
    losses = []
    for size in (8, 30, 60):
        model = prepare(fresh(), toy())
        config = replace(CONFIG, epochs=1, learning_rate=0.0, batch_size=size)
        losses += loop.optimise(model, toy(), toy(30, 2), config).losses
    assert losses == pytest.approx([losses[0]] * 3, rel=0.1)


def test_modality_dropout_hides_modalities_from_their_encoders(word_table, toy):
    units = ModalityConfig(
        "units", "pooled", 24, tuple("abcdef"), PooledSettings(hidden=16), parts=LabelParts(vad_share=0.5)
    )
    model, data = build({"audio": units, "video": units}, word_table), toy(64)
    both, heard = replace(data, inputs={"audio": data.inputs["video"], "video": data.inputs["video"]}), []
    prepare(model, both)
    encoder = model.modality("audio").encoder
    encoder.register_forward_pre_hook(lambda part, given: heard.append(len(given[0])) if part.training else None)
    for chance in (0.0, 0.5):
        loop.optimise(model, both, both, replace(CONFIG, epochs=1, modality_dropout=chance))
    plain, dropped = sum(heard[:4]), sum(heard[4:])
    assert plain == 64
    assert 40 < dropped < 56


def test_of_equal_epochs_the_last_is_the_best():
    def run(*scores):
        return Run(None, None, None, None, None, scores=list(scores))

    assert run(0.5, 0.7, 0.7, 0.6).best_epoch == 2
    assert run(0.2).best_epoch == 0
    assert [run(0.5, 0.7, 0.7, 0.6).has_waited(patience) for patience in (1, 2)] == [True, False]
    assert not run().has_waited(1)


@pytest.mark.parametrize("damage", ["text", "list", "no tensors", "half the tensors", "fewer fields"])
def test_a_damaged_run_is_told_with_the_remedy(fresh, toy, tmp_path, damage):
    train, valid = toy(30), toy(30, 2)
    config = replace(CONFIG, epochs=1)
    loop.optimise(fresh(), train, valid, config, execution=Execution(resume=tmp_path))
    state, tensors = tmp_path / "run.json", next(tmp_path.glob("run-*.safetensors"))
    if damage == "no tensors":
        tensors.unlink()
    elif damage == "half the tensors":
        tensors.write_bytes(tensors.read_bytes()[: tensors.stat().st_size // 2])
    else:
        contents = {"text": "{", "list": "[]", "fewer fields": state.read_text().replace('"order"', '"other"')}
        state.write_text(contents[damage])
    with pytest.raises(CheckpointError, match=r"cannot be resumed.*delete the folder"):
        loop.optimise(fresh(), train, valid, config, execution=Execution(resume=tmp_path))
