"""Train the reader of facial actions: a face network that learns how faces move, without any emotion label.

The teacher is MediaPipe's Face Landmarker (Google; Apache-2.0). For each face it gives 52 blendshapes: how far a brow
is raised, a corner of the mouth is pulled, and so on. `blendshapes.py` asks the teacher; this file reads its answers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emoembed.encoders.faces import FaceSettings
from emoembed.encoders.facial_actions import LARGEST, FacialActionReader
from emoembed.encoders.ridge import solve
from emoembed.errors import InputError
from emoembed.labels.descriptions import FACE
from emoembed.training import augment

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
    """Standardised blendshapes `(faces, names)` -> facial actions `(faces, actions)` in the order of `FACE`."""
    position_of = {name: i for i, name in enumerate(names)}

    def mean_of(group: tuple[str, ...]) -> np.ndarray:
        parts = [position_of[part + side] for part in group for side in SIDES if part + side in position_of]
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


def train_reader(faces: np.ndarray, values: np.ndarray, names: list[str], state: Path) -> FacialActionReader:
    """Train a reader on faces `(faces, side * side)` and on the teacher's blendshapes `(faces, names)`.

    First the network learns all blendshapes that vary. Then the layer of the actions is fitted on what it has learned.
    `state` is a file from which a stopped training resumes.
    """
    read = ~np.isnan(values).any(axis=1)
    scaled = standardised(values)
    varied = np.nanstd(np.log(values + FLOOR), axis=0) > FLOOR
    torch.manual_seed(0)
    reader = FacialActionReader(FaceSettings(dropout=DROPOUT))
    images = torch.from_numpy(faces)
    _train(reader, images, torch.from_numpy(scaled[:, varied].astype(np.float32)), state)
    _fit_actions(reader.eval(), images[torch.from_numpy(read)], actions_of(scaled[read], names))
    return reader


def _train(reader: FacialActionReader, images: Tensor, goals: Tensor, state: Path) -> None:
    """Learn blendshapes `(images, shapes)`; NaN where the teacher found no face."""
    layer = nn.Linear(reader.out.in_features, goals.shape[1])
    model = nn.ModuleDict({"reader": reader, "layer": layer})
    parameters = list(model.parameters())
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    batches = max(len(images) // BATCH, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCHS * batches, pct_start=WARMUP
    )
    noise, begin = torch.Generator().manual_seed(0), 0
    kept: dict[str, nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler] = {
        "model": model,
        "optimizer": optimizer,
        "schedule": schedule,
    }
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        for name, part in kept.items():
            part.load_state_dict(saved[name])
        noise.set_state(saved["noise"])
        torch.set_rng_state(saved["random"])
        begin = saved["epochs"]
    for epoch in range(begin, EPOCHS):
        model.train()
        losses = []
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(images)))
        for rows in order.split(BATCH)[:batches]:
            lengths = torch.ones(len(rows), dtype=torch.long)
            frames = augment.faces(images[rows][:, None], lengths, noise)
            with torch.autocast("cpu", torch.bfloat16):
                shapes = layer(reader.features(frames, lengths))
            known = ~goals[rows].isnan()
            loss = (shapes.float() - goals[rows].nan_to_num(0.0)).square()[known].mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"facial actions, epoch {epoch + 1} of {EPOCHS}: loss {np.mean(losses):.4f}", flush=True)
        temporary_file = state.with_suffix(".tmp")
        others = {"noise": noise.get_state(), "random": torch.get_rng_state(), "epochs": epoch + 1}
        torch.save({name: part.state_dict() for name, part in kept.items()} | others, temporary_file)
        temporary_file.replace(state)


@torch.no_grad()
def _fit_actions(reader: FacialActionReader, images: Tensor, actions: np.ndarray) -> None:
    """Fit the layer of the actions by ridge regression on the features that the network has learned."""
    parts = images[:, None].split(256)
    features = torch.cat([reader.features(part, torch.ones(len(part), dtype=torch.long)).float() for part in parts])
    mean, deviation = features.mean(dim=0), features.std(dim=0).clamp(min=1e-5)
    weights = solve((features - mean) / deviation, torch.from_numpy(actions), PENALTY).float() / deviation
    reader.out.weight.copy_(weights)
    reader.out.bias.copy_(-weights @ mean)
