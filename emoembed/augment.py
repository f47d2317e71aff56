"""Training-time changes to batches of frames: they make few recordings go further."""

from __future__ import annotations

import torch
from torch import Tensor


def speech(frames: Tensor, lengths: Tensor, generator: torch.Generator, bands: int = 64) -> Tensor:
    """Another microphone and another throat: gain of +-6 dB, some noise, and the bands stretched by up to 8 %.

    Every other recording stays as it is, or what is heard in earnest would be unlike all that was trained on.
    The stretch is vocal tract length perturbation (Jaitly & Hinton 2013), with F0 moved as far; noise is a floor of up
    to 30 dB below the loudest band. `(batch, time, columns)` -> the same shape; the first `bands` columns are decibels,
    and where four follow they are f0 in semitones, voicing, energy in decibels and tilt.
    """
    changed = torch.rand(len(frames), generator=generator) < 0.5
    if not bool(changed.any()):
        return frames
    whole, frames = frames, frames[changed]
    batch, _, columns = frames.shape

    def spread(amount: float) -> Tensor:
        return (torch.rand(batch, generator=generator) * 2 - 1) * amount

    warp, gain = 1.0 + spread(0.08), spread(6.0)[:, None, None]
    frames[..., :bands] = _warped(frames[..., :bands], warp)
    floor = frames[..., :bands].amax(dim=(1, 2), keepdim=True) - 30.0 - 40.0 * spread(1.0).abs()[:, None, None]
    frames[..., :bands] = torch.maximum(frames[..., :bands], floor) + gain
    if columns == bands + 4:
        voiced = frames[..., bands] > 0
        frames[..., bands] += torch.where(voiced, 12 * torch.log2(warp)[:, None], 0.0)
        frames[..., bands + 2] += gain[..., 0]
    result = whole.clone()
    result[changed] = frames
    return result


def _warped(maps: Tensor, factor: Tensor) -> Tensor:
    """Maps `(batch, time, bands)` read at `factor` times each band, `(batch,)`, between bands linearly."""
    bands = maps.shape[-1]
    place = (torch.arange(bands)[None, :] / factor[:, None]).clamp(max=bands - 1)
    low = place.floor().long()
    share = (place - low)[:, None, :]
    high = (low + 1).clamp(max=bands - 1)
    index = low[:, None, :].expand(maps.shape), high[:, None, :].expand(maps.shape)
    return maps.gather(2, index[0]) * (1 - share) + maps.gather(2, index[1]) * share


def masked(frames: Tensor, lengths: Tensor, bands: int = 64) -> Tensor:
    """SpecAugment (Park et al. 2019): two bands and two stretches of time set to zero, the mean of what it is given.

    `(batch, time, columns)`, of which the first `bands` are mel bands -> the same shape. Draws from torch's own
    generator, as dropout does.
    """
    batch, time, _ = frames.shape
    maps = frames[..., :bands]
    for _ in range(2):
        across = _stretch(batch, torch.full((batch,), bands), 10, bands, None).to(maps.device)
        along = _stretch(batch, lengths, 25, time, None).to(maps.device)
        maps = maps.masked_fill(across[:, None, :] | along[..., None], 0.0)
    return torch.cat([maps, frames[..., bands:]], dim=-1)


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


def _stretch(batch: int, lengths: Tensor, longest: int, size: int, generator: torch.Generator | None) -> Tensor:
    """One random stretch of up to `longest` positions within each row's length: boolean `(batch, size)`."""
    width = torch.rand(batch, generator=generator) * longest
    begin = torch.rand(batch, generator=generator) * (lengths.cpu() - width).clamp(min=0)
    positions = torch.arange(size)
    return (positions >= begin[:, None]) & (positions < (begin + width)[:, None])
