"""A bank of paths: many corpora in one file, which share modules. Adding a corpus changes no earlier answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from emoembed.encoders.modular import ModularSettings, Path
from emoembed.errors import CheckpointError, InputError
from emoembed.features.atomic import write_file
from emoembed.features.media_files import require_file
from emoembed.labels.phrases import PhraseEncoder, WordTable
from emoembed.model.config import ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.model.state import State
from emoembed.transfer.pathnet import places_of
from emoembed.transfer.strategies import add_path, modules_of
from emoembed.transfer.task import Task

VERSION = 1
MODULES = "modules/"
"""Prefix of the names of the shared modules in the file. The other names begin with that of their corpus."""


@dataclass(frozen=True)
class Entry:
    """One corpus of a bank: the configuration and state of its model, its own weights, and notes for people."""

    config: ModelConfig
    state: State
    weights: Mapping[str, Tensor]
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def modality(self) -> str:
        """The modality of the corpus."""
        return next(iter(self.config.modalities))

    @property
    def path(self) -> Path:
        """The path of the corpus."""
        settings = self.config.modalities[self.modality].settings
        if not isinstance(settings, ModularSettings):
            raise CheckpointError("a corpus of a bank needs an encoder of modules")
        return settings.path


@dataclass(frozen=True)
class PathBank:
    """Corpora that share modules. A bank is immutable: `add` returns a new one.

    Args:
        phrases: embeds labels, for all corpora.
        entries: corpus -> entry.
        modules: name in the model -> weight of the modules that a path uses.

    Examples:
        >>> import pathlib, tempfile
        >>> import numpy as np, pandas as pd, soundfile
        >>> from emoembed.transfer.bank import PathBank
        >>> from emoembed.transfer.manifest import speech_task
        >>> from emoembed.transfer.task import Budget
        >>> folder, time = pathlib.Path(tempfile.mkdtemp()), np.arange(8_000) / 16_000
        >>> for name, pitch in (("joy.wav", 250), ("anger.wav", 120)):  # two buzzes, instead of voices
        ...     buzz = (pitch * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2
        ...     soundfile.write(folder / name, buzz, 16_000)
        >>> table = pd.DataFrame({"audio": ["joy.wav", "anger.wav"] * 6, "labels": ["joy", "anger"] * 6})
        >>> paths = [folder / "actors.csv", folder / "mine.csv"]
        >>> for path in paths:
        ...     table.to_csv(path, index=False)
        >>> first, second = (speech_task([], path, budget=Budget(steps=2)) for path in paths)
        >>> bank = PathBank(first.recipe.phrases).add(first).add(second)
        >>> bank.save(folder / "bank.safetensors")
        >>> sorted(PathBank.read(folder / "bank.safetensors", bank.phrases).entries)
        ['actors', 'mine']
    """

    phrases: PhraseEncoder
    entries: Mapping[str, Entry] = field(default_factory=dict)
    modules: Mapping[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> EmotionModel:
        """The model of a corpus.

        Raises:
            InputError: the bank does not have the corpus.
        """
        if name not in self.entries:
            raise InputError(f"the bank has no corpus {name!r:.60}; it has {', '.join(self.entries) or 'none'}")
        entry = self.entries[name]
        model = EmotionModel(entry.config, self.phrases, entry.state)
        weights = model.state_dict()
        off_path = {key: torch.zeros_like(value) for key, value in weights.items() if ".encoder.layers." in key}
        model.load_state_dict({**off_path, **self.modules, **entry.weights})
        return model.eval()

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def add(self, task: Task, card: Mapping[str, Any] | None = None) -> PathBank:
        """Give a corpus a path through modules of the bank and new modules, and train the new modules.

        Args:
            task: its target is the corpus. Its recipe must have the geometry, the features and the phrase encoder of
                the bank.
            card: notes for people, such as the licence of the corpus. The values must be JSON values.

        Raises:
            InputError: the bank has the corpus already, the task has sources, the recipe does not fit, or the card has
                values that JSON lacks.
        """
        name = task.target.name
        if name in self.entries:
            raise InputError(f"the bank already has {name}; a bank only grows. Give the corpus another name")
        if "/" in name or name in ("", "modules"):
            raise InputError(f"the name of a corpus cannot be {name!r}; choose another, without a slash")
        if task.sources:
            sources = ", ".join(source.name for source in task.sources)
            raise InputError(
                f"a task for a bank must not have sources, because the bank is the source; given {sources}. Add "
                "each of these corpora with a separate task"
            )
        _require_json(card)
        self._require_fit(task)
        model, path = add_path(task, task.target, self.modules)
        own = {key: value.clone() for key, value in model.state_dict().items() if ".encoder.layers." not in key}
        reused = [other for other, entry in self.entries.items() if places_of(entry.path) & places_of(path)]
        provenance = {**(card or {}), "trained_on": {task.modality: [*reused, name]}}
        state = replace(model.state, labels=model.state.all_seen, provenance=provenance)
        entry = Entry(model.config, state, own, card or {})
        modules = {**modules_of(model, task.modality, path), **self.modules}
        return replace(self, entries={**self.entries, name: entry}, modules=modules)

    def _require_fit(self, task: Task) -> None:
        if _fingerprint(task.recipe.phrases) != _fingerprint(self.phrases):
            raise InputError(
                "the recipe and the bank have different phrase encoders; use the phrase encoder of the bank"
            )
        for name, entry in self.entries.items():
            modality = entry.config.modalities.get(task.modality)
            given = task.recipe.modalities[task.modality]
            if modality is None or _geometry(modality) != _geometry(given):
                raise InputError(
                    f"the recipe does not fit {name}, which is in the bank: modality, features, columns, label parts "
                    "and the geometry of the modules must be equal"
                )

    def save(self, file: str | FilePath) -> None:
        """Save the bank to one safetensors file, which is replaced completely or not at all."""
        tensors = {f"{MODULES}{name}": weight.contiguous() for name, weight in self.modules.items()}
        for name, entry in self.entries.items():
            tensors |= {f"{name}/{key}": value.contiguous() for key, value in entry.weights.items()}
        described = {
            "version": VERSION,
            "phrases": _fingerprint(self.phrases),
            "corpora": {
                name: {"config": entry.config.to_dict(), "state": entry.state.to_dict(), "card": dict(entry.card)}
                for name, entry in self.entries.items()
            },
        }
        write_file(file, save(tensors, {"bank": json.dumps(described)}))

    @classmethod
    def read(cls, file: str | FilePath, phrases: PhraseEncoder) -> PathBank:
        """Read a bank.

        Args:
            file: a file that `save` wrote.
            phrases: the phrase encoder of the bank.

        Raises:
            MissingFileError: the file does not exist.
            CheckpointError: the file is damaged, of another version, or of another phrase encoder.
        """
        require_file(file, "bank")
        try:
            with safe_open(file, "pt") as opened:
                described = json.loads((opened.metadata() or {})["bank"])
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            if described["version"] != VERSION:
                raise CheckpointError(f"{file} has version {described['version']!r}; expected {VERSION}")
            if described["phrases"] != _fingerprint(phrases):
                raise CheckpointError(
                    f"{file} was made with another phrase encoder; read it with the phrase encoder of its base"
                )
            entries = {
                name: Entry(
                    ModelConfig.from_dict(values["config"]),
                    State.from_dict(values["state"]),
                    _without_prefix(tensors, f"{name}/"),
                    values["card"],
                )
                for name, values in described["corpora"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{file} is not a bank that can be read: {error}") from error
        bank = cls(phrases, entries, _without_prefix(tensors, MODULES))
        for name in entries:
            bank._require_whole(name, file)
        return bank

    def _require_whole(self, name: str, file: str | FilePath) -> None:
        """Build the model of a corpus once, so that a damaged bank fails when it is read."""
        entry = self.entries[name]
        try:
            has = set(modules_of(self[name], entry.modality, entry.path))
            if has - set(self.modules):
                raise CheckpointError(f"{file} lacks modules of {name}; fetch it again")
        except (RuntimeError, ValueError, IndexError) as error:
            raise CheckpointError(f"{file} lacks weights of {name}: {error}") from error


def _require_json(card: Mapping[str, Any] | None) -> None:
    """Raise InputError if a card cannot be saved."""
    try:
        json.dumps(dict(card or {}))
    except (TypeError, ValueError) as error:
        raise InputError(f"the card of a corpus has texts, numbers, lists and mappings only: {error}") from error


def _without_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _geometry(modality: Any) -> tuple[Any, ...]:
    """The properties that the modalities of a bank must share."""
    settings = modality.settings
    if not isinstance(settings, ModularSettings):
        raise InputError("a bank needs an encoder of modules; use recipes.modular_modality")
    shape = (settings.layers, settings.modules, settings.active, settings.width, settings.summary, settings.whisper)
    return (modality.features, modality.columns, modality.embed_dim, modality.parts, shape)


def _fingerprint(phrases: PhraseEncoder) -> str:
    """A short hash of the phrase encoder, which gives labels their vectors."""
    if isinstance(phrases, WordTable):
        content = phrases.vectors.tobytes() + "\n".join(phrases.words).encode()
    else:
        content = np.asarray(phrases.phrase_vectors(["joy", "nostalgia", "awe"]).detach().cpu()).round(4).tobytes()
    return hashlib.sha256(content).hexdigest()[:16]
