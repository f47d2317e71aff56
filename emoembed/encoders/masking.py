"""Random stretches of time and of frequency bands set to zero in training."""

from __future__ import annotations

import torch
from torch import Tensor


def masked(frames: Tensor, lengths: Tensor, bands: int = 64) -> Tensor:
    """SpecAugment (Park et al. 2019): two bands and two stretches of time set to zero, the mean of what it is given.

    `(batch, time, columns)`, of which the first `bands` are mel bands -> the same shape. Draws from torch's own
    generator, as dropout does.
    """
    batch, time, _ = frames.shape
    maps = frames[..., :bands]
    for _ in range(2):
        across = stretch(batch, torch.full((batch,), bands), 10, bands, None).to(maps.device)
        along = stretch(batch, lengths, 25, time, None).to(maps.device)
        maps = maps.masked_fill(across[:, None, :] | along[..., None], 0.0)
    return torch.cat([maps, frames[..., bands:]], dim=-1)


def stretch(batch: int, lengths: Tensor, longest: int, size: int, generator: torch.Generator | None) -> Tensor:
    """One random stretch of up to `longest` positions within each row's length: boolean `(batch, size)`."""
    width = torch.rand(batch, generator=generator) * longest
    begin = torch.rand(batch, generator=generator) * (lengths.cpu() - width).clamp(min=0)
    positions = torch.arange(size)
    return (positions >= begin[:, None]) & (positions < (begin + width)[:, None])
