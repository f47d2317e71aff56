"""Random masking of time and frequency in training."""

from __future__ import annotations

import torch
from torch import Tensor


def masked(frames: Tensor, lengths: Tensor, bands: int = 64) -> Tensor:
    """SpecAugment (Park et al. 2019): set two spans of mel bands and two spans of time to zero.

    Zero is the mean, because the frames are standardised. Maps `(batch, time, columns)`, whose first `bands` columns
    are mel bands, to the same shape. Uses the global random generator of torch, as dropout does.
    """
    batch, time, _ = frames.shape
    maps = frames[..., :bands]
    for _ in range(2):
        band_mask = stretch(batch, torch.full((batch,), bands), 10, bands, None).to(maps.device)
        time_mask = stretch(batch, lengths, 25, time, None).to(maps.device)
        maps = maps.masked_fill(band_mask[:, None, :] | time_mask[..., None], 0.0)
    return torch.cat([maps, frames[..., bands:]], dim=-1)


def stretch(batch: int, lengths: Tensor, longest: int, size: int, generator: torch.Generator | None) -> Tensor:
    """A boolean mask `(batch, size)` with one random span per row, up to `longest` positions and within its length."""
    width = torch.rand(batch, generator=generator) * longest
    begin = torch.rand(batch, generator=generator) * (lengths.cpu() - width).clamp(min=0)
    positions = torch.arange(size)
    return (positions >= begin[:, None]) & (positions < (begin + width)[:, None])
