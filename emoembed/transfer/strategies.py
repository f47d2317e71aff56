"""Strategies of transfer from source corpora to a target corpus, all with the same encoder and the same steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from emoembed.encoders.modular import ModularSettings, Path
from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import join
from emoembed.training.fit import finish, train, untrained
from emoembed.training.loop import validation_score
from emoembed.training.recipes import Recipe, Stage
from emoembed.training.ridge_maps import prepare
from emoembed.transfer.domain import Domain
from emoembed.transfer.pathnet import Place, places_of, search
from emoembed.transfer.spec import TransferSpec
from emoembed.transfer.task import VALIDATIONS, Task, TrainedSources, Transferred
from emoembed.transfer.tournament import TournamentConfig, random_path

MODULES = ("encoder.layers.*",)
LAST = ("encoder.last.*", "log_scale", "bias")
ALL = (*MODULES, *LAST)
"""Weights of a modality that move from a source, or that a stage trains. The standardisation is always that of the
target."""
ADAPTERS = ("encoder.adapters.*",)
RANK = 4
"""Rank of the adapters of `lora`, beside modules of 48 units."""
SOUP_RATES = (0.3, 1.0, 3.0)
"""Learning rates of the models whose weights a soup averages, as factors of the given learning rate."""


Strategy = Callable[[Task], Transferred]


def source_model(task: Task) -> EmotionModel:
    """The model of the sources together, from which the plain strategies start."""
    _require_sources(task)
    if task.trained is not None:
        return task.trained.model
    rows, valid = (join([getattr(source, part) for source in task.sources]) for part in ("train", "valid"))
    recipe = replace(task.recipe, config=task.config())
    return train(recipe, rows, valid, execution=task.execution)[0]


def train_sources(task: Task, strategies: Collection[str] | None = None) -> TrainedSources:
    """Train the source models that the strategies start from; by default, for all strategies."""
    without_paths = strategies is not None and not set(strategies) & set(WITH_PATHS)
    return TrainedSources(source_model(task), *(({}, {}) if without_paths else _paths_of_sources(task)))


def scratch(task: Task) -> Transferred:
    """Train on the target alone."""
    return _trained("scratch", task, replace(task.recipe, config=task.config()))


def linear_probe(task: Task) -> Transferred:
    """Train the last layer of the source's encoder."""
    return _from_source("linear-probe", task, [(LAST, 1.0)])


def fine_tune(task: Task) -> Transferred:
    """Train the whole encoder of the source."""
    return _from_source("fine-tune", task, [(ALL, 1.0)])


def lp_ft(task: Task) -> Transferred:
    """Train the last layer, then the whole encoder (LP-FT, Kumar et al. 2022)."""
    return _from_source("lp-ft", task, [(LAST, 0.5), (ALL, 0.5)])


def lora(task: Task) -> Transferred:
    """Train low-rank adapters beside the frozen modules of the source, and the last layer (LoRA, Hu et al. 2021)."""
    source = source_model(task)
    modality = task.recipe.modalities[task.modality].with_settings(rank=RANK)
    task = replace(task, recipe=replace(task.recipe, modalities={task.modality: modality}))
    return _from_source("lora", task, [((*ADAPTERS, *LAST), 1.0)], source)


