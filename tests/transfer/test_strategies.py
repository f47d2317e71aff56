"""Strategies of transfer: what moves, what stays, and two controls with a known answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emoembed.errors import CheckpointError, InputError
from emoembed.model import checkpoint
from emoembed.reading.rows import EmotionData
from emoembed.training.fit import untrained
from emoembed.training.loop import encode_rows, validation_score
from emoembed.training.ridge_maps import prepare
from emoembed.transfer import pathnet
from emoembed.transfer.domain import Domain
from emoembed.transfer.pathnet import SearchConfig, modular_encoder, places_of, search
from emoembed.transfer.strategies import STRATEGIES, train_sources, transfer
from emoembed.transfer.task import Budget, Task

LABELS = ("joy", "anger", "sadness")
SMALL = Budget(steps=120, learning_rate=5e-3, batch_size=16, search=SearchConfig(rounds=6, batches=5, population=6))


@pytest.fixture
def task(modular_recipe, domain):
    return Task(modular_recipe, (domain("source"),), domain("target", 60, 1), SMALL)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_gives_a_model_that_predicts_and_saves(task, strategy, tmp_path):
    result = transfer(task, strategy)
    assert result.score > 0.5
    rows = task.target.valid
    points = encode_rows(result.model, rows)["video"]
    checkpoint.save(result.model, tmp_path / "model")
    again = encode_rows(checkpoint.load(tmp_path / "model"), rows)["video"]
    torch.testing.assert_close(points, again, atol=1e-6, rtol=1e-5)
    assert bool(result.model.modality("video").calibration.thresholds.any())
    assert set(result.model.state.seen_in("video")) == set(LABELS)


def test_the_same_seed_gives_the_same_path_and_weights(task):
    first, second, other = (transfer(replace(task, budget=replace(SMALL, seed=seed)), "pathnet") for seed in (0, 0, 1))
    assert first.paths == second.paths
    assert first.paths != other.paths
    weights = second.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in first.model.state_dict().items())


@pytest.mark.parametrize("rows", [30, 120])
@pytest.mark.parametrize("extra", [False, True])
def test_all_strategies_take_the_same_steps(task, domain, rows, extra, monkeypatch):
    """The search counts, or it is additional; an epoch is no unit, so the number of rows does not matter."""
    steps, real = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *args: steps.append(1) or real(self, *args))
    budget = replace(SMALL, steps=70, search_is_extra=extra)
    task = replace(task, target=domain("target", rows, 1), budget=budget)
    task = replace(task, trained=train_sources(task))
    taken = {}
    for name in STRATEGIES:
        steps.clear()
        transfer(task, name)
        taken[name] = len(steps)
    searched = 40 if extra else 0
    expected = dict.fromkeys(STRATEGIES, 70) | {"pathnet": 70 + searched, "no-source": 70 + searched, "soup": 69}
    assert taken == expected


def test_sources_together_take_the_steps_of_one(task, domain, monkeypatch):
    steps, real = [], torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *args: steps.append(1) or real(self, *args))
    train_sources(replace(task, sources=(domain("one"), domain("two"))))
    assert len(steps) == 2 * SMALL.steps  # the joint model, and the paths


@pytest.mark.parametrize("strategy", ["scratch", "fine-tune", "random-path", "lora"])
def test_the_seed_reaches_the_first_weights(task, strategy):
    """Without a step of training, models of two seeds differ."""
    budget = replace(SMALL, steps=1, learning_rate=1e-12)
    models = [transfer(replace(task, budget=replace(budget, seed=seed)), strategy).model for seed in (0, 1)]
    first, second = (model.state_dict() for model in models)
    kind = "adapters.down" if strategy == "lora" else "encoder.layers"
    assert all(not torch.equal(first[name], second[name]) for name in first if kind in name and "bias" not in name)


def test_corpora_of_one_task_have_paths_of_their_own(task):
    """With one seed for all, the paths of source and target would begin alike."""
    budget = Budget()
    assert budget.seed_for("source") != budget.seed_for("target")
    assert budget.search_for("source").seed == budget.seed_for("source")
    paths = transfer(task, "random-path").paths
    assert paths["source"] != paths["target"]


def test_a_search_has_the_learning_rate_and_at_most_four_sevenths_of_the_steps():
    assert Budget().search_for("a").steps == 400
    assert Budget(steps=70).search_for("a").steps == 40
    assert Budget(steps=20).search_for("a").steps <= 11
    assert Budget(learning_rate=0.5, batch_size=7).search_for("a").learning_rate == 0.5
    assert Budget(learning_rate=0.5, batch_size=7).search_for("a").batch_size == 7


@pytest.mark.parametrize("strategy", ["pathnet", "random-path"])
def test_what_a_source_has_taught_its_modules_stays_when_the_target_is_trained(task, strategy):
    trained = train_sources(task)
    after = transfer(replace(task, trained=trained), strategy).model.state_dict()
    assert trained.modules
    assert [name for name, value in trained.modules.items() if not torch.equal(value, after[name])] == []


def test_lora_leaves_the_modules_of_the_source_as_they_are(task):
    trained = train_sources(task)
    result = transfer(replace(task, trained=trained), "lora")
    before, after = trained.model.state_dict(), result.model.state_dict()
    modules = [name for name in before if ".encoder.layers." in name]
    assert modules
    assert [name for name in modules if not torch.equal(before[name], after[name])] == []
    updates = [value for name, value in after.items() if ".adapters.up." in name]
    assert any(bool(update.any()) for update in updates)
    points = encode_rows(result.model, task.target.valid)["video"]
    modular_encoder(result.model, "video").adapters.strength = 0.0
    assert not torch.allclose(points, encode_rows(result.model, task.target.valid)["video"])


def test_a_linear_probe_trains_the_last_layer_alone(task):
    source_model = STRATEGIES["scratch"](replace(task, target=task.sources[0], sources=()))
    result = transfer(task, "linear-probe")
    assert result.report is not None
    assert result.report.mismatched == ()
    assert 0 < result.report.share < 1
    before, probe = train_sources(task).model.state_dict(), result.model.state_dict()
    fine = transfer(task, "fine-tune").model.state_dict()
    layers = [name for name in probe if ".encoder.layers." in name]
    assert any(not torch.equal(before[name], fine[name]) for name in layers)
    assert [name for name in layers if not torch.equal(before[name], probe[name])] == []
    assert source_model.model.state_dict().keys() == probe.keys()


def test_frozen_modules_keep_every_bit_through_a_target(task, modular_recipe):
    model = prepare(untrained(modular_recipe), task.target.train)
    encoder = modular_encoder(model, "video")
    frozen = frozenset({(0, 1), (1, 2), (2, 3)})
    before = {place: encoder.layers[place[0]][place[1]].weight.clone() for place in frozen}
    train_rows, compare = task.target.divided()
    path = search(model, "video", train_rows, compare, SMALL.search, frozen=frozen)
    assert all(torch.equal(encoder.layers[i][j].weight, before[i, j]) for i, j in frozen)
    moved = places_of(path) - frozen
    assert moved
    assert encoder.path == path


class Stop(Exception):
    """The search is stopped."""


def test_a_stopped_search_goes_on_to_the_same_path(task, modular_recipe, tmp_path, monkeypatch):
    def start():
        return prepare(untrained(modular_recipe), task.target.train)

    def keep_three(self, file, tournament):
        real(self, file, tournament)
        if tournament.rounds == 3:
            raise Stop

    rows, state = task.target.divided(), tmp_path / "state"
    whole = start()
    expected = search(whole, "video", *rows, SMALL.search)
    real = pathnet._PathTrainer.keep
    with monkeypatch.context() as patched:
        patched.setattr(pathnet._PathTrainer, "keep", keep_three)
        with pytest.raises(Stop):
            search(start(), "video", *rows, SMALL.search, state=state)
    resumed = start()
    assert search(resumed, "video", *rows, SMALL.search, state=state) == expected
    weights = whole.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in resumed.state_dict().items())
    with pytest.raises(CheckpointError, match="belongs to a search on other rows"):
        search(start(), "video", *reversed(rows), SMALL.search, state=state)


def parity(name, rows, seed, columns):
    """Rows whose label is the sign of a product of three columns, which only a network with hidden units can learn."""
    values = np.random.default_rng(seed).standard_normal((rows, 8))
    true = (np.sign(values[:, columns]).prod(axis=1) > 0).astype(int)
    store = {f"{name}-{i}": values[i : i + 1].astype(np.float32) for i in range(rows)}
    targets = np.eye(2, dtype=np.float32)[true]
    data = EmotionData(tuple(store), {"video": store}, ("joy", "anger"), targets, np.zeros(rows, bool))
    part = rows * 3 // 4
    speakers = {row: f"{name}-s{i % 8}" for i, row in enumerate(store)}
    return Domain(name, data.rows(np.arange(part)), data.rows(np.arange(part, rows)), speakers)


@pytest.fixture
def control(modular_recipe):
    """`control(source columns)`: parity of columns 0 to 2 with few rows, from a source of parity with many."""
    modality = modular_recipe.modalities["video"].with_settings(layers=2, width=16, path=((0, 1),) * 2)
    recipe = replace(modular_recipe, modalities={"video": modality})
    search_config = SearchConfig(rounds=200, batches=2, population=10)
    budget = Budget(steps=1600, learning_rate=5e-3, batch_size=64, search=search_config)

    def make(columns, rows=240):
        return Task(recipe, (parity("source", 3000, 1, columns),), parity("target", rows, 2, [0, 1, 2]), budget)

    return make


def test_modules_that_the_target_needs_are_used_again_and_win(control):
    """The positive control: source and target share all modules."""
    task, test = control([0, 1, 2]), parity("test", 2000, 3, [0, 1, 2]).train
    carried, alone = transfer(task, "pathnet"), transfer(task, "no-source")
    source, target = (places_of(carried.paths[name]) for name in ("source", "target"))
    assert len(source & target) / len(target) >= 0.8
    assert validation_score(carried.model, test) > validation_score(alone.model, test) + 0.2


def test_an_unrelated_source_costs_little(control):
    """The negative control: the source's modules are of no use."""
    task = control([3, 4, 5], rows=600)
    test = parity("test", 2000, 3, [0, 1, 2]).train
    losses = []
    for seed in range(2):
        seeded = replace(task, budget=replace(task.budget, search_is_extra=True, seed=seed))
        carried, alone = transfer(seeded, "pathnet"), transfer(seeded, "scratch")
        losses.append(validation_score(alone.model, test) - validation_score(carried.model, test))
    assert sum(losses) / len(losses) < 0.02


