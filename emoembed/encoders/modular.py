"""Encoder of statistics whose layers consist of modules. A path uses a few of them (PathNet, Fernando et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from emoembed.encoders.adapters import LowRankAdapters
from emoembed.encoders.pooled import StatisticsEncoder, StatisticsSettings
from emoembed.errors import InputError

Path = tuple[tuple[int, ...], ...]
"""The numbers of the modules that are used in each layer."""


@dataclass(frozen=True)
class ModularSettings(StatisticsSettings):
    """Layers, modules per layer, and the path through them. The sizes, except the width, follow Nguyen et al. 2020."""

    layers: int = 3
    modules: int = 10
    """Number of modules in each layer."""
    active: int = 3
    """Number of modules that a path uses in each layer."""
    width: int = 48
    """Units of a module."""
    rank: int = 0
    """Rank of the low-rank adapters beside the modules; 0: no adapters."""
    path: Path = ()
    """Modules of each layer, counted from 0. Empty: the first `active` modules of each layer."""

    def __post_init__(self) -> None:
        if min(self.layers, self.modules, self.active, self.width) < 1:
            raise InputError("layers, modules, active and width must be at least 1")
        if self.rank < 0:
            raise InputError(f"the rank of adapters must be at least 0; given {self.rank}")
        if self.active > self.modules:
            raise InputError(
                f"a path cannot use {self.active} of {self.modules} modules in a layer; give at most {self.modules}"
            )
        if not self.path:
            object.__setattr__(self, "path", (tuple(range(self.active)),) * self.layers)
        require_path(self.path, self)


def require_path(path: Path, settings: ModularSettings) -> None:
    """Raise InputError unless a path has `active` different modules in each layer."""
    fits = len(path) == settings.layers and all(
        len(set(layer)) == len(layer) == settings.active and all(0 <= module < settings.modules for module in layer)
        for layer in path
    )
    if not fits:
        raise InputError(
            f"a path names {settings.active} different modules, from 0 to {settings.modules - 1}, in each of "
            f"{settings.layers} layers; given {path!r:.80}"
        )


class ModularEncoder(StatisticsEncoder):
    """Modules on statistics over time. Each layer adds the outputs of the modules on the path.

    Each module has its own parameters, so that it can be frozen. A part of a shared tensor cannot be frozen, because
    weight decay and momentum would still change it.

    Attributes:
        path: the modules that are used. A tournament changes the path. A trained model has the path of its settings.
    """

    settings_type = ModularSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: ModularSettings | None = None) -> None:
        settings = settings or ModularSettings()
        super().__init__(feature_dim, embed_dim, settings)
        self.settings, self.path = settings, settings.path
        sizes = [self.features_dim, *[settings.width] * settings.layers]
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.Linear(sizes[i], sizes[i + 1]) for _ in range(settings.modules))
            for i in range(settings.layers)
        )
        numbers = [str(module) for module in range(settings.modules)]
        self.adapters = LowRankAdapters(self.layers, settings.rank, adapted=numbers) if settings.rank else None
        self.dropout = nn.Dropout(settings.dropout)
        self.last = nn.Linear(settings.width, embed_dim)

    def network(self, features: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`, through the modules of the path."""
        for layer, active in enumerate(self.path):
            outputs = [self._module(layer, module, features).relu() for module in active]
            features = torch.stack(outputs).sum(dim=0)
        output: Tensor = self.last(self.dropout(features))
        return output

    def _module(self, layer: int, module: int, features: Tensor) -> Tensor:
        """The output of a module, with its adapter if there is one."""
        dense = cast(nn.Linear, cast(nn.ModuleList, self.layers[layer])[module])
        if self.adapters is None:
            output: Tensor = dense(features)
            return output
        return linear(features, dense.weight + self.adapters.update(f"{layer}/{module}"), dense.bias)
