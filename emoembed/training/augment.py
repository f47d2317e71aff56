"""Data augmentation: random changes of training batches of faces."""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST_PIXELS = 24
"""Side length of a face in the smallest pictures that training imitates."""
MOST_NOISE = 0.08
"""Largest standard deviation of the noise, in grey levels from 0 to 1."""


def faces(frames: Tensor, lengths: Tensor, generator: torch.Generator, side: int = 48) -> Tensor:
    """Change each face at random, as cameras and people do.

    Mirror, rotate (+-15 degrees), shift (+-10 %), zoom (+-12 %), change the contrast, and hide a patch. A third of the
    faces lose detail, down to `FEWEST_PIXELS` a side, and a third get noise.

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
    images = _with_less_detail(images, generator)
    noisy = (torch.rand(count, generator=generator) < 1 / 3) * torch.rand(count, generator=generator) * MOST_NOISE
    images = images + torch.randn(images.shape, generator=generator) * noisy[:, None, None, None]
    sides = torch.full((count,), side)
    rows = _span(count, sides, 14, side, generator)[:, None, :, None]
    columns = _span(count, sides, 14, side, generator)[:, None, None, :]
    images = images.masked_fill(rows & columns, 0.5)
    return images.reshape(batch, time, -1)


def _with_less_detail(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shrink a third of the images `(images, 1, side, side)` to one random size, and enlarge them again."""
    side = images.shape[-1]
    small = int(torch.randint(FEWEST_PIXELS, side, (1,), generator=generator))
    chosen = torch.rand(len(images), generator=generator) < 1 / 3
    if not bool(chosen.any()):
        return images
    shrunk = torch.nn.functional.interpolate(images[chosen], size=(small, small), mode="bilinear", antialias=True)
    images = images.clone()
    images[chosen] = torch.nn.functional.interpolate(shrunk, size=(side, side), mode="bicubic")
    return images


def _span(batch: int, lengths: Tensor, longest: int, size: int, generator: torch.Generator | None) -> Tensor:
    """A boolean mask `(batch, size)` with one random span per row, up to `longest` positions and within its length."""
    width = torch.rand(batch, generator=generator) * longest
    begin = torch.rand(batch, generator=generator) * (lengths.cpu() - width).clamp(min=0)
    positions = torch.arange(size)
    return (positions >= begin[:, None]) & (positions < (begin + width)[:, None])
