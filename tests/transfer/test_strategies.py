"""Strategies of transfer: what moves, what stays, and two controls with a known answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emoembed.encoders.modular import ModularSettings
from emoembed.errors import InputError
from emoembed.labels.projections import LabelParts
from emoembed.model import checkpoint
from emoembed.model.config import ModalityConfig
from emoembed.reading.rows import EmotionData
from emoembed.training.config import TrainConfig
from emoembed.training.loop import encode_rows
from emoembed.training.recipes import Recipe
from emoembed.transfer.domain import Domain
from emoembed.transfer.pathnet import SearchConfig, modular_encoder, places_of, search
from emoembed.transfer.strategies import STRATEGIES, Budget, Task, transfer

LABELS = ("joy", "anger", "sadness")
COLUMNS = tuple("abcdefgh")
SMALL = Budget(steps=120, learning_rate=5e-3, batch_size=16, search=SearchConfig(rounds=6, batches=5, population=6))


@pytest.fixture
def recipe(word_table):
    settings = ModularSettings(modules=6, active=2, width=12, dropout=0.0)
    modality = ModalityConfig("units", "modular", 24, COLUMNS, settings, LabelParts(vad_share=0.5))
    return Recipe({"video": modality}, word_table, TrainConfig(bf16=False))


def domain(name, rows=120, seed=0, kind=0, noise=0.5):
    """Rows whose label is a fixed function of eight columns; another `kind` is another function."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(100 + kind).standard_normal((len(LABELS), 2, len(COLUMNS))) * 1.5
    true = generator.integers(len(LABELS), size=rows)
    side = generator.integers(2, size=rows)
    values = centres[true, side] + noise * generator.standard_normal((rows, len(COLUMNS)))
    store = {f"{name}-{i}": values[i : i + 1].astype(np.float32) for i in range(rows)}
    data = EmotionData(tuple(store), {"video": store}, LABELS, np.eye(3, dtype=np.float32)[true], np.zeros(rows, bool))
    half = rows * 2 // 3
    speakers = {row: f"{name}-s{i % 6}" for i, row in enumerate(store)}
    return Domain(name, data.rows(np.arange(half)), data.rows(np.arange(half, rows)), speakers)


@pytest.fixture
def task(recipe):
    return Task(recipe, (domain("source"),), domain("target", 60, 1), SMALL)


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


def test_a_linear_probe_trains_the_last_layer_alone(task):
    source_model = STRATEGIES["scratch"](replace(task, target=task.sources[0], sources=()))
    result = transfer(task, "linear-probe")
    assert result.report is not None
    assert result.report.mismatched == ()
    assert 0 < result.report.share < 1
    layers = [name for name in result.model.state_dict() if ".encoder.layers." in name]
    fine = transfer(task, "fine-tune").model.state_dict()
    probe = result.model.state_dict()
    assert any(not torch.equal(fine[name], probe[name]) for name in layers)
    assert source_model.model.state_dict().keys() == probe.keys()


def test_frozen_modules_keep_every_bit_through_a_target(task, recipe):
    from emoembed.training.fit import untrained
    from emoembed.training.ridge_maps import prepare

    model = prepare(untrained(recipe), task.target.train)
    encoder = modular_encoder(model, "video")
    frozen = frozenset({(0, 1), (1, 2), (2, 3)})
    before = {place: encoder.layers[place[0]][place[1]].weight.clone() for place in frozen}
    train_rows, compare = task.target.divided()
    path = search(model, "video", train_rows, compare, SMALL.search, frozen=frozen)
    assert all(torch.equal(encoder.layers[i][j].weight, before[i, j]) for i, j in frozen)
    moved = places_of(path) - frozen
    assert moved
    assert encoder.path == path


def test_a_stopped_search_goes_on_to_the_same_path(task, recipe, tmp_path):
    from emoembed.training.fit import untrained
    from emoembed.training.ridge_maps import prepare

    def start():
        return prepare(untrained(recipe), task.target.train)

    rows = task.target.divided()
    whole = start()
    expected = search(whole, "video", *rows, SMALL.search)
    state = tmp_path / "search"
    search(start(), "video", *rows, replace(SMALL.search, rounds=3), state=None)
    stopped = start()
    tournament_state = tmp_path / "state"

    class Stop(Exception):
        pass

    from emoembed.transfer import pathnet

    real = pathnet._PathTrainer.keep

    def keep_three(self, file, tournament):
        real(self, file, tournament)
        if tournament.rounds == 3:
            raise Stop

    pathnet._PathTrainer.keep = keep_three
    try:
        with pytest.raises(Stop):
            search(stopped, "video", *rows, SMALL.search, state=tournament_state)
    finally:
        pathnet._PathTrainer.keep = real
    resumed = start()
    assert search(resumed, "video", *rows, SMALL.search, state=tournament_state) == expected
    weights = whole.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in resumed.state_dict().items())
    assert not state.exists()


def test_wrong_tasks_are_refused(task, recipe):
    with pytest.raises(InputError, match="there is no strategy 'magic'; choose from scratch"):
        transfer(task, "magic")
    with pytest.raises(InputError, match="needs a source corpus"):
        transfer(replace(task, sources=()), "fine-tune")
    one = replace(task.target, speakers=dict.fromkeys(task.target.train.ids, "s"))
    with pytest.raises(InputError, match="at least two training speakers; target has one"):
        transfer(replace(task, target=one), "pathnet")


def test_shares_are_nested_and_keep_every_label():
    whole = domain("corpus", 300)
    small, large = whole.share_of(0.1), whole.share_of(0.5)
    assert set(small.train.ids) < set(large.train.ids) < set(whole.train.ids)
    assert (small.train.targets.sum(axis=0) >= 2).all()
    assert len(small.train) == pytest.approx(0.1 * len(whole.train), abs=4)
