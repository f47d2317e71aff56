"""The state of a training run, kept after every epoch so that a killed run goes on exactly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from emoembed.errors import CheckpointError


class RunState:
    """The state of a run on disk, without pickle: tensors as safetensors, the rest as JSON."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder, self.config = folder, config

    def exists(self) -> bool:
        return (self.folder / "run.json").is_file()

    def keep(self, model, optimizer, schedule, order, noise, losses, scores, best) -> None:  # type: ignore[no-untyped-def]
        """Write everything the next epoch depends on; the JSON, which names the tensors' file, is renamed last."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"model.{k}": v.cpu() for k, v in model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in best.items()}
        for index, entry in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v).cpu() for k, v in entry.items()}
        tensors |= {"noise": noise.get_state(), "global": torch.get_rng_state()}
        name = f"run-{len(losses):04d}.safetensors"
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, self.folder / name)
        described = {
            "config": self.config,
            "tensors": name,
            "losses": losses,
            "scores": scores,
            "schedule": schedule.last_epoch,
            "order": order.bit_generator.state,
        }
        temporary = self.folder / "run.json.tmp"
        temporary.write_text(json.dumps(described))
        os.replace(temporary, self.folder / "run.json")
        for old in self.folder.glob("run-*.safetensors"):
            if old.name != name:
                old.unlink()

    def restore(self, model, optimizer, schedule, order, noise):  # type: ignore[no-untyped-def]
        """Put a kept state back. Raises CheckpointError when it belongs to another configuration."""
        described = json.loads((self.folder / "run.json").read_text())
        if described["config"] != self.config:
            changed = [k for k, v in self.config.items() if described["config"].get(k) != v]
            raise CheckpointError(
                f"{self.folder} holds a run of other settings ({', '.join(changed)}); finish it or remove it"
            )
        tensors = load_file(self.folder / described["tensors"])
        part = {kind: {} for kind in ("model", "best", "optimizer")}  # type: dict[str, dict[str, Tensor]]
        for name, value in tensors.items():
            kind, _, rest = name.partition(".")
            if kind in part:
                part[kind][rest] = value
        model.load_state_dict(part["model"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in part["optimizer"].items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        schedule.last_epoch = described["schedule"]
        for group, base, rate in zip(optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True):
            group["lr"] = base * rate(schedule.last_epoch)
        order.bit_generator.state = described["order"]
        noise.set_state(tensors["noise"])
        torch.set_rng_state(tensors["global"])
        return described["losses"], described["scores"], part["best"]