def soup(task: Task) -> Transferred:
    """The mean of the weights of models that were fine-tuned with several learning rates (Wortsman et al. 2022).

    The rates share the steps. The models are added in the order of their validation scores, as long as the score of
    the mean does not fall (greedy soup).
    """
    source = source_model(task)
    steps = max(1, task.budget.steps // len(SOUP_RATES))
    models = []
    for factor in SOUP_RATES:
        budget = replace(task.budget, steps=steps, learning_rate=factor * task.budget.learning_rate)
        part = replace(task, budget=budget)
        models.append(_from_source("soup", part, [(ALL, 1.0)], source, VALIDATIONS // len(SOUP_RATES)))
    models.sort(key=lambda each: -each.score)
    best, kept = models[0], [models[0].model]
    for other in models[1:]:
        candidate = _with_mean_weights([*kept, other.model], task)
        score = validation_score(candidate, task.target.valid)
        if score >= best.score:
            kept.append(other.model)
            best = Transferred("soup", candidate, score, best.report)
    return best


def pathnet(task: Task) -> Transferred:
    """A path for each source, then one for the target, which may use the frozen modules of the sources."""
    return _by_paths("pathnet", task, sources=True, searched=True)


def random_path_strategy(task: Task) -> Transferred:
    """As `pathnet`, but the path of the target is drawn at random: a control of the search."""
    return _by_paths("random-path", task, sources=True, searched=False)


def no_source(task: Task) -> Transferred:
    """As `pathnet`, but without a source: a control of the transfer."""
    return _by_paths("no-source", task, sources=False, searched=True)


STRATEGIES: dict[str, Strategy] = {
    "scratch": scratch,
    "linear-probe": linear_probe,
    "fine-tune": fine_tune,
    "lp-ft": lp_ft,
    "lora": lora,
    "soup": soup,
    "pathnet": pathnet,
    "random-path": random_path_strategy,
    "no-source": no_source,
}
WITH_PATHS = ("pathnet", "random-path")
"""Strategies that use the paths of the sources."""
SEARCHED = ("pathnet", "no-source")
"""Strategies that search a path, which needs two training speakers."""
ALONE = ("scratch", "no-source")
"""Strategies that use no source."""
CONTROLS = ("random-path", "no-source")
"""Controls: strategies that are compared, but never chosen."""


def transfer(task: Task, strategy: str) -> Transferred:
    """Transfer from the sources to the target with a strategy.

    Raises:
        InputError: the strategy is unknown, or it needs a source and there is none.
    """
    require_strategy(strategy)
    return STRATEGIES[strategy](task)


def require_strategy(name: str) -> None:
    """Raise InputError if the strategy does not exist."""
    if name not in STRATEGIES:
        raise InputError(f"there is no strategy {name!r:.40}; choose from {', '.join(STRATEGIES)}")


def _from_source(
    name: str,
    task: Task,
    stages: Sequence[tuple[tuple[str, ...], float]],
    source: EmotionModel | None = None,
    validations: int = VALIDATIONS,
) -> Transferred:
    """Train on the target in stages, from the weights of the sources' model. A stage takes a share of the steps."""
    source = source_model(task) if source is None else source
    spec = TransferSpec(name, _named(task, ALL))
    recipe = replace(
        task.recipe,
        start=spec.choose(source.state_dict()),
        stages=tuple(
            Stage(_named(task, trained), task.config(round(share * task.budget.steps), round(share * validations)))
            for trained, share in stages
        ),
    )
    report = spec.apply(source.state_dict(), untrained(task.recipe))
    return replace(_trained(name, task, recipe), report=report)


def _trained(name: str, task: Task, recipe: Recipe) -> Transferred:
    model, _ = train(recipe, task.target.train, task.target.valid, execution=task.execution)
    return Transferred(name, model, validation_score(model, task.target.valid))


def _by_paths(name: str, task: Task, *, sources: bool, searched: bool) -> Transferred:
    """Give each source a path and freeze its modules; then give the target a path and train it."""
    modules, paths = _paths_of_sources(task) if sources else ({}, {})
    model, path = add_path(task, task.target, modules, searched=searched)
    score = validation_score(model, task.target.valid)
    return Transferred(name, model, score, None, {**paths, task.target.name: path})


def _paths_of_sources(task: Task) -> tuple[Mapping[str, Tensor], Mapping[str, Path]]:
    """Name -> weight of the modules of the sources' paths, and source -> path. Each source gets its path in turn."""
    _require_sources(task)
    if task.trained is not None and task.trained.paths:
        return task.trained.modules, task.trained.paths
    modules: dict[str, Tensor] = {}
    paths: dict[str, Path] = {}
    each = replace(task, budget=replace(task.budget, steps=max(1, task.budget.steps // len(task.sources))))
    for source in task.sources:
        model, paths[source.name] = add_path(each, source, modules)
        modules |= modules_of(model, task.modality, paths[source.name])
    return modules, paths


def _require_sources(task: Task) -> None:
    if not task.sources:
        raise InputError("this strategy needs a source corpus; give one, or choose scratch or no-source")


def add_path(
    task: Task, domain: Domain, modules: Mapping[str, Tensor], *, searched: bool = True
) -> tuple[EmotionModel, Path]:
    """Give a domain a path through frozen and new modules, and train the modules that are not frozen.

    Args:
        task: the recipe and the budget.
        domain: the corpus.
        modules: name -> weight of the frozen modules, from `modules_of`.
        searched: search the path by tournaments; else draw it at random.

    Returns:
        The model of the domain, and its path.
    """
    settings = task.recipe.modalities[task.modality].settings
    if not isinstance(settings, ModularSettings):
        raise InputError("paths need an encoder of modules; use recipes.modular_modality")
    frozen = frozenset(place for place in map(_place_of, modules) if place is not None)
    budget, config = task.budget, task.recipe.config
    recipe = replace(task.recipe, config=replace(config, seed=budget.seed_for(domain.name)))
    model = prepare(untrained(recipe), domain.train, frames=config.max_frames)
    model.load_state_dict({**model.state_dict(), **modules})
    steps = budget.steps
    if searched:
        search_config = budget.search_for(domain.name)
        rows = domain.divided() if domain is task.target else (domain.train, domain.valid)
        path = search(model, task.modality, *rows, search_config, frozen=frozen)
        steps -= 0 if budget.search_is_extra else search_config.steps
    else:
        geometry = TournamentConfig(settings.layers, settings.modules, settings.active)
        path = random_path(geometry, np.random.default_rng([budget.seed_for(domain.name), 1]))
    return _train_path(task, domain, model, path, frozen, steps), path


def modules_of(model: EmotionModel, modality: str, path: Path) -> dict[str, Tensor]:
    """Name -> weight of the modules of a path."""
    places = places_of(path)
    return {
        name: value.clone()
        for name, value in model.state_dict().items()
        if name.startswith(f"modalities.{modality}.") and _place_of(name) in places
    }


def _train_path(
    task: Task, domain: Domain, model: EmotionModel, path: Path, frozen: frozenset[Place], steps: int
) -> EmotionModel:
    """Train the modules of a path that are not frozen, and the last layer."""
    name = task.modality
    modality = task.recipe.modalities[name].with_settings(path=path)
    free = [f"encoder.layers.{layer}.{module}.*" for layer, module in sorted(places_of(path) - frozen)]
    recipe = replace(
        task.recipe,
        modalities={name: modality},
        start=TransferSpec("path", _named(task, ALL)).choose(model.state_dict()),
        stages=(Stage(_named(task, (*free, *LAST)), task.config(steps)),),
    )
    return train(recipe, domain.train, domain.valid, execution=task.execution)[0]


def _named(task: Task, patterns: Sequence[str]) -> tuple[str, ...]:
    """Patterns of names in a model, from patterns of names in the modality of the task."""
    return tuple(f"modalities.{task.modality}.{pattern}" for pattern in patterns)


def _place_of(name: str) -> Place | None:
    """The layer and module of a weight of a module, by its name; None for other weights."""
    match = re.match(r"modalities\.\w+\.encoder\.layers\.(\d+)\.(\d+)\.", name)
    return (int(match[1]), int(match[2])) if match else None


def _with_mean_weights(models: Sequence[EmotionModel], task: Task) -> EmotionModel:
    """A model with the mean of the models' weights, calibrated on the target."""
    model = prepare(untrained(task.recipe), task.target.train, frames=task.recipe.config.max_frames)
    spec = TransferSpec("soup", _named(task, ALL))
    weights = [spec.choose(each.state_dict()) for each in models]
    mean = {name: torch.stack([each[name] for each in weights]).mean(dim=0) for name in weights[0]}
    model.load_state_dict({**model.state_dict(), **mean})
    return finish(model, task.recipe, task.target.train, task.target.valid)
