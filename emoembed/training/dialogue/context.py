"""Train the context of dialogues on the points of a trained model, whose modalities do not change."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from emoembed import metrics
from emoembed.encoders.context import ContextEncoder, ContextSettings
from emoembed.errors import InputError
from emoembed.labels.emotion import Labels
from emoembed.model.calibration import ContextCalibration
from emoembed.model.model import EmotionModel
from emoembed.model.scorer import Batch, Scorer
from emoembed.reading.rows import EmotionData
from emoembed.training.calibrate import calibrate
from emoembed.training.config import Execution, TrainConfig
from emoembed.training.dialogue.rows import LONGEST_HISTORY, SAME_SPEAKER, TURNS, DialoguePoints, turn_rows
from emoembed.training.loop import History, encode_rows, optimise, predict_logits, validation_score

STRENGTHS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Weights of the mean of earlier turns to choose from."""
FEW_DIALOGUES = 15
"""With fewer training dialogues, only the weight of the mean of earlier turns is trained."""
CONTEXT = TrainConfig(
    epochs=20,
    batch_size=256,
    learning_rate=2e-3,
    keep_last=True,
    label_smoothing=0.1,
    max_frames=LONGEST_HISTORY,
    bf16=False,
)


def train_context(
    model: EmotionModel,
    train: DialoguePoints,
    valid: DialoguePoints,
    settings: ContextSettings | None = None,
    *,
    start: ContextStart | None = None,
    config: TrainConfig = CONTEXT,
    execution: Execution = Execution(),
) -> tuple[EmotionModel, History]:
    """Train and calibrate the context of a model. Its modalities do not change.

    The weight of the mean of earlier turns starts at the value with the highest mean AUC on the training turns. The
    recurrence is trained from there.

    Args:
        model: a trained model. An earlier context is replaced.
        train: the training dialogues. If the encoders were trained on them, their points must come from other encoders
            (`cross_fit`), because points of training items are too near to their labels.
        valid: the dialogues for choosing the best epoch and for calibration.
        settings: the size of the recurrence; by default that of `start`, or else it depends on the number of training
            dialogues.
        start: a pre-trained context that training starts from.
        config: the training settings.
        execution: the device, a progress bar, and a folder from which a stopped run resumes.

    Returns:
        A copy of the model with the context, and the training history.

    Raises:
        InputError: there are no labelled turns.
        TrainingError: training has diverged.
    """
    if settings is None:
        few = sum(len(turns) > 1 for turns in train.dialogues) < FEW_DIALOGUES
        settings = start.settings if start else ContextSettings(0) if few else ContextSettings()
    train_rows, valid_rows = turn_rows(model, train), turn_rows(model, valid)
    strengths = _best_strengths(ContextScorer(with_context(model, ContextSettings(0))), train_rows)
    torch.manual_seed(config.seed)
    copy = with_context(model, settings)
    scorer = ContextScorer(copy)
    if start is not None:
        start.load_into(scorer.encoder)
    for name, strength in strengths.items():
        nn.init.constant_(scorer.encoder.strength[name], strength)
    if settings.hidden_dim:
        history = optimise(scorer, train_rows, valid_rows, config, execution=execution)
    else:
        history = History((), (validation_score(scorer, valid_rows),), 0)
    copy = copy.to("cpu").eval()
    _calibrate(copy, scorer.to("cpu"), valid_rows)
    for parameter in copy.parameters():
        parameter.requires_grad_(True)
    return copy, history


def with_context(model: EmotionModel, settings: ContextSettings) -> EmotionModel:
    """A copy of the model with an untrained context in place of its own."""
    copy = EmotionModel(replace(model.config, context=settings), model.phrases, model.state)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("context.")}
    copy.load_state_dict({**copy.state_dict(), **weights})
    return copy


class ContextStart(Protocol):
    """A pre-trained context that training starts from; `transfer.dialogue` has one."""

    @property
    def settings(self) -> ContextSettings:
        """The size of its recurrence."""

    def load_into(self, encoder: ContextEncoder) -> object:
        """Copy its weights into an untrained context, in place."""