def test_wrong_tasks_are_refused(task, modular_recipe):
    with pytest.raises(InputError, match="there is no strategy 'magic'; choose from scratch"):
        transfer(task, "magic")
    with pytest.raises(InputError, match="needs a source corpus"):
        transfer(replace(task, sources=()), "fine-tune")
    with pytest.raises(InputError, match="two corpora have the same name: target, target"):
        replace(task, sources=(task.target,))
    with pytest.raises(InputError, match="the recipe has no video"):
        replace(task, recipe=replace(modular_recipe, modalities={}))
    narrow = modular_recipe.modalities["video"]
    narrow = replace(modular_recipe, modalities={"video": replace(narrow, columns=narrow.columns[:5])})
    with pytest.raises(InputError, match="source has rows of 8 columns, and the recipe has 5; read all corpora with"):
        replace(task, recipe=narrow)
    both = modular_recipe.modalities["video"].with_settings(summary="moments")
    both = replace(modular_recipe, modalities={"video": replace(both, columns=both.columns[:4])})
    assert replace(task, recipe=both).recipe.modalities == both.modalities, "8 statistics of 4 columns"
    frames = EmotionData(
        task.target.train.ids,
        {"video": {row: array[:, :4] for row, array in task.target.train.inputs["video"].items()}},
        *(getattr(task.target.train, name) for name in ("labels", "targets", "multi_label")),
    )
    with pytest.raises(InputError, match=r"source 8, target 4 and 8; use Domain\.summarised for all"):
        replace(task, recipe=both, target=replace(task.target, train=frames))
    with pytest.raises(InputError, match="the speaker of 'target-0' is not given"):
        replace(task.target, speakers={})
    target = replace(task.target, speakers=dict.fromkeys(task.target.speakers, "s"))
    with pytest.raises(InputError, match="at least two training speakers; target has one"):
        transfer(replace(task, target=target), "pathnet")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1; given 0"),
        ({"steps": -3}, "steps must be a whole number of at least 1; given -3"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0, such as 0.001; given nan"),
        ({"learning_rate": "fast"}, "learning_rate must be a number above 0"),
    ],
)
def test_wrong_budgets_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        replace(SMALL, **change)


def test_a_soup_of_one_step_is_trained(task):
    assert transfer(replace(task, budget=replace(SMALL, steps=1)), "soup").score >= 0


def test_shares_are_nested_and_keep_every_label(domain):
    whole = domain("corpus", 300)
    small, large = whole.share_of(0.1), whole.share_of(0.5)
    assert set(small.train.ids) < set(large.train.ids) < set(whole.train.ids)
    assert (small.train.targets.sum(axis=0) >= 2).all()
    assert len(small.train) == pytest.approx(0.1 * len(whole.train), abs=4)
