"""The training loop, and encoding and scoring of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emoembed import metrics
from emoembed.errors import InputError, TrainingError
from emoembed.model.scorer import Scorer
from emoembed.reading.rows import EmotionData, buckets
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.execution.distributed import FEWEST_ROWS, Group
from emoembed.training.execution.run_state import Run, RunState
from emoembed.training.objective import Objective, Teacher

DIGESTED = 64
"""Number of frames of an input that are compared, to distinguish it from other inputs."""
Augment = Callable[[Tensor, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class History:
    """Mean training loss and validation score of each epoch, and the kept epoch. Empty if nothing was trained."""

    losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    kept_epoch: int = -1


def optimise(
    model: Scorer,
    train: EmotionData,
    valid: EmotionData,
    config: TrainConfig,
    *,
    augment: Mapping[str, Augment] | None = None,
    teacher: Teacher | None = None,
    execution: Execution = Execution(),
) -> History:
    """Optimise the weights of a model in place, and restore those of the best epoch (but see `TrainConfig.keep_last`).

    The loss of a single-label row is cross-entropy over its annotated labels, and that of a multi-label row is binary
    cross-entropy. The settings can add further terms (`objective`). The validation score is UAR for single-label rows
    and mean average precision for multi-label rows.

    Args:
        model: built for features like those of `train`, with fitted standardisation.
        train: the training rows.
        valid: the rows for choosing the best epoch. Test rows are not an argument.
        config: the training settings.
        augment: modality -> function that augments its training batches.
        teacher: a larger model's answers for the training rows, which are learned as well.
        execution: the device, a progress bar, and a folder from which a stopped run resumes.

    Returns:
        The history of the run.

    Raises:
        InputError: there are fewer than two training rows.
        TrainingError: an encoder returns NaN or infinite values.
        CheckpointError: the folder contains a run with other settings.
    """
    torch.manual_seed(config.seed)
    model.to(execution.device)
    if len(train) < FEWEST_ROWS:
        raise InputError(f"training needs at least {FEWEST_ROWS} rows; given {len(train)}")
    steps = config.steps or config.epochs * -(-len(train) // config.batch_size)
    run = _start_run(model, config, steps)
    objective = Objective(model, train, config, teacher)
    state = RunState(execution.resume, _fingerprint(model, train, valid, config)) if execution.resume else None
    if state and state.exists():
        state.restore(run)
    execution.group.require_same((_digest(train), _digest(valid), len(run.losses)), "rows and saved state")
    lengths = train.lengths()
    while len(run.losses) < config.epochs and (config.keep_last or not run.has_waited(config.patience)):
        batches = _batches(lengths, run, config)
        epoch_batches = _bar(batches, len(train), len(run.losses) + 1, config) if execution.progress else batches
        _seed_process(run, config, execution.group)
        loss = _train_epoch(run, objective, train, epoch_batches, config, augment or {}, execution)
        execution.group.average_statistics(model)
        run.add(loss, execution.group.of_leader(validation_score(model, valid, device=execution.device)))
        if state and execution.group.leads:
            state.keep(run)
        execution.group.wait()
    if not config.keep_last:
        model.load_state_dict(run.best)
    model.eval()
    kept = len(run.scores) - 1 if config.keep_last else run.best_epoch
    return History(tuple(run.losses), tuple(run.scores), kept)


def _start_run(model: Scorer, config: TrainConfig, steps: int) -> Run:
    for parameter in model.label_parameters():
        parameter.requires_grad_(not config.lock_labels)
    optimizer = torch.optim.AdamW(_parameter_groups(model, config), lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _learning_rate_factor(step / steps, config.warmup)
    )
    order, noise = np.random.default_rng(config.seed), torch.Generator().manual_seed(config.seed)
    return Run(model, optimizer, schedule, order, noise)


def _batches(lengths: np.ndarray, run: Run, config: TrainConfig) -> Iterator[np.ndarray]:
    """The batches of the next epoch. Batches of one row are left out."""
    epoch, steps = len(run.losses), config.steps
    passes = iter([0]) if steps is None else count()
    batches = (rows for _ in passes for rows in buckets(lengths, config.batch_size, run.order))
    enough = (rows for rows in batches if len(rows) >= FEWEST_ROWS)
    if steps is None:
        return enough
    return islice(enough, steps * (epoch + 1) // config.epochs - steps * epoch // config.epochs)


def _train_epoch(
    run: Run,
    objective: Objective,
    data: EmotionData,
    batches: Iterable[np.ndarray],
    config: TrainConfig,
    augment: Mapping[str, Augment],
    execution: Execution,
) -> float:
    """Train on the batches of an epoch, and return the mean loss."""
    run.model.train()
    parameters = [parameter for parameter in run.model.parameters() if parameter.requires_grad]
    total, items = 0.0, 0
    for rows in batches:
        run.optimizer.zero_grad(set_to_none=True)
        batch_loss = 0.0
        for part in execution.group.parts_of(rows, execution.portions):
            points = _encode(run, data.batch(part, config.max_frames), config, augment)
            loss = objective(points, part) * (len(part) / len(rows))
            loss.backward()
            batch_loss += loss.item()
        batch_loss = execution.group.add_up(parameters, batch_loss)
        torch.nn.utils.clip_grad_norm_(parameters, config.clip)
        run.optimizer.step()
        run.schedule.step()
        total, items = total + batch_loss * len(rows), items + len(rows)
    return total / items


def _encode(
    run: Run, batch: dict[str, tuple[Tensor, Tensor]], config: TrainConfig, augment: Mapping[str, Augment]
) -> dict[str, Tensor]:
    """The points of a batch by modality, in training: augmented, and without the dropped modalities."""
    device = next(run.model.parameters()).device
    for name, change in augment.items():
        if name in batch:
            batch[name] = (change(*batch[name], run.noise), batch[name][1])
    batch = _drop_modalities(batch, config.modality_dropout, run.noise)
    batch = {name: (frames.to(device), lengths.to(device)) for name, (frames, lengths) in batch.items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=config.bf16):
        points = run.model.encode(batch)
    _require_finite(points, batch, f"epoch {len(run.losses) + 1}", config)
    return points


def _seed_process(run: Run, config: TrainConfig, group: Group) -> None:
    """Give each of several processes its own random numbers in each epoch, for dropout and augmentation."""
    if group.size > 1:
        seed = (config.seed * 1000 + len(run.losses)) * group.size + group.rank
        torch.manual_seed(seed)
        run.noise.manual_seed(seed)


def _fingerprint(model: Scorer, train: EmotionData, valid: EmotionData, config: TrainConfig) -> dict[str, Any]:
    """What a saved state depends on. A run with other settings, rows, inputs or first weights is not resumed.

    Other numbers of threads give slightly other first weights, so their norm is compared, to four digits.
    """
    norm = torch.stack([value.detach().double().norm() for value in model.state_dict().values()]).norm()
    rows = {"rows": _digest(train, inputs=True), "validation rows": _digest(valid, inputs=True)}
    return {**asdict(config), **rows, "first weights": f"{float(norm):.4g}"}


def _digest(data: EmotionData, *, inputs: bool = False) -> str:
    """A digest of the ids and labels of rows, and of at most `DIGESTED` frames of each input."""
    digest = hashlib.sha256(repr((data.ids, data.labels)).encode("utf-8", "replace"))
    digest.update(np.ascontiguousarray(data.targets).tobytes())
    for name, store in data.inputs.items() if inputs else ():
        for row in data.ids:
            if row in store:
                values = store[row]
                digest.update(f"{name} {row} {values.shape}".encode("utf-8", "replace"))
                digest.update(np.ascontiguousarray(values[:: -(-len(values) // DIGESTED) or 1]).tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def encode_rows(model: Scorer, data: EmotionData, *, batch_size: int = 64, device: str = "cpu") -> dict[str, Tensor]:
    """Points `(rows, point_dim)` by modality, in the order of the data; NaN if a row lacks the modality."""
    model.eval()
    max_frames = {name: model.config.modalities[name].longest for name in data.inputs}
    order = np.argsort(data.lengths(), kind="stable")
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, len(order), batch_size):
        batch = data.batch(order[start : start + batch_size], max_frames)
        batch = {name: (frames.to(device), lengths.to(device)) for name, (frames, lengths) in batch.items()}
        for name, points in model.encode(batch).items():
            parts.setdefault(name, []).append(points)
    inverse = torch.from_numpy(np.argsort(order, kind="stable"))
    return {name: torch.cat(points)[inverse.to(points[0].device)] for name, points in parts.items()}


def picked(points: Mapping[str, Tensor], whole: EmotionData, part: EmotionData) -> dict[str, Tensor]:
    """Select the points of the rows in `part` from the points of the rows in `whole`, in the order of `part`."""
    position_of = {row: i for i, row in enumerate(whole.ids)}
    positions = torch.tensor([position_of[row] for row in part.ids], dtype=torch.long)
    return {name: matrix[positions] for name, matrix in points.items()}


@torch.inference_mode()
def score_rows(model: Scorer, points: Mapping[str, Tensor], labels: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Logits `(rows, labels)` of encoded rows by modality, and the fused logits under `"fused"`."""
    device = next(iter(points.values())).device
    logits = model.score(points, {name: point.to(device) for name, point in model.label_points(labels).items()})
    logits = {**logits, "fused": model.fuse(logits)}
    return {name: matrix.float().cpu().numpy() for name, matrix in logits.items()}


