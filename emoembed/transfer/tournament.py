"""Evolve paths through modules by tournaments (PathNet, Fernando et al. 2017). This file contains no networks."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from emoembed.encoders.modular import Path
from emoembed.errors import CheckpointError, InputError, TrainingError


@dataclass(frozen=True)
class TournamentConfig:
    """Geometry of the paths, and settings of the tournaments."""

    layers: int = 3
    modules: int = 10
    active: int = 3
    population: int = 20
    rounds: int = 40
    """Tournaments. Each trains and compares two paths."""
    shift: int = 2
    """A mutated gene moves by at most this many modules, around the end of the layer."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.population < 2:
            raise InputError(f"a tournament needs a population of at least 2 paths; given {self.population}")
        if not 1 <= self.active <= self.modules or self.layers < 1 or self.rounds < 1 or self.shift < 1:
            raise InputError(
                f"give layers, rounds and shift of at least 1, and 1 <= active <= modules; given {asdict(self)}"
            )


@dataclass
class Tournament:
    """A population of paths, and the state of its evolution.

    Args:
        config: the settings.

    Attributes:
        paths: the population.
        fitness: fitness of each path at its last comparison; None before the first.
        rounds: number of tournaments so far.
    """

    config: TournamentConfig
    paths: list[Path]
    fitness: list[float | None]
    rounds: int
    generator: np.random.Generator

    @classmethod
    def start(cls, config: TournamentConfig) -> Tournament:
        """A random population. The same seed gives the same paths."""
        generator = np.random.default_rng(config.seed)
        paths = [random_path(config, generator) for _ in range(config.population)]
        return cls(config, paths, [None] * config.population, 0, generator)

    @property
    def best(self) -> Path:
        """The path with the highest fitness."""
        compared = [i for i, fitness in enumerate(self.fitness) if fitness is not None]
        return self.paths[max(compared, key=self._fitness_of)] if compared else self.paths[0]

    def play(self, train: Callable[[Path], None], score: Callable[[Path], float]) -> None:
        """One tournament: train two paths, compare them, and replace the loser by a mutated copy of the winner.

        Args:
            train: trains the modules of a path for some batches. Paths may share what they train, so both are trained
                before one is scored.
            score: returns the fitness of a path. Higher is better.

        Raises:
            TrainingError: a fitness is not finite.
        """
        first, second = map(int, self.generator.choice(len(self.paths), size=2, replace=False))
        for i in (first, second):
            train(self.paths[i])
        for i in (first, second):
            self.fitness[i] = _finite(score(self.paths[i]))
        winner, loser = sorted((first, second), key=self._fitness_of, reverse=True)
        self.paths[loser] = mutated(self.paths[winner], self.config, self.generator)
        self.fitness[loser] = None
        self.rounds += 1

    def run(
        self,
        train: Callable[[Path], None],
        score: Callable[[Path], float],
        after_round: Callable[[Tournament], None] | None = None,
    ) -> Path:
        """Play the remaining rounds, score all trained paths once more, and return the best.

        The paths are scored again at the end, because modules that paths share are trained further after a comparison.

        Args:
            train, score: as in `play`.
            after_round: may save the state or show progress.
        """
        while self.rounds < self.config.rounds:
            self.play(train, score)
            if after_round is not None:
                after_round(self)
        self.fitness = [
            None if before is None else _finite(score(path))
            for path, before in zip(self.paths, self.fitness, strict=True)
        ]
        return self.best

    def _fitness_of(self, i: int) -> float:
        fitness = self.fitness[i]
        return -math.inf if fitness is None else fitness

    def to_json(self) -> str:
        """The state as JSON."""
        return json.dumps(
            {
                "config": asdict(self.config),
                "paths": self.paths,
                "fitness": self.fitness,
                "rounds": self.rounds,
                "generator": self.generator.bit_generator.state,
            }
        )

    @classmethod
    def from_json(cls, text: str, config: TournamentConfig) -> Tournament:
        """The tournament from the result of `to_json`.

        Raises:
            CheckpointError: the text is damaged, or of a tournament with other settings.
        """
        try:
            state = json.loads(text)
            if state["config"] != asdict(config):
                raise CheckpointError("the saved tournament has other settings; delete its file to start again")
            paths = [tuple(tuple(map(int, layer)) for layer in path) for path in state["paths"]]
            generator = np.random.default_rng()
            generator.bit_generator.state = state["generator"]
            return cls(config, paths, list(state["fitness"]), int(state["rounds"]), generator)
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError("this is not the state of a tournament; delete its file to start again") from error


def _finite(fitness: float) -> float:
    if not math.isfinite(fitness):
        raise TrainingError("the fitness of a path is not a finite number; lower the learning rate of the search")
    return float(fitness)


def random_path(config: TournamentConfig, generator: np.random.Generator) -> Path:
    """Different modules in each layer, in ascending order."""
    return tuple(
        tuple(sorted(map(int, generator.choice(config.modules, size=config.active, replace=False))))
        for _ in range(config.layers)
    )


def mutated(path: Path, config: TournamentConfig, generator: np.random.Generator) -> Path:
    """A copy in which each gene moves with probability 1 / (layers x active). No module occurs twice in a layer.

    A gene that would repeat a module of its layer moves on to the next free one.
    """
    chance = 1.0 / (config.layers * config.active)
    layers = []
    for layer in path:
        genes = list(layer)
        for i in range(len(genes)):
            if generator.random() >= chance:
                continue
            step = int(generator.integers(-config.shift, config.shift + 1))
            gene = (genes[i] + step) % config.modules
            others = {*genes[:i], *genes[i + 1 :]}
            while gene in others:
                gene = (gene + 1) % config.modules
            genes[i] = gene
        layers.append(tuple(sorted(genes)))
    return tuple(layers)
