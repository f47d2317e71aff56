"""Transfer between corpora or manifests: read their recordings, choose a strategy, and save the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emoembed.corpora.corpus import Corpus
from emoembed.corpora.splits import hold_out
from emoembed.errors import InputError
from emoembed.labels.phrases import PhraseEncoder, WordTable
from emoembed.model import checkpoint, checkpoint_files
from emoembed.model.card import card_of
from emoembed.reading import corpus_rows
from emoembed.reading.cache import cached_features
from emoembed.reading.sources import as_corpus
from emoembed.training import fit, recipes
from emoembed.training.config import TrainConfig
from emoembed.training.fit import untrained
from emoembed.training.manifest import terms_of
from emoembed.training.recipes import Recipe
from emoembed.transfer.choose import Choice, choose
from emoembed.transfer.domain import Domain
from emoembed.transfer.strategies import ALONE, STRATEGIES, require_strategy, transfer
from emoembed.transfer.task import Budget, Task

MODALITY = "audio"
"""Statistics of speech are read from recordings. Other statistics, such as action units, come as `Domain` objects."""


def transfer_corpora(
    sources: Sequence[Corpus | str | Path],
    target: Corpus | str | Path,
    output: str | Path | None = None,
    *,
    strategy: str | None = None,
    phrases: PhraseEncoder | None = None,
    budget: Budget | None = None,
    progress: bool = False,
) -> Choice:
    """Transfer a model from source corpora of speech to a target corpus.

    Args:
        sources: corpora or paths of manifests, in order. Without valid rows, about 20 % of the train rows are held out.
        target: a corpus or the path of a manifest. Its test rows are not read.
        output: folder for the checkpoint; by default it is not saved.
        strategy: a key of `STRATEGIES`. By default, the best on validation rows of the target.
        phrases: embeds the labels; by default the word table that ships.
        budget: steps, learning rate and seed.
        progress: show on stderr which recordings are read and which strategy of how many is trained.

    Returns:
        The model, and the validation scores of all strategies that were run.

    Raises:
        InputError: a corpus has no recordings or too few rows, or the strategy is unknown.

    Examples:
        >>> import pathlib, tempfile
        >>> import emoembed, numpy as np, pandas as pd, soundfile
        >>> from emoembed.transfer.task import Budget
        >>> folder, time = pathlib.Path(tempfile.mkdtemp()), np.arange(8_000) / 16_000
        >>> for name, pitch in (("joy.wav", 250), ("anger.wav", 120)):  # two buzzes, instead of voices
        ...     buzz = (pitch * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2
        ...     soundfile.write(folder / name, buzz, 16_000)
        >>> table = pd.DataFrame({"audio": ["joy.wav", "anger.wav"] * 6, "labels": ["joy", "anger"] * 6})
        >>> sources, target = [folder / "large.csv"], folder / "mine.csv"
        >>> for path in (*sources, target):
        ...     table.to_csv(path, index=False)
        >>> choice = emoembed.transfer_corpora(sources, target, strategy="fine-tune", budget=Budget(steps=2))
        >>> choice.chosen.strategy, sorted(choice.chosen.model.state.labels)
        ('fine-tune', ['anger', 'joy'])
    """
    if output is not None:
        checkpoint_files.require_own_folder(output)
    if strategy is not None:
        require_strategy(strategy)
    task = speech_task(sources, target, phrases=phrases, budget=budget, progress=progress)
    names = [name for name in STRATEGIES if sources or name in ALONE]
    choice = choose(task, names, progress=progress) if strategy is None else _one(task, strategy, progress)
    model = choice.chosen.model
    provenance = _provenance(task, choice.chosen.strategy)
    state = replace(model.state, labels=model.state.all_seen, provenance=provenance)
    model = model.with_state(state).eval()
    if output is not None:
        checkpoint.save(model, output, card=card_of(model, None))
    return replace(choice, chosen=replace(choice.chosen, model=model))


def _provenance(task: Task, strategy: str) -> dict[str, Any]:
    """The origin of the model of a strategy, for its card."""
    used = () if strategy in ALONE else task.sources
    trained_on = [domain.name for domain in (*used, task.target)]
    return {
        "trained_on": {MODALITY: trained_on},
        "transfer": strategy,
        "seed": task.budget.seed,
        "licence": terms_of(trained_on),
    }


def speech_task(
    sources: Sequence[Corpus | str | Path],
    target: Corpus | str | Path,
    *,
    phrases: PhraseEncoder | None = None,
    budget: Budget | None = None,
    progress: bool = False,
) -> Task:
    """The task of a transfer from source corpora of speech to a target corpus, for a strategy or for a `PathBank`.

    The arguments and errors are those of `transfer_corpora`.
    """
    recipe = _recipe(phrases or checkpoint.read_word_table())
    model = untrained(recipe)
    domains = [domain_of(corpus, progress=progress).summarised(model) for corpus in (*sources, target)]
    return Task(recipe, domains[:-1], domains[-1], budget or Budget())


def domain_of(source: Corpus | str | Path, *, progress: bool = False) -> Domain:
    """The speech of a corpus. Raises InputError if it has no recordings that can be read."""
    corpus = hold_out(as_corpus(source).canonical())
    corpus = corpus.where(corpus.samples[MODALITY].notna() & corpus.samples["split"].isin(("train", "valid")))
    if corpus.samples.empty:
        raise InputError(
            f"{corpus.name} has no recordings in its train and valid rows; transfer reads speech, so give their files "
            f"in the column '{MODALITY}'"
        )
    features, failures = cached_features(corpus, MODALITY, progress=progress)
    if not features:
        reason = f": {next(iter(failures.values()))}" if failures else ""
        raise InputError(f"{corpus.name} has no recording that can be read{reason}")
    parts = {
        split: corpus_rows.annotate(corpus.where(corpus.samples["split"] == split), {MODALITY: features})
        for split in ("train", "valid")
    }
    samples = corpus.samples
    speakers = dict(zip(samples["id"], samples["speaker"].fillna(samples["id"]), strict=True))
    return Domain(
        corpus.name, parts["train"], parts["valid"], {f"{corpus.name}/{row}": name for row, name in speakers.items()}
    )


def _recipe(phrases: PhraseEncoder) -> Recipe:
    if not isinstance(phrases, WordTable):
        raise InputError("transfer of speech needs a word table for the labels; leave out phrases")
    modality = recipes.modular_modality(recipes.audio_modality())
    config = TrainConfig(max_frames=modality.longest, bf16=False)
    return Recipe({MODALITY: modality}, phrases, config, weights={MODALITY: fit.whisper_weights()})  # read once for all


def _one(task: Task, strategy: str, progress: bool) -> Choice:
    import pandas as pd

    result = transfer(replace(task, execution=replace(task.execution, progress=progress)), strategy)
    scores = pd.DataFrame({"mean": [result.score]}, index=pd.Index([strategy], name="strategy"))
    return Choice(result, scores)