def predict_logits(
    model: Scorer, data: EmotionData, labels: tuple[str, ...] | None = None, *, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """Logits `(rows, labels)` by modality, and the fused logits under `"fused"`; NaN if a row lacks the modality."""
    return score_rows(model, encode_rows(model, data, device=device), labels or data.labels)


def validation_score(model: Scorer, data: EmotionData, *, device: str = "cpu") -> float:
    """UAR of single-label rows, mean average precision of multi-label rows; higher is better."""
    logits = predict_logits(model, data, device=device)["fused"]
    return metrics.score_of(logits, data.targets, data.multi_label)


def _require_finite(
    points: Mapping[str, Tensor], batch: Mapping[str, tuple[Tensor, Tensor]], when: str, config: TrainConfig
) -> None:
    """Raise TrainingError if an encoder returns NaN or infinite values for a present item.

    Without this check, NaN would count as an absent modality.
    """
    for name, matrix in points.items():
        present = batch[name][1] > 0 if name in batch else torch.ones(len(matrix), dtype=torch.bool)
        faulty = int((~matrix.isfinite().all(dim=1) & present.to(matrix.device)).sum())
        if faulty:
            raise TrainingError(
                f"training diverged in {when}: the {name} encoder returned NaN or infinite values for {faulty} of "
                f"{len(matrix)} rows of a batch; check the features for NaN and extreme values, or lower the learning "
                f"rate (now {config.learning_rate})"
            )


def _parameter_groups(model: Scorer, config: TrainConfig) -> list[dict[str, object]]:
    """Parameter groups of the optimiser: weight decay applies to weight matrices only.

    Biases, norms and scales do not decay. Label projections do not either, because they have their own penalty.
    """
    with_decay: list[torch.nn.Parameter] = []
    without_decay: list[torch.nn.Parameter] = []
    label_ids = set(map(id, model.label_parameters()))
    for parameter in model.parameters():
        if parameter.requires_grad:
            (with_decay if parameter.ndim > 1 and id(parameter) not in label_ids else without_decay).append(parameter)
    return [{"params": with_decay, "weight_decay": config.weight_decay}, {"params": without_decay, "weight_decay": 0.0}]


def _learning_rate_factor(progress: float, warmup: float) -> float:
    """Linear warm-up, then a cosine decay to 1 % of the learning rate."""
    if progress < warmup:
        return progress / warmup
    return 0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min((progress - warmup) / (1 - warmup), 1.0))))


def _drop_modalities(
    batch: dict[str, tuple[Tensor, Tensor]], chance: float, noise: torch.Generator
) -> dict[str, tuple[Tensor, Tensor]]:
    """Remove a random modality from some rows, but never the only one of a row."""
    if chance == 0.0 or len(batch) < 2:
        return batch
    present = torch.stack([lengths > 0 for _, lengths in batch.values()])
    choice = torch.randint(len(batch), present.shape[1:], generator=noise)
    rows = (torch.rand(present.shape[1], generator=noise) < chance) & (present.sum(dim=0) > 1)
    return {
        name: (frames, lengths.masked_fill(rows & (choice == i), 0))
        for i, (name, (frames, lengths)) in enumerate(batch.items())
    }


def _bar(batches: Iterable[np.ndarray], rows: int, epoch: int, config: TrainConfig) -> Iterable[np.ndarray]:
    from tqdm import tqdm

    total = -(-rows // config.batch_size) if config.steps is None else config.steps // config.epochs
    bar: Iterable[np.ndarray] = tqdm(batches, desc=f"epoch {epoch}/{config.epochs}", total=total, leave=False)
    return bar
