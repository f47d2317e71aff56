"""The trained context of dialogues: its encoder, and its own calibration."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from emoembed.encoders.context import ContextEncoder, ContextSettings
from emoembed.model.calibration import RISKS, Reliability


class ContextCalibration(nn.Module):
    """Scaling and abstention thresholds of one modality for turns in context; see `Reliability`."""

    slopes: Tensor
    offsets: Tensor
    thresholds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.ones(2))
        self.register_buffer("offsets", torch.zeros(2))
        self.register_buffer("thresholds", torch.zeros(len(RISKS)))

    def copy_from(self, calibration: Reliability) -> None:
        """Copy the values that were fitted on turns in context."""
        for name, buffer in self.named_buffers():
            buffer.copy_(calibration.get_buffer(name))

    def applied_to(self, calibration: Reliability) -> Reliability:
        """A copy of the calibration of single items, with these values."""
        copy = deepcopy(calibration)
        for name, buffer in self.named_buffers():
            copy.get_buffer(name).copy_(buffer)
        return copy


class Context(nn.Module):
    """The trained context of a model.

    Args:
        dims: modality -> `embed_dim`.
        settings: the size of the recurrence.

    Attributes:
        encoder: moves the points of turns.
        calibration: modality -> calibration of turns in context, fitted on validation dialogues.
    """

    def __init__(self, dims: Mapping[str, int], settings: ContextSettings) -> None:
        super().__init__()
        self.encoder = ContextEncoder(dims, settings)
        self.calibration = nn.ModuleDict({name: ContextCalibration() for name in dims})
