"""The state of a training run, saved after every epoch, so that a stopped run resumes with the same result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from emoembed.errors import CheckpointError
from emoembed.features.atomic import write_file
from emoembed.model.scorer import Scorer


@dataclass
class Run:
    """Everything that the next epoch depends on."""

    model: Scorer
    optimizer: Optimizer
    schedule: LambdaLR
    order: np.random.Generator  # for the order of rows
    noise: torch.Generator  # for augmentation and modality dropout
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)  # the weights of the best epoch

    @property
    def best_epoch(self) -> int:
        """The epoch with the highest score. If scores are equal, the last epoch, because it was trained longest."""
        return len(self.scores) - 1 - int(np.argmax(self.scores[::-1]))

    def has_waited(self, patience: int) -> bool:
        """Whether at least `patience` epochs have passed since the best epoch."""
        return bool(self.scores) and len(self.scores) - 1 - self.best_epoch >= patience

    def add(self, loss: float, score: float) -> None:
        """Record the loss and score of an epoch, and copy its weights if it is the best so far."""
        self.losses.append(loss)
        self.scores.append(score)
        if self.best_epoch == len(self.scores) - 1:
            self.best = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}


class RunState:
    """The state of a run on disk: tensors as safetensors, the rest as JSON; no pickle.

    Args:
        folder: the folder for the state.
        config: the settings of the run. A state with other settings is not restored.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder, self.config = folder, dict(config)

    def exists(self) -> bool:
        return (self.folder / "run.json").is_file()

    def keep(self, run: Run) -> None:
        """Write the run. The JSON file names the tensor file; it is written last, so the state is never incomplete."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{name}": value.cpu() for name, value in run.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in run.best.items()}
        for index, entry in run.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value).cpu() for name, value in entry.items()}
        tensors |= {"noise": run.noise.get_state(), "global": torch.get_rng_state()}
        name = f"run-{len(run.losses):04d}.safetensors"
        write_file(self.folder / name, save({key: value.contiguous().clone() for key, value in tensors.items()}))
        values = {
            "config": self.config,
            "tensors": name,
            "losses": run.losses,
            "scores": run.scores,
            "schedule": run.schedule.last_epoch,
            "order": run.order.bit_generator.state,
        }
        write_file(self.folder / "run.json", json.dumps(values).encode())
        for path in self.folder.glob("run-*.safetensors"):
            if path.name != name:
                path.unlink()

    def restore(self, run: Run) -> None:
        """Load the saved state into a new run.

        Raises:
            CheckpointError: the state has other settings, or is damaged.
        """
        try:
            self._restore(run)
        except CheckpointError:
            raise
        except (
            *(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError),
            *(RuntimeError, SafetensorError),
        ) as error:
            raise CheckpointError(
                f"{self.folder} contains a run that cannot be resumed, because its files are damaged or incomplete "
                f"({error!r:.200}); delete the folder to train from the beginning"
            ) from error

    def _restore(self, run: Run) -> None:
        values = json.loads((self.folder / "run.json").read_text(encoding="utf-8"))
        if values["config"] != self.config:
            differences = [key for key, value in self.config.items() if values["config"].get(key) != value]
            raise CheckpointError(
                f"{self.folder} contains a run with other settings ({', '.join(differences)}); use the same settings "
                "to resume it, or delete it"
            )
        tensors = load_file(self.folder / values["tensors"])
        run.losses, run.scores = (list(map(float, values[name])) for name in ("losses", "scores"))
        run.model.load_state_dict(_with_prefix(tensors, "model"))
        run.best = _with_prefix(tensors, "best")
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _with_prefix(tensors, "optimizer").items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        run.optimizer.load_state_dict({"state": state, "param_groups": run.optimizer.state_dict()["param_groups"]})
        run.schedule.last_epoch = values["schedule"]
        rates = zip(run.schedule.base_lrs, run.schedule.lr_lambdas, strict=True)
        for group, (base, rate) in zip(run.optimizer.param_groups, rates, strict=True):
            group["lr"] = base * rate(run.schedule.last_epoch)
        run.order.bit_generator.state = values["order"]
        run.noise.set_state(tensors["noise"])
        torch.set_rng_state(tensors["global"])


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix.`; the prefix is removed from the names."""
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
