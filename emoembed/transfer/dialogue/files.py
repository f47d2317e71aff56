"""A pre-trained context on disk: `context.safetensors` and `context.json`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from emoembed.encoders.context import ContextEncoder, ContextSettings
from emoembed.errors import CheckpointError, MissingFileError, OutputError
from emoembed.features import atomic
from emoembed.transfer.dialogue.pretrain import PretrainConfig, Pretrained
from emoembed.transfer.spec import SPECS, TransferReport, TransferSpec

WEIGHTS, DESCRIPTION = "context.safetensors", "context.json"
VERSION = 1


def require_own_folder(folder: str | Path) -> Path:
    """Check that a pre-trained context may be saved to a folder. Raises OutputError if the folder has other files."""
    folder = Path(folder)
    others = (
        [path.name for path in folder.iterdir() if path.name not in (WEIGHTS, DESCRIPTION)] if folder.is_dir() else []
    )
    if others or folder.is_file():
        raise OutputError(
            f"{folder} is not a folder of a pre-trained context ({', '.join(others[:3])}); give a new one"
        )
    return folder


def save_pretrained(pretrained: Pretrained, folder: str | Path, config: PretrainConfig, source: dict[str, Any]) -> None:
    """Save a pre-trained context. The folder is replaced completely or not at all.

    Args:
        pretrained: the context.
        folder: a folder for it only.
        config: the settings of the pre-training.
        source: the data of the pre-training, as plain values.
    """
    encoder = pretrained.encoder
    description = {
        "version": VERSION,
        "pretraining": {
            **asdict(config),
            "losses": pretrained.losses,
            "divergences": pretrained.divergences,
            "best_epoch": pretrained.best_epoch,
            **source,
        },
    }

    def fill(new_folder: Path) -> None:
        (new_folder / WEIGHTS).write_bytes(save({name: w.contiguous() for name, w in encoder.state_dict().items()}))
        (new_folder / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")

    atomic.write_folder(require_own_folder(folder), fill)


class PretrainedStart:
    """A pre-trained context that the training of a context starts from.

    Args:
        source: the pre-trained context.
        spec: which of its weights move.

    Attributes:
        report: the loaded weights, after training has started.
    """

    def __init__(self, source: ContextEncoder, spec: TransferSpec = SPECS["tl_erc"]) -> None:
        self.source, self.spec = source, spec
        self.report: TransferReport | None = None

    @property
    def settings(self) -> ContextSettings:
        """The size of the recurrence."""
        return self.source.settings

    def load_into(self, encoder: ContextEncoder) -> TransferReport:
        """Copy the weights into an untrained context, in place."""
        self.report = self.spec.apply(self.source.state_dict(), encoder)
        return self.report


def read_pretrained(folder: str | Path) -> ContextEncoder:
    """Read a pre-trained context.

    Raises:
        MissingFileError: the folder or one of its files does not exist.
        CheckpointError: a file is damaged or of another version.
    """
    folder = Path(folder)
    with atomic.reading(folder) as snapshot:
        for name in (DESCRIPTION, WEIGHTS):
            if not (snapshot / name).is_file():
                raise MissingFileError(f"{folder} has no {name}; make it with emoembed pretrain dialogue")
        try:
            description = json.loads((snapshot / DESCRIPTION).read_text(encoding="utf-8"))
            if description["version"] != VERSION:
                raise CheckpointError(f"{folder} has version {description['version']!r}; expected {VERSION}")
            weights = load((snapshot / WEIGHTS).read_bytes())
            prefix, suffix = "outputs.", ".weight"
            outputs = {name: weight for name, weight in weights.items() if name.startswith(prefix)}
            dims = {name.removeprefix(prefix).removesuffix(suffix): len(weight) for name, weight in outputs.items()}
            encoder = ContextEncoder(dims, ContextSettings(weights["gru.weight_hh_l0"].shape[1]))
            encoder.load_state_dict(weights)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"the pre-trained context in {folder} cannot be read: {error}") from error
    return encoder.eval()
