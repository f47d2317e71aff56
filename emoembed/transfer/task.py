"""The input and the result of a strategy of transfer."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real

import numpy as np
from torch import Tensor

from emoembed.encoders.modular import ModularSettings, Path
from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.recipes import Recipe
from emoembed.transfer.domain import Domain
from emoembed.transfer.pathnet import SearchConfig
from emoembed.transfer.spec import TransferReport

VALIDATIONS = 20
"""Number of times that a strategy scores the validation rows to choose the best epoch."""


@dataclass(frozen=True)
class Budget:
    """Training steps and learning rate of a strategy.

    Attributes:
        steps: steps on the target. The sources together have as many.
        search: settings of the search of a path. It has the learning rate, batch size and seed of the budget, and takes
            at most 4/7 of the steps.
        search_is_extra: whether the steps of the search are additional. By default they are a part of `steps`.
    """

    steps: int = 700
    learning_rate: float = 1e-3
    batch_size: int = 32
    seed: int = 0
    search: SearchConfig = field(default_factory=SearchConfig)
    search_is_extra: bool = False

    def __post_init__(self) -> None:
        whole = {"steps": (self.steps, 1), "batch_size": (self.batch_size, 2), "seed": (self.seed, 0)}
        for name, (value, least) in whole.items():
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise InputError(f"{name} must be a whole number of at least {least}; given {value!r:.40}")
        if not isinstance(self.learning_rate, Real) or not 0 < float(self.learning_rate) < math.inf:
            raise InputError(f"learning_rate must be a number above 0, such as 0.001; given {self.learning_rate!r:.40}")

    def search_for(self, name: str) -> SearchConfig:
        """Settings of the search for a corpus. Each corpus has its own random paths."""
        search = replace(
            self.search, learning_rate=self.learning_rate, batch_size=self.batch_size, seed=self.seed_for(name)
        )
        return search.within(4 * self.steps // 7)

    def seed_for(self, name: str) -> int:
        """The seed of the weights and paths of a corpus."""
        return int(np.random.SeedSequence([self.seed, zlib.crc32(name.encode())]).generate_state(1)[0])


@dataclass(frozen=True)
class TrainedSources:
    """The source models that strategies start from.

    Attributes:
        model: the model of the sources together.
        modules: name -> weight of the modules of the sources' paths.
        paths: source -> its path.
    """

    model: EmotionModel
    modules: Mapping[str, Tensor]
    paths: Mapping[str, Path]


@dataclass(frozen=True)
class Task:
    """A transfer: the source domains, the target domain, the recipe and the budget.

    Attributes:
        recipe: recipe of the target, with an encoder of modules. All strategies use it, with the seed of the budget.
        sources: the source domains, in order.
        target: the target domain.
        trained: source models that were trained before, for many targets; by default they are trained for this task.
    """

    recipe: Recipe
    sources: Sequence[Domain]
    target: Domain
    budget: Budget = field(default_factory=Budget)
    execution: Execution = field(default_factory=Execution)
    trained: TrainedSources | None = None

    def __post_init__(self) -> None:
        names = [domain.name for domain in (*self.sources, self.target)]
        if len(set(names)) < len(names):
            raise InputError(f"two corpora have the same name: {', '.join(names)}; rename one")
        others = [source for source in self.sources if source.modality != self.modality]
        if others:
            raise InputError(
                f"{others[0].name} has {others[0].modality} and {self.target.name} has {self.modality}; transfer "
                "needs the same modality in all corpora"
            )
        if self.modality not in self.recipe.modalities:
            raise InputError(f"the recipe has no {self.modality}; it has {', '.join(self.recipe.modalities)}")
        self._require_columns()
        seeded = replace(self.recipe, config=replace(self.recipe.config, seed=self.budget.seed))
        object.__setattr__(self, "recipe", seeded)

    def _require_columns(self) -> None:
        """Raise InputError unless the rows of all domains are frames of the recipe, or all are their statistics.

        Statistics come from `Domain.summarised`.
        """
        modality = self.recipe.modalities[self.modality]
        settings, frames = modality.settings, len(modality.columns)
        if not isinstance(settings, ModularSettings):
            return
        statistics = settings.features_dim(frames)
        columns = {domain.name: domain.columns for domain in (*self.sources, self.target)}
        for name, widths in columns.items():
            wrong = widths - {frames, statistics}
            if wrong:
                raise InputError(
                    f"{name} has rows of {min(wrong)} columns, and the recipe has {frames}; read all corpora with "
                    "the same features, and name their columns in the recipe"
                )
        if len(frozenset().union(*columns.values())) > 1:
            counts = ", ".join(f"{name} {' and '.join(map(str, sorted(found)))}" for name, found in columns.items())
            raise InputError(
                f"the corpora have rows of different numbers of columns: {counts}; use Domain.summarised for all "
                "domains or for none"
            )

    def config(self, steps: int | None = None, validations: int = VALIDATIONS) -> TrainConfig:
        """Training settings for a number of steps; by default, for those of the budget."""
        steps = max(1, self.budget.steps if steps is None else steps)
        epochs = max(1, min(validations, steps))
        return replace(
            self.recipe.config,
            epochs=epochs,
            steps=steps,
            patience=epochs,
            batch_size=self.budget.batch_size,
            learning_rate=self.budget.learning_rate,
            pull=1.0,
            label_smoothing=0.1,
            lock_labels=True,
            bf16=False,
        )

    @property
    def modality(self) -> str:
        """The modality of the domains."""
        return self.target.modality


@dataclass(frozen=True)
class Transferred:
    """A transferred model.

    Attributes:
        strategy: name of the strategy.
        model: the model, calibrated on the validation rows of the target.
        score: its validation score, see `loop.validation_score`.
        report: what moved from the source; None without a source.
        paths: domain -> its path, for strategies with paths. The target is last.
    """

    strategy: str
    model: EmotionModel
    score: float
    report: TransferReport | None = None
    paths: Mapping[str, Path] = field(default_factory=dict)
