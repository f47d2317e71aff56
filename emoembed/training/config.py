"""How to train."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emoembed.errors import InputError


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults suit a few thousand clips."""

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: float = 0.1  # share of the steps over which the rate rises, before it falls as a cosine
    patience: int = 10  # epochs without a better validation score before stopping
    clip: float = 1.0  # largest gradient norm
    stay_close: float = 0.1  # holds label projections near their start, or unseen labels drift
    stay_close_text: float = 0.0  # holds adapted transformer weights near the trunk's
    pull: float = 0.0  # towards the point of the row's label itself, beside telling labels apart; see `objective.pull`
    lock_labels: bool = False  # label projections stay as they start
    balance: float = 0.0  # 0 every row alike, 1 every label alike
    positive_weight: bool = False  # of labels that may occur together: negatives / positives, as Dai et al. 2020
    label_smoothing: float = 0.0
    modality_dropout: float = 0.0  # chance that a row loses a modality it need not have
    max_frames: int = 600
    bf16: bool = True  # autocast: two to three times faster on CPUs that have it
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError(f"epochs >= 1 and batch_size >= 2 are needed; given {self.epochs}, {self.batch_size}")


@dataclass(frozen=True)
class Execution:
    """Where a training runs and what it shows and keeps meanwhile. Nothing here changes the weights."""

    device: str = "cpu"
    progress: bool = False  # show a bar
    resume: Path | None = None
    """A folder that keeps the state after every epoch. A stopped run goes on from it exactly."""
