"""Data augmentation: random changes of training batches of speech and faces."""

from __future__ import annotations

import torch
from torch import Tensor

from emoembed.encoders.masking import stretch

BANDS = 64
"""Number of mel bands, which are the first columns of speech features."""


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
    """Simulate another microphone and another speaker: change the gain, add noise and stretch the mel bands.

    Each recording is changed with probability 0.5. The others stay unchanged, so that training also sees recordings
    like those at prediction time.

    Args:
        frames: `(batch, time, columns)`. The first `BANDS` columns are in decibels. If four more columns follow, they
            are F0 in semitones, voicing, energy in decibels and spectral tilt.
        lengths: `(batch,)`, number of frames of each recording; the frames after them are padding.
        generator: source of the random numbers.
        throat: largest relative stretch of the bands; F0 is scaled by the same factor. This is vocal tract length
            perturbation (Jaitly & Hinton 2013).
        gain: largest change of the level in decibels, up or down.
        noise: whether to add a noise floor, 30 to 70 dB below the loudest band.
        tempo: largest relative change of the tempo; the pitch stays. A faster recording repeats its last frame at
            the end, and a slower one is cut.

    Returns:
        Frames of the same shape.
    """
    rows = torch.rand(len(frames), generator=generator) < 0.5
    if not bool(rows.any()):
        return frames
    originals, frames, lengths = frames, frames[rows], lengths.cpu()[rows]
    batch, time, columns = frames.shape

    def uniform(amount: float) -> Tensor:
        return (torch.rand(batch, generator=generator) * 2 - 1) * amount

    warp, gains = 1.0 + uniform(throat), uniform(gain)[:, None, None]
    floor_depth = 30.0 + 40.0 * uniform(1.0).abs()[:, None, None]
    frames[..., :BANDS] = _warp_bands(frames[..., :BANDS], warp)
    if noise:
        padding = torch.arange(time)[None, :, None] >= lengths[:, None, None]
        loudest = frames[..., :BANDS].masked_fill(padding, -torch.inf).amax(dim=(1, 2), keepdim=True)
        frames[..., :BANDS] = torch.maximum(frames[..., :BANDS], loudest - floor_depth)
    frames[..., :BANDS] += gains
    if columns == BANDS + 4:
        voiced = frames[..., BANDS] > 0
        frames[..., BANDS] += torch.where(voiced, 12 * torch.log2(warp)[:, None], 0.0)
        frames[..., BANDS + 2] += gains[..., 0]
    if tempo:
        positions = (torch.arange(time)[None, :] * (1.0 + uniform(tempo))[:, None]).round().long()
        positions = torch.minimum(positions, (lengths - 1).clamp(min=0)[:, None])
        frames = frames.gather(1, positions[..., None].expand(frames.shape))
    result = originals.clone()
    result[rows] = frames
    return result


def _warp_bands(maps: Tensor, factor: Tensor) -> Tensor:
    """Stretch the bands of `(batch, time, bands)` by `factor` `(batch,)`, with linear interpolation between bands."""
    bands = maps.shape[-1]
    positions = (torch.arange(bands)[None, :] / factor[:, None]).clamp(max=bands - 1)
    low = positions.floor().long()
    share = (positions - low)[:, None, :]
    high = (low + 1).clamp(max=bands - 1)
    index = low[:, None, :].expand(maps.shape), high[:, None, :].expand(maps.shape)
    return maps.gather(2, index[0]) * (1 - share) + maps.gather(2, index[1]) * share


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
    rows = stretch(count, sides, 14, side, generator)[:, None, :, None]
    columns = stretch(count, sides, 14, side, generator)[:, None, None, :]
    images = images.masked_fill(rows & columns, 0.5)
    return images.reshape(batch, time, -1)
