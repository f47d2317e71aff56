from dataclasses import replace

import numpy as np
import pytest
import torch

from emoembed.encoders.pooled import PooledSettings
from emoembed.errors import InputError
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.reading.rows import join
from emoembed.training import loop
from emoembed.training.build import build
from emoembed.training.objective import LabelPrior, Objective, Teacher, label_loss
from emoembed.training.ridge_maps import prepare

CONFIG = loop.TrainConfig(epochs=3, batch_size=16, learning_rate=0.02, bf16=False, stay_close=0.0)


@pytest.fixture
def setting(word_table, toy):
    units = ModalityConfig(
        "units", "pooled", 24, tuple("abcdef"), PooledSettings(hidden=16), parts=LabelParts(vad_share=0.5)
    )
    return build({"video": units}, word_table), toy(30)


def objective(setting, **changes):
    model, data = setting
    return Objective(model, data, replace(CONFIG, **changes))


def points_of(setting):
    model, data = setting
    return {"video": model.label_points(data.labels)["video"][data.targets.argmax(axis=1)].detach()}


def test_a_row_between_two_labels_counts():
    logits, between = torch.randn(2, 3), torch.tensor([[0.6, 0.4, 0.0]]).repeat(2, 1)
    loss = label_loss(logits, between, torch.zeros(2).bool().numpy(), torch.ones(2), CONFIG)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, between))


@pytest.mark.parametrize("changes", [{"pull": 1.0}, {"balance": 0.5}, {"label_smoothing": 0.1}])
def test_rows_that_lack_a_modality_leave_every_gradient_finite(changes, word_table, toy):
    units = ModalityConfig(
        "units", "pooled", 24, tuple("abcdef"), PooledSettings(hidden=16), parts=LabelParts(vad_share=0.5)
    )
    model, data = build({"audio": units, "video": units}, word_table), toy(30)
    loss_function = Objective(model, data, replace(CONFIG, **changes))
    items = model.label_points(data.labels)["video"][data.targets.argmax(axis=1)].detach()
    points = {"audio": items.clone(), "video": items.clone()}
    points["audio"][:5], points["video"][5:12] = torch.nan, torch.nan
    points = {name: one.requires_grad_(True) for name, one in points.items()}
    loss_function(points, np.arange(30)).backward()
    for parameter in (*points.values(), *model.label_parameters()):
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert points["video"].grad[12:].abs().sum() > 0


@pytest.mark.parametrize("changes", [{"pull": 1.0}, {"balance": 0.5}, {"label_smoothing": 0.1}])
def test_every_choice_still_learns(setting, toy, changes):
    model, data = setting
    prepare(model, data)
    history = loop.optimise(model, toy(90, 1), toy(60, 2), replace(CONFIG, epochs=12, **changes))
    assert max(history.scores) > 0.9


def test_locked_labels_stay(setting, toy):
    model, data = setting
    before = model.label_points(data.labels)["video"].clone()
    prepare(model, data)
    loop.optimise(model, data, toy(30, 2), replace(CONFIG, lock_labels=True))
    torch.testing.assert_close(model.label_points(data.labels)["video"], before)
    loop.optimise(model, data, toy(30, 2), CONFIG)  # locked once is not locked for ever
    assert not torch.allclose(model.label_points(data.labels)["video"], before, atol=1e-3)


def random_items(rows, seed=0):
    return torch.nn.functional.normalize(torch.randn(rows, 24, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_balance_lets_every_label_count_alike(setting):
    model, data = setting
    data = data.rows(np.array([*range(0, 30, 3), *range(1, 13, 3), 2]))  # ten of one label, four of another, one
    points, rows = {"video": random_items(15)}, np.arange(15)
    plain, half, whole = (objective((model, data), balance=share)(points, rows) for share in (0.0, 0.5, 1.0))
    logits = model.score(points, model.label_points(data.labels))["video"]
    each = torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.targets), reduction="none")
    torch.testing.assert_close(plain, each.mean())
    by_label = torch.stack([each[torch.from_numpy(column == 1)].mean() for column in data.targets.T])
    torch.testing.assert_close(whole, by_label.mean())
    assert min(plain, whole) < half < max(plain, whole)


