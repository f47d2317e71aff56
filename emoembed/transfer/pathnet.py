"""Search paths through modules (PathNet, Fernando et al. 2017; for emotion corpora Nguyen et al. 2020)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from emoembed.encoders.layers import point
from emoembed.encoders.modular import ModularEncoder, Path
from emoembed.errors import CheckpointError, InputError
from emoembed.features.atomic import write_file
from emoembed.model.model import EmotionModel
from emoembed.reading.rows import EmotionData
from emoembed.training.config import TrainConfig
from emoembed.training.objective import Objective
from emoembed.transfer.tournament import Tournament, TournamentConfig

Place = tuple[int, int]
"""A layer, and a module in it."""
NOISE = 0.1
"""Standard deviation of the noise on standardised statistics, as in `PooledEncoder`."""


@dataclass(frozen=True)
class SearchConfig:
    """Settings of a search. By default 400 training steps: 20 rounds, two paths per round, ten batches per path."""

    rounds: int = 20
    batches: int = 10
    """Batches that a path is trained for before a comparison."""
    population: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    seed: int = 0

    @property
    def steps(self) -> int:
        """Training steps of the search."""
        return 2 * self.rounds * self.batches

    def within(self, steps: int) -> SearchConfig:
        """A search of at most this many steps (at least two): fewer rounds, and fewer batches if one is too long."""
        batches = max(1, min(self.batches, steps // 2))
        return replace(self, batches=batches, rounds=max(1, min(self.rounds, steps // (2 * batches))))


def modular_encoder(model: EmotionModel, modality: str) -> ModularEncoder:
    """The encoder of modules of a modality. Raises InputError if it is another encoder."""
    encoder = model.modality(modality).encoder
    if not isinstance(encoder, ModularEncoder):
        raise InputError(f"paths need an encoder of modules; the {modality} encoder is a {type(encoder).__name__}")
    return encoder


def places_of(path: Path) -> frozenset[Place]:
    """The modules of a path."""
    return frozenset((layer, module) for layer, modules in enumerate(path) for module in modules)


def search(
    model: EmotionModel,
    modality: str,
    train: EmotionData,
    compare: EmotionData,
    config: SearchConfig,
    *,
    frozen: Collection[Place] = (),
    state: FilePath | None = None,
) -> Path:
    """Evolve a path by tournaments. The modules that it trains change in place; frozen modules do not.

    The fitness of a path is the mean log likelihood of the labels of `compare`.

    Args:
        model: its standardisation was fitted on rows of this corpus.
        modality: the modality, with an encoder of modules.
        train: rows that paths are trained on.
        compare: rows of other speakers, on which paths are compared.
        config: the settings.
        frozen: modules that a path may use and that do not change.
        state: a file for the state of the tournament and the weights. A stopped search resumes from this file.
    """
    encoder = modular_encoder(model, modality)
    settings = encoder.settings
    tournament_config = TournamentConfig(
        settings.layers, settings.modules, settings.active, config.population, config.rounds, seed=config.seed
    )
    trainer = _PathTrainer(model, modality, train, compare, config, frozenset(frozen))
    tournament = Tournament.start(tournament_config)
    if state is not None and state.is_file():
        tournament = Tournament.from_json(trainer.restore(state), tournament_config)
    best = tournament.run(trainer.train, trainer.score, (lambda now: trainer.keep(state, now)) if state else None)
    encoder.path = best
    return best


class _PathTrainer:
    """Trains and compares paths of one encoder, on statistics that are computed once."""

    def __init__(
        self,
        model: EmotionModel,
        modality: str,
        train: EmotionData,
        compare: EmotionData,
        config: SearchConfig,
        frozen: frozenset[Place],
    ) -> None:
        self.model, self.modality, self.config, self.frozen = model, modality, config, frozen
        self.encoder = modular_encoder(model, modality)
        train_config = TrainConfig(label_smoothing=0.1, pull=1.0, lock_labels=True, bf16=False)
        self.objectives = {
            "train": Objective(model, train, train_config),
            "compare": Objective(model, compare, replace(train_config, label_smoothing=0.0, pull=0.0)),
        }
        self.features = {"train": self._features(train), "compare": self._features(compare)}
        self.calls = 0
        of = repr((train.ids, train.labels, compare.ids, sorted(frozen)))
        self.digest = hashlib.sha256(of.encode("utf-8", "replace")).hexdigest()

    @torch.no_grad()
    def _features(self, rows: EmotionData) -> Tensor:
        """Standardised statistics of the rows, `(rows, features_dim)`."""
        self.model.eval()
        longest = self.model.config.modalities[self.modality].longest
        batches = [np.arange(i, min(i + 64, len(rows))) for i in range(0, len(rows), 64)]
        return torch.cat([self.encoder.read(*rows.batch(batch, longest)[self.modality]) for batch in batches])

    def train(self, path: Path) -> None:
        """Train a path for some batches."""
        self.encoder.path = path
        generator = np.random.default_rng((self.config.seed, self.calls))
        noise = torch.Generator().manual_seed(int(generator.integers(2**31)))
        self.calls += 1
        parameters = self._parameters(path)
        optimizer = torch.optim.AdamW(parameters, lr=self.config.learning_rate, weight_decay=0.02)
        features = self.features["train"]
        for _ in range(self.config.batches):
            rows = generator.choice(len(features), size=min(self.config.batch_size, len(features)), replace=False)
            batch = features[rows]
            batch = batch + NOISE * torch.randn(batch.shape, generator=noise)
            self.model.train()
            points = {self.modality: point(self.encoder.network(batch))}
            loss = self.objectives["train"](points, rows)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    @torch.no_grad()
    def score(self, path: Path) -> float:
        """The mean log likelihood of a path on the rows for comparison."""
        self.encoder.path = path
        self.model.train()  # points without residual columns
        self.encoder.eval()
        features = self.features["compare"]
        points = {self.modality: point(self.encoder.network(features))}
        return -float(self.objectives["compare"](points, np.arange(len(features))))

    def _parameters(self, path: Path) -> list[torch.nn.Parameter]:
        """The weights that training a path changes: its modules that are not frozen, the last layer, and the scale."""
        modality = self.model.modality(self.modality)
        modules = [
            cast(torch.nn.ModuleList, self.encoder.layers[layer])[module]
            for layer, module in sorted(places_of(path) - self.frozen)
        ]
        parts = [*modules, self.encoder.last]
        return [*(weight for part in parts for weight in part.parameters()), modality.log_scale, modality.bias]

    def keep(self, file: FilePath, tournament: Tournament) -> None:
        """Save the weights and the tournament. The file is replaced completely or not at all."""
        state = {"tournament": tournament.to_json(), "calls": str(self.calls), "search": self.digest}
        write_file(file, save(self._weights(), state))

    def restore(self, file: FilePath) -> str:
        """Read the weights that `keep` saved. Returns the state of the tournament.

        Raises:
            CheckpointError: the file is damaged, or of another encoder or search.
        """
        try:
            with safe_open(file, "pt") as opened:
                metadata = opened.metadata()
                weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            if metadata["search"] != self.digest:
                raise CheckpointError(f"{file} belongs to a search on other rows; delete it to start again")
            self.calls = int(metadata["calls"])
            missing, unexpected = self.model.modality(self.modality).load_state_dict(weights, strict=False)
            if unexpected or any(name.startswith("encoder.") for name in missing):
                raise CheckpointError(f"{file} belongs to another encoder; delete it to start again")
            return str(metadata["tournament"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"{file} is not the state of a search; delete it to start again: {error}") from error

    def _weights(self) -> dict[str, Tensor]:
        """The weights that a search changes, by their names in the modality."""
        weights = self.model.modality(self.modality).state_dict()
        return {
            name: value.contiguous()
            for name, value in weights.items()
            if name.startswith("encoder.") or name in ("log_scale", "bias")
        }
