"""Training-time changes to batches of frames: they make few recordings go further."""

from __future__ import annotations

import torch
from torch import Tensor

from emoembed.encoders.masking import stretch

BANDS = 64
"""Mel bands, the first columns of speech features."""


def speech(
    frames: Tensor,
    lengths: Tensor,
    generator: torch.Generator,
    *,
    throat: float = 0.08,
    gain: float = 6.0,
    noise: bool = True,
    tempo: float = 0.0,
) -> Tensor:
    """Another microphone and another throat: louder or softer, some noise, and the bands stretched.

    Every other recording stays as it is, or what is heard in earnest would be unlike all that was trained on.

    Args:
        frames: `(batch, time, columns)`; the first `BANDS` columns are decibels, and where four follow they are f0 in
            semitones, voicing, energy in decibels and tilt.
        lengths: `(batch,)`, frames of each recording; what follows them is padding.
        generator: of what is drawn.
        throat: by how much bands are stretched at most, F0 moved as far: vocal tract length perturbation (Jaitly &
            Hinton 2013).
        gain: decibels, up or down.
        noise: whether there is a floor, 30 to 70 dB below the loudest band.
        tempo: by how much a recording is sped up or slowed down at most, its pitch left; one that is over too early
            holds its last frame, one that lasts too long is cut.

    Returns:
        The same shape.
    """
    changed = torch.rand(len(frames), generator=generator) < 0.5
    if not bool(changed.any()):
        return frames
    whole, frames, lengths = frames, frames[changed], lengths.cpu()[changed]
    batch, time, columns = frames.shape

    def spread(amount: float) -> Tensor:
        return (torch.rand(batch, generator=generator) * 2 - 1) * amount

    warp, louder = 1.0 + spread(throat), spread(gain)[:, None, None]
    below = 30.0 + 40.0 * spread(1.0).abs()[:, None, None]
    frames[..., :BANDS] = _warped(frames[..., :BANDS], warp)
    if noise:
        padding = torch.arange(time)[None, :, None] >= lengths[:, None, None]
        loudest = frames[..., :BANDS].masked_fill(padding, -torch.inf).amax(dim=(1, 2), keepdim=True)
        frames[..., :BANDS] = torch.maximum(frames[..., :BANDS], loudest - below)
    frames[..., :BANDS] += louder
    if columns == BANDS + 4:
        voiced = frames[..., BANDS] > 0
        frames[..., BANDS] += torch.where(voiced, 12 * torch.log2(warp)[:, None], 0.0)
        frames[..., BANDS + 2] += louder[..., 0]
    if tempo:
        place = (torch.arange(time)[None, :] * (1.0 + spread(tempo))[:, None]).round().long()
        place = torch.minimum(place, (lengths - 1).clamp(min=0)[:, None])
        frames = frames.gather(1, place[..., None].expand(frames.shape))
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
    rows = stretch(count, sides, 14, side, generator)[:, None, :, None]
    across = stretch(count, sides, 14, side, generator)[:, None, None, :]
    images = images.masked_fill(rows & across, 0.5)
    return images.reshape(batch, time, -1)