def test_positives_weigh_by_how_far_negatives_outnumber_them(setting):
    model, data = setting
    data = data.rows(np.array([*range(0, 30, 3), *range(1, 13, 3), 2]))
    data = replace(data, multi_label=np.ones(15, bool))
    points = {"video": random_items(15)}
    loss = objective((model, data), positive_weight=True)(points, np.arange(15))
    logits = model.score(points, model.label_points(data.labels))["video"]
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(data.targets), pos_weight=torch.tensor([5 / 10, 11 / 4, 14 / 1]), reduction="none"
    )
    torch.testing.assert_close(loss, each.sum(dim=1).mean() / 4)


def test_a_row_counts_alike_however_few_of_its_labels_were_annotated():
    targets = torch.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, torch.nan, torch.nan, torch.nan]])
    whole, part = (label_loss(torch.zeros(1, 4), row[None], np.ones(1, bool), torch.ones(1), CONFIG) for row in targets)
    torch.testing.assert_close(whole, part)


def test_smoothing_goes_to_the_labels_asked_for_alone():
    logits, targets = torch.randn(4, 3), torch.tensor([[1.0, 0.0, torch.nan]]).repeat(4, 1)
    smoothed = replace(CONFIG, label_smoothing=0.2)
    loss = label_loss(logits, targets, np.zeros(4, bool), torch.ones(4), smoothed)
    first = torch.zeros(4, dtype=torch.long)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits[:, :2], first, label_smoothing=0.2))


def test_each_modality_and_their_fusion_learn_from_the_rows_that_have_them(word_table, toy):
    units = ModalityConfig(
        "units", "pooled", 24, tuple("abcdef"), PooledSettings(hidden=16), parts=LabelParts(vad_share=0.5)
    )
    model, data = build({"audio": units, "video": units}, word_table), toy(30)
    points, targets = {"audio": random_items(30), "video": random_items(30, 1)}, torch.from_numpy(data.targets)
    points["audio"][:10] = torch.nan
    loss = objective((model, data))(points, np.arange(30))
    logits = model.score(points, model.label_points(data.labels))
    entropy = torch.nn.functional.cross_entropy
    alone = entropy(logits["audio"][10:], targets[10:]) + entropy(logits["video"], targets)
    torch.testing.assert_close(loss, alone + entropy(model.fuse(logits), targets))


def test_moved_label_projections_cost_what_is_asked(setting):
    model, data = setting
    points, rows = {"video": random_items(15)}, np.arange(15)
    assert model.drift() == 0.0
    torch.nn.init.normal_(model.modality("video").projection.weight, std=0.3)
    cost = objective((model, data), stay_close=2.0)(points, rows) - objective((model, data))(points, rows)
    torch.testing.assert_close(cost, 2 * model.drift())
    assert model.drift() > 0.1


def test_a_row_of_several_labels_shares_one_question():
    logits, labels = torch.randn(2, 3), torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    loss = label_loss(logits, labels, np.zeros(2, bool), torch.ones(2), CONFIG)
    expected = torch.nn.functional.cross_entropy(logits, labels / labels.sum(dim=1, keepdim=True))
    torch.testing.assert_close(loss, expected)


def test_one_question_asks_multi_label_rows_by_cross_entropy(setting):
    model, data = setting
    several = replace(data, multi_label=np.ones(len(data), bool))
    points, rows = points_of(setting), np.arange(len(data))
    losses = []
    for data_, one_question in ((data, False), (several, True), (several, False)):
        loss = Objective(model, data_, replace(CONFIG, one_question=one_question))
        losses.append(loss({"video": points["video"]}, rows).item())
    assert losses[0] == pytest.approx(losses[1])
    assert losses[2] != pytest.approx(losses[1], rel=1e-3)


