"""Train the reader of facial actions: a face network that learns how faces move, without any emotion label.

The teacher is MediaPipe's Face Landmarker (Google; Apache-2.0). For each face it gives 52 blendshapes: how far a brow
is raised, a corner of the mouth is pulled, and so on. `blendshapes.py` asks the teacher; this file reads its answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.encoders.faces import FaceSettings
from emoembed.encoders.facial_actions import LARGEST, FacialActionReader
from emoembed.errors import InputError
from emoembed.labels.descriptions import FACE
from emoembed.training import augment
from emoembed.training.execution.run_state import Run, RunState

BLENDSHAPES = Path("build/blendshapes.npz")
REVISION = 1
"""Increase it when a change of the training makes a finished reader stale."""
EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY, WARMUP, DROPOUT = 16, 128, 2e-3, 0.05, 0.1, 0.2
FLOOR, MOST = 1e-3, 4.0
"""Blendshapes are from 0 to 1, and most are near 0. Their logarithm above `FLOOR` is learned, standardised and clipped
at `MOST` standard deviations."""
PENALTY = 100.0
SIDES = ("", "Left", "Right")
MUSCLES = {
    "brows up": (("browInnerUp",), ("browOuterUp",)),
    "brows down": (("browDown",),),
    "eyes wide": (("eyeWide",),),
    "eyes narrow": (("eyeSquint",), ("eyeBlink",)),
    "smile": (("mouthSmile",),),
    "cheeks": (("cheekSquint",),),
    "mouth down": (("mouthFrown",),),
    "mouth open": (("jawOpen",), ("mouthLowerDown",)),
    "mouth tight": (("mouthPress",), ("mouthRollLower", "mouthRollUpper")),
    "nose": (("noseSneer",), ("mouthUpperUp",)),
    "gaze away": (("eyeLookDown",),),
    "soft": (),
}
"""Facial action -> groups of blendshapes. An action is the mean of its groups, and a group is the mean of its
blendshapes on both sides of the face. A soft face moves nothing: its action is minus the mean size of all groups."""


def read_blendshapes(file: Path) -> tuple[list[str], np.ndarray, list[str]]:
    """What `blendshapes.py` wrote: paths of images, blendshapes `(images, 52)` with NaN without a face, and names."""
    if not file.is_file():
        raise InputError(f"there is no {file}; make it with: make blendshapes DATA=DIR")
    with np.load(file) as arrays:
        missing = [name for name in ("paths", "values", "names") if name not in arrays]
        if missing:
            raise InputError(f"{file} lacks {', '.join(missing)}; make it with checkpoints/build/blendshapes.py")
        return arrays["paths"].tolist(), arrays["values"], arrays["names"].tolist()


def standardised(values: np.ndarray) -> np.ndarray:
    """Logarithms of blendshapes `(images, names)` with mean 0 and deviation 1 over the images; NaN stays NaN."""
    logs = np.log(values + FLOOR)
    scaled: np.ndarray = (logs - np.nanmean(logs, axis=0)) / np.maximum(np.nanstd(logs, axis=0), FLOOR)
    return scaled.clip(-MOST, MOST)


def actions_of(scaled: np.ndarray, names: list[str]) -> np.ndarray:
    """Standardised blendshapes `(faces, names)` -> facial actions `(faces, actions)` in the order of `FACE`.

    Raises:
        InputError: a blendshape of an action has no column.
    """
    position_of = {name: i for i, name in enumerate(names)}

    def mean_of(group: tuple[str, ...]) -> np.ndarray:
        parts = [position_of[part + side] for part in group for side in SIDES if part + side in position_of]
        if not parts:
            raise InputError(f"the blendshapes lack {', '.join(group)}; they are those of MediaPipe's Face Landmarker")
        mean: np.ndarray = scaled[:, parts].mean(axis=1)
        return _unit(mean)

    means = {group: mean_of(group) for groups in MUSCLES.values() for group in groups}
    still = -np.mean([np.abs(mean) for mean in means.values()], axis=0)
    columns = [
        np.mean([means[group] for group in MUSCLES[action]], axis=0) if MUSCLES[action] else still for action in FACE
    ]
    return np.stack([_unit(column) for column in columns], axis=1).clip(-LARGEST, LARGEST)


def _unit(column: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = (column - column.mean()) / max(column.std(), FLOOR)
    return scaled


def train_reader(faces: np.ndarray, values: np.ndarray, names: list[str], folder: Path) -> FacialActionReader:
    """Train a reader on faces `(faces, side * side)` and on the teacher's blendshapes `(faces, names)`.

    First the network learns all blendshapes that vary. Then the layer of the actions is fitted on what it has learned.
    A stopped training resumes from `folder`.
    """
    read = ~np.isnan(values).any(axis=1)
    varied = np.nanstd(np.log(values + FLOOR), axis=0) > FLOOR
    scaled = standardised(values)
    torch.manual_seed(0)
    reader = FacialActionReader(FaceSettings(dropout=DROPOUT))
    images, goals = torch.from_numpy(faces), torch.from_numpy(scaled[:, varied].astype(np.float32))
    layer = nn.Linear(reader.encoder.features_dim // 2, goals.shape[1])
    _train(reader, layer, images, goals, folder)
    _fit_actions(reader.eval(), images[torch.from_numpy(read)], actions_of(scaled[read], names))
    return reader


def _start(model: nn.Module, batches: int) -> Run:
    parameters = list(model.parameters())
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_of(EPOCHS * batches))
    unchecked: Any = model  # a `Run` is made for a `Scorer`, but uses only its weights
    return Run(unchecked, optimizer, schedule, np.random.default_rng(0), torch.Generator().manual_seed(0))


def rate_of(steps: int) -> Callable[[int], float]:
    """Factor of the learning rate by step: a linear warm-up, then a cosine to 0."""

    def rate(step: int) -> float:
        progress = step / steps
        if progress < WARMUP:
            return progress / WARMUP
        return 0.5 * (1 + float(np.cos(np.pi * min((progress - WARMUP) / (1 - WARMUP), 1.0))))

    return rate


def _train(reader: FacialActionReader, layer: nn.Linear, images: Tensor, goals: Tensor, folder: Path) -> None:
    """Learn blendshapes `(images, shapes)`; NaN where the teacher found no face. An incomplete batch is skipped."""
    model, batches = nn.ModuleDict({"reader": reader, "layer": layer}), max(len(images) // BATCH, 1)
    run, parameters = _start(model, batches), list(model.parameters())
    state = RunState(folder, {"epochs": EPOCHS, "batch": BATCH, "faces": len(images)})
    if state.exists():
        state.restore(run)
    while len(run.losses) < EPOCHS:
        model.train()
        losses = []
        for rows in torch.from_numpy(run.order.permutation(len(images))).split(BATCH)[:batches]:
            lengths = torch.ones(len(rows), dtype=torch.long)
            frames = augment.faces(images[rows][:, None], lengths, run.noise)
            with torch.autocast("cpu", torch.bfloat16):
                shapes = layer(reader.features(frames, lengths))
            known = ~goals[rows].isnan()
            loss = (shapes.float() - goals[rows].nan_to_num(0.0)).square()[known].mean()
            run.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            run.optimizer.step()
            run.schedule.step()
            losses.append(loss.item())
        run.add(float(np.mean(losses)), float(len(run.losses)))  # the last epoch is the best
        state.keep(run)
        print(f"facial actions, epoch {len(run.losses)} of {EPOCHS}: loss {run.losses[-1]:.4f}", flush=True)


@torch.no_grad()
def _fit_actions(reader: FacialActionReader, images: Tensor, actions: np.ndarray) -> None:
    """Fit the layer of the actions by ridge regression on the features that the network has learned."""
    parts = images[:, None].split(256)
    features = torch.cat([reader.features(part, torch.ones(len(part), dtype=torch.long)).float() for part in parts])
    reader.out.fit(features, torch.from_numpy(actions.astype(np.float32)), penalty=PENALTY)
