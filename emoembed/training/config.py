"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emoembed.errors import InputError
from emoembed.training.execution.distributed import ALONE, Group


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the training loop. The defaults suit a few thousand clips."""

    epochs: int = 30
    steps: int | None = None
    """Optimisation steps in all, divided evenly among the epochs. None: an epoch is one pass over the rows."""
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: float = 0.1  # share of the steps with a rising learning rate; then it falls as a cosine
    patience: int = 10  # training stops after this many epochs without a better validation score
    keep_last: bool = False
    """Train for all epochs and keep the weights of the last epoch, if validation rows are too few to choose an
    epoch."""
    clip: float = 1.0  # largest gradient norm
    stay_close: float = 0.1  # weight of the penalty on changes of label projections; without it unseen labels drift
    pull: float = 0.0  # weight of the distance between an item and the point of its label; see `objective.pull`
    lock_labels: bool = False  # whether label projections keep their initial weights
    balance: float = 0.0  # 0: equal weight for every row; 1: equal weight for every label
    positive_weight: bool = False  # weight positives by negatives / positives in multi-label rows, as Dai et al. 2020
    label_smoothing: float = 0.0
    one_question: bool = False
    """Multi-label rows: cross-entropy over the labels, shared equally by the labels of the row, as for single-label
    rows. False: binary cross-entropy of each label."""
    adjust: bool = False
    """Add the logarithm of a label's frequency in the row's corpus to its logit (logit adjustment, Menon et al. 2021),
    so that the points do not learn how frequent a label was."""
    imitate: float = 0.0  # weight of the divergence from a teacher's answers; see `objective.Teacher`
    modality_dropout: float = 0.0  # probability that a row with several modalities loses one
    max_frames: int = 600
    bf16: bool = True  # autocast to bfloat16: two to three times faster on CPUs that support it
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2:
            raise InputError(
                f"give epochs >= 1 and batch_size >= 2; given epochs {self.epochs} and batch_size {self.batch_size}"
            )
        if self.steps is not None and self.steps < self.epochs:
            raise InputError(f"give at least one step per epoch; given {self.steps} steps and {self.epochs} epochs")


@dataclass(frozen=True)
class Execution:
    """How a training run is executed. Apart from rounding, these settings do not change the trained weights."""

    device: str = "cpu"
    progress: bool = False  # whether to show a progress bar
    resume: Path | None = None
    """Folder for the training state, saved after every epoch. A stopped run resumes from it with the same result;
    with faces of films, other faces are drawn."""
    group: Group = ALONE
    """The processes that train together; see `distributed.joined`."""
    portions: int = 1
    """Parts into which each batch is divided, one after the other, so that it needs less memory. Their gradients are
    added up (gradient accumulation)."""

    def __post_init__(self) -> None:
        if isinstance(self.portions, bool) or not isinstance(self.portions, int) or self.portions < 1:
            raise InputError(f"portions must be a whole number of at least 1; given {self.portions!r:.40}")
