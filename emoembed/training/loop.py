"""Training, in one loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from emoembed import metrics
from emoembed.errors import TrainingError
from emoembed.model.scorer import Scorer
from emoembed.reading.rows import EmotionData, buckets
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.objective import Objective
from emoembed.training.run_state import Run, RunState

Augment = Callable[[Tensor, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class History:
    """The mean training loss and the validation score of each epoch, and the best epoch; empty without training."""

    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    best_epoch: int = -1


def fit(
    model: Scorer,
    train: EmotionData,
    valid: EmotionData,
    config: TrainConfig,
    *,
    augment: Mapping[str, Augment] | None = None,
    execution: Execution = Execution(),
) -> History:
    """Train a model in place and leave it with the weights of its best epoch on validation.

    The loss is cross-entropy over a row's annotated labels where they exclude each other, and binary cross-entropy
    where they do not, and what else the settings ask for (`objective`). The validation score is UAR or mean average
    precision, likewise.

    Args:
        model: built on features like those of `train`; its standardisation must have been fitted.
        train: the rows to learn from.
        valid: the rows that choose the best epoch. No test data has a way in.
        config: how to train.
        augment: modality -> what to do to its training batches.
        execution: the device, a progress bar, and a folder to go on from.

    Returns:
        History of the run.

    Raises:
        TrainingError: an encoder gives NaN.
        CheckpointError: the folder to go on from holds a run of other settings.
    """
    torch.manual_seed(config.seed)
    model.to(execution.device)
    steps = config.epochs * -(-len(train) // config.batch_size)
    run = _begin(model, config, steps)
    objective = Objective(model, train, config)
    state = RunState(execution.resume, asdict(config)) if execution.resume else None
    if state and state.exists():
        state.restore(run)
    lengths = train.lengths()
    while len(run.losses) < config.epochs and not run.has_waited(config.patience):
        batches = buckets(lengths, config.batch_size, run.order)
        shown = _bar(batches, len(train), len(run.losses) + 1, config) if execution.progress else batches
        loss = _train_epoch(run, objective, train, shown, config, augment or {})
        run.add(loss, validation_score(model, valid, device=execution.device))
        if state:
            state.keep(run)
    model.load_state_dict(run.best)
    model.eval()
    return History(tuple(run.losses), tuple(run.scores), run.best_epoch)


def _begin(model: Scorer, config: TrainConfig, steps: int) -> Run:
    if config.lock_labels:
        for parameter in model.label_parameters():
            parameter.requires_grad_(False)
    optimizer = torch.optim.AdamW(_groups(model, config), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step / steps, config.warmup))
    order, noise = np.random.default_rng(config.seed), torch.Generator().manual_seed(config.seed)
    return Run(model, optimizer, schedule, order, noise)


def _train_epoch(
    run: Run,
    objective: Objective,
    data: EmotionData,
    batches: Iterable[np.ndarray],
    config: TrainConfig,
    augment: Mapping[str, Augment],
) -> float:
    """One pass over the rows; the mean loss."""
    run.model.train()
    parameters = [parameter for parameter in run.model.parameters() if parameter.requires_grad]
    device = parameters[0].device
    total, seen = 0.0, 0
    for rows in batches:
        if len(rows) < 2:  # batch normalisation needs two
            continue
        batch = data.batch(rows, config.max_frames)
        for name, change in augment.items():
            if name in batch:
                batch[name] = (change(*batch[name], run.noise), batch[name][1])
        batch = _drop_modalities(batch, config.modality_dropout, run.noise)
        batch = {name: (frames.to(device), lengths.to(device)) for name, (frames, lengths) in batch.items()}
        with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
            points = run.model.encode(batch)
        _require_finite(points, batch, f"epoch {len(run.losses) + 1}", config)
        loss = objective(points, rows)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, config.clip)
        run.optimizer.step()
        run.schedule.step()
        total, seen = total + loss.item() * len(rows), seen + len(rows)
    return total / seen


@torch.inference_mode()
def encode_rows(model: Scorer, data: EmotionData, *, batch_size: int = 64, device: str = "cpu") -> dict[str, Tensor]:
    """Each modality's points `(rows, embed_dim)`, in the data's order; NaN where a row lacks the modality."""
    model.eval()
    longest = {name: model.config.modalities[name].longest for name in data.inputs}
    order = np.argsort(data.lengths(), kind="stable")
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(order), batch_size):
        batch = data.batch(order[start : start + batch_size], longest)
        batch = {name: (frames.to(device), lengths.to(device)) for name, (frames, lengths) in batch.items()}
        for name, points in model.encode(batch).items():
            parts.setdefault(name, []).append(points)
    back = torch.from_numpy(np.argsort(order, kind="stable"))
    return {name: torch.cat(points)[back.to(points[0].device)] for name, points in parts.items()}


def picked(points: Mapping[str, Tensor], whole: EmotionData, part: EmotionData) -> dict[str, Tensor]:
    """Those of encoded rows that are in `part`, in its order."""
    place = {row: i for i, row in enumerate(whole.ids)}
    at = torch.tensor([place[row] for row in part.ids], dtype=torch.long)
    return {name: matrix[at] for name, matrix in points.items()}


@torch.inference_mode()
def score_rows(model: Scorer, points: Mapping[str, Tensor], labels: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Logits `(rows, labels)` of encoded rows by modality, and their fusion under `"fused"`."""
    device = next(iter(points.values())).device
    logits = model.score(points, {name: point.to(device) for name, point in model.label_points(labels).items()})
    logits = {**logits, "fused": model.fuse(logits)}
    return {name: matrix.float().cpu().numpy() for name, matrix in logits.items()}


