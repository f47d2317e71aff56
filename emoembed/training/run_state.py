"""A training run, kept after every epoch so that a killed run goes on exactly."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from emoembed.errors import CheckpointError
from emoembed.model.scorer import Scorer


@dataclass
class Run:
    """All that the next epoch depends on."""

    model: Scorer
    optimizer: Optimizer
    schedule: LambdaLR
    order: np.random.Generator  # draws the order of rows
    noise: torch.Generator  # draws augmentation and the modalities that are hidden
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)  # the weights of the best epoch

    @property
    def best_epoch(self) -> int:
        """The epoch with the highest score; of equals the last, which was trained longest."""
        return len(self.scores) - 1 - int(np.argmax(self.scores[::-1]))

    def has_waited(self, patience: int) -> bool:
        """Whether so many epochs have passed without a better score."""
        return bool(self.scores) and len(self.scores) - 1 - self.best_epoch >= patience

    def add(self, loss: float, score: float) -> None:
        """An epoch has ended: note its loss and score, and its weights where they are the best."""
        self.losses.append(loss)
        self.scores.append(score)
        if self.best_epoch == len(self.scores) - 1:
            self.best = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}


class RunState:
    """The state of a run on disk, without pickle: tensors as safetensors, the rest as JSON."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder, self.config = folder, dict(config)

    def exists(self) -> bool:
        return (self.folder / "run.json").is_file()

    def keep(self, run: Run) -> None:
        """Write the run; the JSON, which names the tensors' file, is renamed last."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{name}": value.cpu() for name, value in run.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in run.best.items()}
        for index, entry in run.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value).cpu() for name, value in entry.items()}
        tensors |= {"noise": run.noise.get_state(), "global": torch.get_rng_state()}
        name = f"run-{len(run.losses):04d}.safetensors"
        save_file({key: value.contiguous().clone() for key, value in tensors.items()}, self.folder / name)
        described = {
            "config": self.config,
            "tensors": name,
            "losses": run.losses,
            "scores": run.scores,
            "schedule": run.schedule.last_epoch,
            "order": run.order.bit_generator.state,
        }
        temporary = self.folder / "run.json.tmp"
        temporary.write_text(json.dumps(described))
        os.replace(temporary, self.folder / "run.json")
        for old in self.folder.glob("run-*.safetensors"):
            if old.name != name:
                old.unlink()

    def restore(self, run: Run) -> None:
        """Put a kept state back into a run that has just begun.

        Raises:
            CheckpointError: the state belongs to other settings.
        """
        described = json.loads((self.folder / "run.json").read_text())
        if described["config"] != self.config:
            changed = [key for key, value in self.config.items() if described["config"].get(key) != value]
            raise CheckpointError(
                f"{self.folder} holds a run of other settings ({', '.join(changed)}); finish it or remove it"
            )
        tensors = load_file(self.folder / described["tensors"])
        run.losses, run.scores = described["losses"], described["scores"]
        run.model.load_state_dict(_part(tensors, "model"))
        run.best = _part(tensors, "best")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, "optimizer").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        run.optimizer.load_state_dict({"state": state, "param_groups": run.optimizer.state_dict()["param_groups"]})
        run.schedule.last_epoch = described["schedule"]
        rates = zip(run.schedule.base_lrs, run.schedule.lr_lambdas, strict=True)
        for group, (base, rate) in zip(run.optimizer.param_groups, rates, strict=True):
            group["lr"] = base * rate(run.schedule.last_epoch)
        run.order.bit_generator.state = described["order"]
        run.noise.set_state(tensors["noise"])
        torch.set_rng_state(tensors["global"])


def _part(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `kind.`, without it."""
    return {name.removeprefix(f"{kind}."): value for name, value in tensors.items() if name.startswith(f"{kind}.")}
