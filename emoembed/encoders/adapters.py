"""Low-rank adapters (LoRA) beside a frozen network."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from emoembed.errors import CheckpointError

ADAPTED = (
    *("query", "key", "value", "dense", "q_proj", "k_proj", "v_proj", "out_proj", "o_proj", "fc1", "fc2"),
    *("q", "k", "v", "o", "q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2", "Wqkv", "Wi", "Wo"),
)
"""Names of linear layers that get adapters, in the model families that `build_trunk` lists and in similar families."""


class LowRankAdapters(nn.Module):
    """Low-rank updates of a frozen network's linear layers (LoRA, Hu et al. 2021, section 4.1).

    `strength` scales all updates: 0 gives the frozen network, 1 the trained one. Values between 0 and 1 interpolate
    the weights (WiSE-FT, Wortsman et al. 2022).
    """

    def __init__(self, trunk: nn.Module, rank: int, strength: float = 1.0, adapted: Collection[str] = ADAPTED) -> None:
        """Add an update of a rank to each linear layer of the trunk whose name, after the last dot, is in `adapted`."""
        super().__init__()
        self.strength = strength
        self.names: dict[str, str] = {}
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, module in trunk.named_modules():
            if isinstance(module, nn.Linear) and name.split(".")[-1] in adapted:
                key = name.replace(".", "/")
                self.names[key] = f"{name}.weight"
                down = torch.empty(rank, module.in_features)
                self.down[key] = nn.Parameter(nn.init.normal_(down, std=module.in_features**-0.5))
                self.up[key] = nn.Parameter(torch.zeros(module.out_features, rank))
        if not self.names:
            raise CheckpointError(
                f"{type(trunk).__name__} has no linear layer that adapters can be added to; set rank=0"
            )

    def update(self, key: str) -> Tensor:
        """The update of a layer's weight, strength * up @ down. `key` is the layer's name with slashes for dots."""
        update: Tensor = self.strength * (self.up[key] @ self.down[key])
        return update

    def weights(self, trunk: nn.Module) -> dict[str, Tensor]:
        """Parameter name -> adapted weight, W + strength * up @ down."""
        frozen = dict(trunk.named_parameters())
        return {name: frozen[name] + self.update(key).to(frozen[name].dtype) for key, name in self.names.items()}

    @contextmanager
    def beside(self, trunk: nn.Module) -> Iterator[set[str]]:
        """A context in which each adapted layer outputs W x + strength * up (down x).

        The result is the same as with `weights`, but no gradient has the size of W. Yields the keys of the layers that
        were called, because a network may read a layer's weights without calling the layer.
        """
        handles = []
        called: set[str] = set()
        for key, name in self.names.items():

            def add(_: nn.Module, inputs: tuple[Tensor, ...], out: Tensor, key: str = key) -> Tensor:
                called.add(key)
                return out + self.strength * linear(linear(inputs[0], self.down[key]), self.up[key])

            handles.append(trunk.get_submodule(name.removesuffix(".weight")).register_forward_hook(add))
        try:
            yield called
        finally:
            for handle in handles:
                handle.remove()
