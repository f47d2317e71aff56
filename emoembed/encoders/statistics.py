"""A recording as statistics of its frames over time: what classic paralinguistics reads (functionals).

With a few hundred recordings of a few emotions they place emotions never heard better than a network over the frames
does; the network knows more of those it heard. The speech encoder joins both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
CEPSTRA = 20
"""Coefficients of the cosine transform of the mel bands (MFCC), whose movement is read beside the bands' own."""


def statistics_dim(columns: int) -> int:
    """How many numbers `statistics` gives for frames of so many columns."""
    return columns * (2 + len(QUANTILES) + 2) + 2 * CEPSTRA + 1


def statistics(frames: Tensor, lengths: Tensor, bands: int = 64) -> Tensor:
    """Frames `(batch, time, columns)` and lengths `(batch,)` -> `(batch, statistics_dim(columns))`.

    Of every column mean, deviation, quantiles, mean absolute and deviation of the change from frame to frame; the
    deviation and mean absolute change of each cepstral coefficient of the first `bands` columns; and the length in
    hundreds of frames. Padding is never read.
    """
    mask = _mask(frames, lengths)
    frames = frames.float()
    cepstra = frames[..., :bands] @ _cosines(bands).to(frames).T
    mean, deviation = _moments(frames, mask)
    change, change_deviation = _changes(frames, mask)
    parts = [mean, deviation, *_quantiles(frames, mask, lengths), change, change_deviation]
    parts += [_moments(cepstra, mask)[1], _changes(cepstra, mask)[0], lengths[:, None] / 100.0]
    return torch.cat(parts, dim=1)


def moments(frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of frames `(batch, time, columns)` over time, `(batch, columns)` each."""
    return _moments(frames.float(), _mask(frames, lengths))


def _mask(frames: Tensor, lengths: Tensor) -> Tensor:
    """True where there is data, `(batch, time, 1)`."""
    return (torch.arange(frames.shape[1], device=frames.device)[None, :] < lengths[:, None])[..., None]


def _moments(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the unmasked time, `(batch, columns)` each."""
    count = mask.sum(dim=1).clamp(min=1)
    mean = values.masked_fill(~mask, 0.0).sum(dim=1) / count
    square = (values - mean[:, None]).square().masked_fill(~mask, 0.0).sum(dim=1) / count
    return mean, (square + 1e-8).sqrt()


def _changes(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute and deviation of the change from frame to frame; zero for a single frame."""
    if values.shape[1] < 2:
        zero = torch.zeros_like(values[:, 0])
        return zero, zero
    both = mask[:, 1:] & mask[:, :-1]
    change = values[:, 1:] - values[:, :-1]
    return _moments(change.abs(), both)[0], _moments(change, both)[1]


def _quantiles(values: Tensor, mask: Tensor, lengths: Tensor) -> list[Tensor]:
    """Quantiles over the unmasked time: the value at the nearest lower rank, `(batch, columns)` each."""
    ordered = values.masked_fill(~mask, float("inf")).sort(dim=1).values
    found = []
    for quantile in QUANTILES:
        rank = ((lengths - 1).clamp(min=0) * quantile).long()
        found.append(ordered[torch.arange(len(values), device=values.device), rank.to(values.device)])
    return found


def _cosines(bands: int) -> Tensor:
    """The first rows of the orthonormal cosine transform (DCT-II), `(CEPSTRA, bands)`."""
    place = (torch.arange(bands) + 0.5) * math.pi / bands
    rows: Tensor = torch.cos(torch.arange(CEPSTRA)[:, None] * place[None, :]) * (2.0 / bands) ** 0.5
    rows[0] /= 2.0**0.5
    return rows