class ContextScorer(Scorer):
    """Scores turns in context, from their own points and those of earlier turns. Only the context is trained.

    Args:
        model: a model with a context.
    """

    def __init__(self, model: EmotionModel) -> None:
        super().__init__()
        self.model = model
        longest = SimpleNamespace(longest=LONGEST_HISTORY)
        self.config = SimpleNamespace(modalities=dict.fromkeys((*model.modalities, TURNS, SAME_SPEAKER), longest))
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in self.encoder.parameters():
            parameter.requires_grad_(True)

    @property
    def encoder(self) -> ContextEncoder:
        """The encoder of the context."""
        if self.model.context is None:
            raise InputError("the model has no context; give it one in its configuration")
        return self.model.context.encoder

    def embed(self, labels: Labels) -> Tensor:
        """Label features, as in the model."""
        return self.model.embed(labels)

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Label points, as in the model."""
        return self.model.project(features)

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Points of turns in context `(batch, point_dim)`; NaN where a turn lacks the modality."""
        own_points = {}
        for name, (frames, lengths) in batch.items():
            if name not in (TURNS, SAME_SPEAKER):
                dim = self.model.modality(name).point_dim
                own_points[name] = frames.new_full((len(frames), dim), torch.nan)
                present = lengths > 0
                own_points[name][present] = frames[present, 0, :dim]
        (turns, lengths), (same_speaker, _) = batch[TURNS], batch[SAME_SPEAKER]
        *differences, changed = turns.split([*self.encoder.dims.values(), 1], dim=2)
        by_modality = dict(zip(self.encoder.dims, differences, strict=True))
        moved: dict[str, Tensor] = self.encoder(
            own_points, by_modality, changed[..., 0], same_speaker[..., 0] > 0, lengths
        )
        return moved

    def score(self, points: Mapping[str, Tensor], label_points: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits by modality, as in the model."""
        return self.model.score(points, label_points)

    def fuse(self, logits: Mapping[str, Tensor]) -> Tensor:
        """Fused logits, as in the model."""
        return self.model.fuse(logits)

    def label_points(self, labels: Labels) -> dict[str, Tensor]:
        """Label points, as in the model."""
        return self.model.label_points(labels)


@torch.no_grad()
def _best_strengths(scorer: ContextScorer, rows: EmotionData) -> dict[str, float]:
    """The weight of the mean of earlier turns, by modality: the best of `STRENGTHS` on these rows."""
    scorer.eval()
    aucs: dict[str, list[float]] = {}
    for strength in STRENGTHS:
        for parameter in scorer.encoder.strength.values():
            parameter.fill_(strength)
        for name, logits in predict_logits(scorer, rows).items():
            columns = [(logits[:, i], rows.targets[:, i]) for i in range(len(rows.labels))]
            known = [(scores, ~np.isnan(scores) & ~np.isnan(targets), targets == 1) for scores, targets in columns]
            values = [metrics.auc(scores[mask], bears[mask]) for scores, mask, bears in known if mask.any()]
            aucs.setdefault(name, []).append(float(np.nanmean(values)) if np.isfinite(values).any() else 0.5)
    return {name: STRENGTHS[int(np.argmax(aucs[name]))] for name in scorer.encoder.strength if name in aucs}


def _calibrate(model: EmotionModel, scorer: ContextScorer, valid: EmotionData) -> None:
    """Fit the calibration of turns in context on validation turns, without changing that of single items.

    First turns are left out, because the calibration of single items answers them.
    """
    for name, modality in model.each_modality():  # a modality that the turns lack keeps this calibration
        _context_calibration(model, name).copy_from(modality.calibration)
    later = np.array([len(valid.inputs[TURNS][row]) > 0 for row in valid.ids])
    if not later.any():
        return
    valid, copy = valid.rows(later), deepcopy(model)
    points = encode_rows(scorer, valid)
    for name in points:
        calibrate(copy, name, valid, weigh=False, points=points[name])
        _context_calibration(model, name).copy_from(copy.modality(name).calibration)


def _context_calibration(model: EmotionModel, name: str) -> ContextCalibration:
    if model.context is None:
        raise InputError("the model has no context; give it one in its configuration")
    return cast(ContextCalibration, model.context.calibration[name])
