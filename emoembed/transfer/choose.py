"""Choose a strategy of transfer on validation rows of the target."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from emoembed.errors import InputError
from emoembed.reading.rows import join
from emoembed.transfer.domain import Domain
from emoembed.transfer.strategies import (
    CONTROLS,
    SEARCHED,
    STRATEGIES,
    require_strategy,
    train_sources,
    transfer,
)
from emoembed.transfer.task import Task, Transferred

FEW_ROWS = 200
"""With fewer validation rows, strategies are compared by cross-validation over speakers."""
FOLDS = 3


@dataclass(frozen=True)
class Choice:
    """The chosen strategy, its model, and the scores of all strategies.

    Attributes:
        chosen: the result of the best strategy that is not a control.
        scores: a table with one row per strategy: its mean validation score, and that of each fold.
    """

    chosen: Transferred
    scores: pd.DataFrame


def choose(task: Task, strategies: Iterable[str] = tuple(STRATEGIES), *, progress: bool = False) -> Choice:
    """Run strategies, compare them on validation rows of the target, and return the best.

    If the target has fewer than `FEW_ROWS` validation rows, each strategy is trained on several divisions of its
    speakers, and their mean score counts. The sources are trained once for all. Controls (`CONTROLS`) are compared but
    never chosen. With `progress`, a bar on stderr shows which strategy of how many is trained.

    Raises:
        InputError: a strategy is unknown or needs a source, or all are controls.

    Warns:
        UserWarning: the target has too few speakers to search paths. These strategies are then left out.
    """
    names = _that_fit(list(strategies), task)
    if task.sources and task.trained is None:
        task = replace(task, trained=train_sources(task, names))
    rows = {name: validation_scores(task, name) for name in with_bar(names, progress)}
    means = {name: float(np.mean(values)) for name, values in rows.items()}
    scores = pd.DataFrame(rows).T.rename(columns=lambda fold: f"fold {fold}").rename_axis("strategy")
    scores.insert(0, "mean", pd.Series(means))
    best = max((name for name in names if name not in CONTROLS), key=means.__getitem__)
    return Choice(transfer(task, best), scores)


def validation_scores(task: Task, strategy: str) -> list[float]:
    """The validation score of a strategy, on each division of the target if it has fewer than `FEW_ROWS` rows."""
    return [transfer(replace(task, target=target), strategy).score for target in _divisions(task)]


def _divisions(task: Task) -> list[Domain]:
    return divide(task.target) if len(task.target.valid) < FEW_ROWS else [task.target]


def with_bar(names: Sequence[str], progress: bool, unit: str = "strategy") -> Iterator[str]:
    """The names, one by one. With `progress`, a bar on stderr shows the present name and how many are done."""
    if not progress:
        yield from names
        return
    from tqdm import tqdm

    bar = tqdm(names, unit=unit)
    for name in bar:
        bar.set_description(name)
        yield name


def _that_fit(names: list[str], task: Task) -> list[str]:
    """The strategies that the target has enough speakers for."""
    for name in names:
        require_strategy(name)
    if _has_few_speakers(task) and set(names) & set(SEARCHED):
        warnings.warn(
            f"{task.target.name} has too few speakers to compare paths, so {' and '.join(SEARCHED)} are left out",
            stacklevel=3,
        )
        names = [name for name in names if name not in SEARCHED]
    if set(names) <= set(CONTROLS):
        raise InputError(f"give a strategy that is not a control; {', '.join(CONTROLS)} are only controls")
    return names


def _has_few_speakers(task: Task) -> bool:
    """Whether a division of the target has fewer than two training speakers, which the search of a path needs."""
    return any(len({part.speakers[row] for row in part.train.ids}) < 2 for part in _divisions(task))


def require_speakers(task: Task, strategy: str) -> None:
    """Raise InputError if the strategy searches a path and the target has too few speakers for it."""
    if strategy in SEARCHED and _has_few_speakers(task):
        raise InputError(
            f"{task.target.name} has too few speakers to compare paths, which {strategy} needs. Name the speakers of "
            "the rows, or choose another strategy"
        )


def divide(domain: Domain, folds: int = FOLDS) -> list[Domain]:
    """Divisions of the rows of a domain into training and validation rows, by speaker."""
    rows = join([domain.train, domain.valid])
    names = np.array([domain.speakers[row] for row in rows.ids])
    order: Sequence[str] = sorted(set(names.tolist()))
    count = min(folds, len(order))
    if count < 2:
        return [domain]
    return [
        replace(domain, train=rows.rows(~held_out), valid=rows.rows(held_out))
        for held_out in (np.isin(names, order[fold::count]) for fold in range(count))
    ]