def test_adjusted_logits_hold_the_frequency_in_the_row_s_own_corpus(setting):
    _, data = setting
    rare = data.rows(np.flatnonzero(data.targets[:, 0] == 1)[:2])
    often = data.rows(np.flatnonzero(data.targets[:, 0] != 1))
    other = replace(rare, ids=tuple(f"other/{i}" for i in range(len(rare))))
    joined = join(
        [replace(rare, ids=("one/a", "one/b")), replace(often, ids=tuple(f"one/{i}" for i in often.ids)), other]
    )
    prior = LabelPrior(joined)(np.array([0, len(joined) - 1]))
    counts = np.nansum(joined.targets[:-2], axis=0) + 1
    torch.testing.assert_close(prior[0], torch.from_numpy(np.log(counts / counts.sum())).float())
    assert prior[1].argmax() == 0


def teacher_of(setting, ids):
    """A teacher that places items and names where the model does, in a space of more dimensions."""
    model, data = setting
    names = ("joy", "awe", "envy", "calm")
    turn = torch.linalg.qr(torch.randn(40, 40, generator=torch.Generator().manual_seed(0)))[0][:24]
    points = dict(zip(data.ids, (points_of(setting)["video"] @ turn).numpy(), strict=True))
    return Teacher(
        "video", {row: points[row] for row in ids}, names, model.label_points(names)["video"].detach() @ turn
    )


def test_a_teacher_adds_nothing_where_the_model_answers_as_it_does(setting):
    model, data = setting
    rows = np.arange(30)
    plain = objective(setting)(points_of(setting), rows)
    taught = Objective(model, data, replace(CONFIG, imitate=3.0, lock_labels=True), teacher_of(setting, data.ids))
    torch.testing.assert_close(taught(points_of(setting), rows), plain, atol=1e-4, rtol=0)
    shuffled = {"video": points_of(setting)["video"].roll(1, dims=0)}
    assert taught(shuffled, rows) > objective(setting)(shuffled, rows) + 0.1
    unheard = Objective(model, data, CONFIG, teacher_of(setting, data.ids))
    torch.testing.assert_close(unheard(shuffled, rows), objective(setting)(shuffled, rows))


def test_training_moves_items_to_where_a_teacher_has_them(setting):
    model, data = setting
    prepare(model, data)
    teacher, config = teacher_of(setting, data.ids), replace(CONFIG, imitate=1.0, epochs=20, lock_labels=True)

    def distance():
        model.eval()
        with torch.no_grad():
            return Objective(model, data, config, teacher).imitation(loop.encode_rows(model, data), np.arange(30))

    before = distance()
    without_labels = replace(data, targets=np.full_like(data.targets, np.nan))
    loop.optimise(model, without_labels, data, config, teacher=teacher)
    assert distance() < 0.85 * before


def test_rows_that_lack_the_modality_learn_nothing_from_the_teacher(setting):
    model, data = setting
    loss_function = Objective(
        model, data, replace(CONFIG, imitate=3.0, lock_labels=True), teacher_of(setting, data.ids)
    )
    points = {"video": points_of(setting)["video"].requires_grad_(True)}
    lacking = {"video": torch.where(torch.arange(30)[:, None] < 4, torch.nan, points["video"])}
    loss_function.imitation(lacking, np.arange(30)).backward()
    assert points["video"].grad.isfinite().all()
    nothing = {"video": torch.full_like(points["video"], torch.nan)}
    assert loss_function.imitation(nothing, np.arange(30)) == 0


@pytest.mark.parametrize("lacking", ["teacher", "lock_labels"])
def test_imitation_needs_a_teacher_and_locked_labels(setting, lacking):
    model, data = setting
    teacher = None if lacking == "teacher" else teacher_of(setting, data.ids)
    config = replace(CONFIG, imitate=1.0, lock_labels=lacking != "lock_labels")
    with pytest.raises(InputError, match=r"imitate=1\.0 needs a teacher, and lock_labels=True"):
        Objective(model, data, config, teacher)


def test_a_row_that_the_teacher_does_not_know_is_named(setting):
    model, data = setting
    with pytest.raises(InputError, match=f"no point for 2 of 30 training rows, such as '{data.ids[0]}'"):
        Objective(model, data, replace(CONFIG, imitate=1.0, lock_labels=True), teacher_of(setting, data.ids[2:]))
