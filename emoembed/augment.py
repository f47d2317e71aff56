"""Training-time changes to batches of frames: they make few recordings go further."""

from __future__ import annotations

import torch
from torch import Tensor


def speech(frames: Tensor, lengths: Tensor, generator: torch.Generator, bands: int = 64) -> Tensor:
    """SpecAugment (Park et al. 2019: two bands and two stretches of time masked) and a random gain of +-6 dB.

    `(batch, time, columns)` -> the same shape; the first `bands` columns are decibels, as is `energy`, the third
    of the four that follow.
    """
    frames = frames.clone()
    batch, time, columns = frames.shape
    gain = (torch.rand(batch, 1, 1, generator=generator) - 0.5) * 12.0
    frames[..., :bands] += gain
    if columns == bands + 4:
        frames[..., bands + 2] += gain[..., 0]
    fill = frames[..., :bands].mean(dim=(1, 2), keepdim=True)
    for _ in range(2):
        frames[..., :bands] = torch.where(
            _stretch(batch, torch.full((batch,), bands), 10, bands, generator)[:, None, :], fill, frames[..., :bands]
        )
        hidden = _stretch(batch, lengths, 25, time, generator)[..., None]
        frames[..., :bands] = torch.where(hidden, fill, frames[..., :bands])
    return frames


def faces(frames: Tensor, lengths: Tensor, generator: torch.Generator, side: int = 48) -> Tensor:
    """Mirror, turn (+-15 degrees), shift (+-10 %), zoom (+-12 %), change contrast and hide a patch of every face."""
    batch, time, _ = frames.shape
    images = frames.reshape(batch * time, 1, side, side)
    count = len(images)

    def spread(amount: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * amount

    angle, zoom = spread(0.26), 1.0 + spread(0.12)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    transform = torch.stack(
        [torch.stack([cosine * mirror, -sine, spread(0.2)], -1), torch.stack([sine * mirror, cosine, spread(0.2)], -1)],
        1,
    )
    grid = torch.nn.functional.affine_grid(transform, list(images.shape), align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast = (1.0 + spread(0.3))[:, None, None, None]
    images = (images - 0.5) * contrast + 0.5
    sides = torch.full((count,), side)
    rows = _stretch(count, sides, 14, side, generator)[:, None, :, None]
    across = _stretch(count, sides, 14, side, generator)[:, None, None, :]
    images = images.masked_fill(rows & across, 0.5)
    return images.reshape(batch, time, -1)


def _stretch(batch: int, lengths: Tensor, longest: int, size: int, generator: torch.Generator) -> Tensor:
    """One random stretch of up to `longest` positions within each row's length: boolean `(batch, size)`."""
    width = torch.rand(batch, generator=generator) * longest
    begin = torch.rand(batch, generator=generator) * (lengths.cpu() - width).clamp(min=0)
    positions = torch.arange(size)
    return (positions >= begin[:, None]) & (positions < (begin + width)[:, None])
