"""Data augmentation: random changes of training batches of faces."""

from __future__ import annotations

import torch
from torch import Tensor


def faces(frames: Tensor, lengths: Tensor, generator: torch.Generator, side: int = 48) -> Tensor:
    """Mirror, rotate (+-15 degrees), shift (+-10 %), zoom (+-12 %), change the contrast and hide a patch of each face.

    Args:
        frames: `(batch, time, side * side)`.
        lengths: not used.
        generator: source of the random numbers.
        side: height and width of a face in pixels.

    Returns:
        Frames of the same shape.
    """
    batch, time, _ = frames.shape
    images = frames.reshape(batch * time, 1, side, side)
    count = len(images)

    def uniform(amount: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * amount

    angle, zoom = uniform(0.26), 1.0 + uniform(0.12)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    transform = torch.stack(
        [
            torch.stack([cosine * mirror, -sine, uniform(0.2)], -1),
            torch.stack([sine * mirror, cosine, uniform(0.2)], -1),
        ],
        1,
    )
    grid = torch.nn.functional.affine_grid(transform, list(images.shape), align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    contrast = (1.0 + uniform(0.3))[:, None, None, None]
    images = (images - 0.5) * contrast + 0.5
    sides = torch.full((count,), side)
    rows = _span(count, sides, 14, side, generator)[:, None, :, None]
    columns = _span(count, sides, 14, side, generator)[:, None, None, :]
    images = images.masked_fill(rows & columns, 0.5)
    return images.reshape(batch, time, -1)


def _span(batch: int, lengths: Tensor, longest: int, size: int, generator: torch.Generator | None) -> Tensor:
    """A boolean mask `(batch, size)` with one random span per row, up to `longest` positions and within its length."""
    width = torch.rand(batch, generator=generator) * longest
    begin = torch.rand(batch, generator=generator) * (lengths.cpu() - width).clamp(min=0)
    positions = torch.arange(size)
    return (positions >= begin[:, None]) & (positions < (begin + width)[:, None])