def predict_logits(
    model: Scorer, data: EmotionData, labels: tuple[str, ...] | None = None, *, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Logits `(rows, labels)` by modality, and their fusion under `"fused"`; NaN where a row lacks a modality."""
    return score_rows(model, encode_rows(model, data, device=device), labels or data.labels)


def validation_score(model: Scorer, data: EmotionData, *, device: str = "cpu") -> float:
    """UAR where labels exclude each other, mean average precision where they do not; higher is better."""
    logits = predict_logits(model, data, device=device)["fused"]
    return metrics.score_of(logits, data.targets, data.multi_label)


def _require_finite(
    points: Mapping[str, Tensor], batch: Mapping[str, tuple[Tensor, Tensor]], when: str, config: TrainConfig
) -> None:
    """Raise TrainingError where an encoder has no finite point for an item it was given; NaN would pass as absent."""
    for name, matrix in points.items():
        there = batch[name][1] > 0 if name in batch else torch.ones(len(matrix), dtype=torch.bool)
        lost = int((~matrix.isfinite().all(dim=1) & there.to(matrix.device)).sum())
        if lost:
            raise TrainingError(
                f"training diverged in {when}: the {name} encoder gives NaN for {lost} of {len(matrix)} rows; check "
                f"the features for NaN or extreme values, or lower the learning rate (now {config.learning_rate})"
            )


def _groups(model: Scorer, config: TrainConfig) -> list[dict[str, object]]:
    """Weight matrices decay; biases, norms, scales and the label projections (held by their own penalty) do not."""
    decayed: list[torch.nn.Parameter] = []
    kept: list[torch.nn.Parameter] = []
    of_labels = set(map(id, model.label_parameters()))
    for parameter in model.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 and id(parameter) not in of_labels else kept).append(parameter)
    return [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept, "weight_decay": 0.0}]


def _rate(progress: float, warmup: float) -> float:
    """Linear rise, then half a cosine down to 1 %."""
    if progress < warmup:
        return progress / warmup
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min((progress - warmup) / (1 - warmup), 1.0))))


def _drop_modalities(
    batch: dict[str, tuple[Tensor, Tensor]], chance: float, noise: torch.Generator
) -> dict[str, tuple[Tensor, Tensor]]:
    """Hide a modality from some rows, never a row's last one."""
    if chance == 0.0 or len(batch) < 2:
        return batch
    present = torch.stack([lengths > 0 for _, lengths in batch.values()])
    victim = torch.randint(len(batch), present.shape[1:], generator=noise)
    loses = (torch.rand(present.shape[1], generator=noise) < chance) & (present.sum(dim=0) > 1)
    return {
        name: (frames, lengths.masked_fill(loses & (victim == i), 0))
        for i, (name, (frames, lengths)) in enumerate(batch.items())
    }


def _bar(batches: Iterable[np.ndarray], rows: int, epoch: int, config: TrainConfig) -> Iterable[np.ndarray]:
    from tqdm import tqdm

    count = -(-rows // config.batch_size)
    shown: Iterable[np.ndarray] = tqdm(batches, desc=f"epoch {epoch}/{config.epochs}", total=count, leave=False)
    return shown
