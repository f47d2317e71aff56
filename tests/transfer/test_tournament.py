import numpy as np
import pytest

from emoembed.errors import CheckpointError, InputError, TrainingError
from emoembed.transfer.tournament import Tournament, TournamentConfig, mutated, random_path

CONFIG = TournamentConfig(rounds=400, population=16)


def overlap(path):
    """Fitness of a path: how many of its modules are the first three of their layer."""
    return sum(module < 3 for layer in path for module in layer) / 9


def untrained(path):
    """Training that changes nothing."""


def test_paths_evolve_towards_fitness():
    tournament = Tournament.start(CONFIG)
    before = np.mean([overlap(path) for path in tournament.paths])
    best = tournament.run(untrained, overlap)
    assert tournament.rounds == 400
    assert overlap(best) > 0.85 > before
    assert best == tournament.best


def test_the_same_seed_gives_the_same_path():
    first, second, other = (
        Tournament.start(TournamentConfig(rounds=30, seed=seed)).run(untrained, overlap) for seed in (0, 0, 1)
    )
    assert first == second
    assert first != other


def test_a_loser_is_replaced_by_a_mutated_winner():
    config = TournamentConfig(population=2, rounds=1)
    tournament = Tournament.start(config)
    first, second = tournament.paths
    scores = {first: 1.0, second: 0.5}
    tournament.play(untrained, scores.__getitem__)
    assert first in tournament.paths
    assert second not in tournament.paths
    changes = [set(a) ^ set(b) for a, b in zip(*tournament.paths, strict=True)]
    assert sum(map(len, changes)) <= 2 * config.layers * config.active
    assert sorted(tournament.fitness, key=str) == [1.0, None]


def test_both_paths_are_trained_before_one_is_scored():
    """Training the second path improves what both share, so both must be scored after it."""
    trained = []
    tournament = Tournament.start(TournamentConfig(population=2, rounds=1))
    tournament.play(trained.append, lambda path: float(len(trained)))
    assert [fitness for fitness in tournament.fitness if fitness is not None] == [2.0]


def test_the_best_path_is_the_best_at_the_end():
    trained = []
    config = TournamentConfig(population=4, rounds=12)
    tournament = Tournament.start(config)
    best = tournament.run(trained.append, lambda path: -overlap(path) if len(trained) == 24 else overlap(path))
    compared = [path for path, fitness in zip(tournament.paths, tournament.fitness, strict=True) if fitness is not None]
    assert overlap(best) == min(map(overlap, compared))


def test_a_fitness_that_is_no_number_is_refused():
    with pytest.raises(TrainingError, match="not a finite number; lower the learning rate"):
        Tournament.start(CONFIG).run(untrained, lambda path: float("nan"))


def test_mutation_moves_one_gene_in_nine_by_at_most_two():
    generator = np.random.default_rng(0)
    path = ((0, 4, 8), (1, 5, 9), (2, 5, 7))
    moved = 0
    for _ in range(2000):
        new = mutated(path, CONFIG, generator)
        assert all(len(set(layer)) == 3 and list(layer) == sorted(layer) for layer in new)
        assert all(0 <= module < 10 for layer in new for module in layer)
        moved += sum(len(set(a) - set(b)) for a, b in zip(path, new, strict=True))
    # a gene mutates with probability 1/9 and stays with probability 1/5 of these
    assert moved / 2000 == pytest.approx(9 * (1 / 9) * (4 / 5), abs=0.08)


def test_random_paths_use_all_modules_alike():
    generator = np.random.default_rng(0)
    counts = np.zeros(10)
    for _ in range(1000):
        for layer in random_path(CONFIG, generator):
            assert len(set(layer)) == 3
            counts[list(layer)] += 1
    assert counts / counts.sum() == pytest.approx(np.full(10, 0.1), abs=0.01)


def test_a_stopped_tournament_goes_on_to_the_same_path():
    whole = Tournament.start(CONFIG)
    expected = whole.run(untrained, overlap)
    stopped = Tournament.start(CONFIG)
    for _ in range(150):
        stopped.play(untrained, overlap)
    again = Tournament.from_json(stopped.to_json(), CONFIG)
    assert again.rounds == 150
    assert again.run(untrained, overlap) == expected
    assert again.paths == whole.paths


def test_a_state_of_other_settings_or_a_damaged_one_is_refused():
    state = Tournament.start(CONFIG).to_json()
    with pytest.raises(CheckpointError, match="other settings"):
        Tournament.from_json(state, TournamentConfig(seed=9))
    with pytest.raises(CheckpointError, match="not the state of a tournament"):
        Tournament.from_json("{", CONFIG)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"population": 1}, "at least 2 paths"), ({"active": 11}, "active <= modules"), ({"rounds": 0}, "at least 1")],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        TournamentConfig(**settings)
