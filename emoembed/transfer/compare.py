"""Which corpus helps which: each of several corpora is the source and the target of a transfer in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from emoembed.corpora.corpus import Corpus
from emoembed.errors import InputError
from emoembed.labels.phrases import PhraseEncoder
from emoembed.transfer.choose import require_speakers, validation_scores, with_bar
from emoembed.transfer.manifest import speech_task
from emoembed.transfer.strategies import ALONE, STRATEGIES, require_strategy, train_sources
from emoembed.transfer.task import Budget

NO_SOURCE = "none"
"""Name of the row of models that are trained on the target alone."""


def compare_corpora(
    corpora: Sequence[Corpus | str | Path],
    *,
    strategy: str = "fine-tune",
    phrases: PhraseEncoder | None = None,
    budget: Budget | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Transfer from each corpus of speech to each of the others.

    Args:
        corpora: at least two corpora or paths of manifests.
        strategy: a key of `STRATEGIES` that uses a source.
        phrases: embeds the labels; by default the word table that ships.
        budget: steps, learning rate and seed.
        progress: show on stderr which source of how many is trained.

    Returns:
        A table of validation scores (0 to 1) of the targets: a row per source and a column per target. The first row,
        `none`, is the target alone. A corpus is not a source for itself (NaN).

    Raises:
        InputError: there are fewer than two corpora, two have the same name, one has no recordings, too few rows, or
            too few speakers for the strategy, or the strategy is unknown or uses no source.

    Examples:
        >>> import pathlib, tempfile
        >>> import emoembed, numpy as np, pandas as pd, soundfile
        >>> from emoembed.transfer.task import Budget
        >>> folder, time = pathlib.Path(tempfile.mkdtemp()), np.arange(8_000) / 16_000
        >>> for name, pitch in (("joy.wav", 250), ("anger.wav", 120)):  # two buzzes, instead of voices
        ...     buzz = (pitch * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2
        ...     soundfile.write(folder / name, buzz, 16_000)
        >>> rows = pd.DataFrame({"audio": ["joy.wav", "anger.wav"] * 6, "labels": ["joy", "anger"] * 6})
        >>> rows.to_csv(folder / "large.csv", index=False)
        >>> rows.to_csv(folder / "mine.csv", index=False)
        >>> table = emoembed.compare_corpora([folder / "large.csv", folder / "mine.csv"], budget=Budget(steps=2))
        >>> list(table.index), list(table.columns)
        (['none', 'large', 'mine'], ['large', 'mine'])
    """
    _require_comparison(corpora, strategy)
    task = speech_task(corpora[:-1], corpora[-1], phrases=phrases, budget=budget, progress=progress)
    domains = [*task.sources, task.target]
    for target in domains:
        require_speakers(replace(task, sources=(), target=target), strategy)
    names = [domain.name for domain in domains]
    table = pd.DataFrame(np.nan, index=pd.Index([NO_SOURCE, *names], name="source"), columns=names)
    for target in domains:
        alone = replace(task, sources=(), target=target)
        table.loc[NO_SOURCE, target.name] = np.mean(validation_scores(alone, "scratch"))
    by_name = dict(zip(names, domains, strict=True))
    for name in with_bar(names, progress, "source"):
        targets = [domain for domain in domains if domain.name != name]
        from_source = replace(task, sources=(by_name[name],), target=targets[0])
        from_source = replace(from_source, trained=train_sources(from_source, [strategy]))
        for target in targets:
            scores = validation_scores(replace(from_source, target=target), strategy)
            table.loc[name, target.name] = np.mean(scores)
    return table


def _require_comparison(corpora: Sequence[Corpus | str | Path], strategy: str) -> None:
    """Raise InputError if there are fewer than two corpora, or the strategy is unknown or uses no source."""
    if len(corpora) < 2:
        raise InputError(f"a comparison needs at least two corpora; given {len(corpora)}")
    require_strategy(strategy)
    if strategy in ALONE:
        others = ", ".join(name for name in STRATEGIES if name not in ALONE)
        raise InputError(f"{strategy} uses no source, so there is nothing to compare; choose from {others}")
