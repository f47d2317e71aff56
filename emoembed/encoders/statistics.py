"""Statistics of a recording's frames over time (in paralinguistics: functionals).

With a few hundred recordings of a few emotions, they are better for unseen emotions than a network over the frames.
The network is better for seen emotions. The speech encoder combines both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
CEPSTRA = 20
"""Number of cosine transform coefficients of the mel bands (MFCC). Their variation over time is used too."""


def statistics_dim(columns: int) -> int:
    """Size of the vector that `statistics` returns for frames with this number of columns."""
    return columns * (2 + len(QUANTILES) + 2) + 2 * CEPSTRA + 1


def statistics(frames: Tensor, lengths: Tensor, bands: int = 64) -> Tensor:
    """Frames `(batch, time, columns)` and lengths `(batch,)` -> `(batch, statistics_dim(columns))`.

    For every column: the mean, the standard deviation, quantiles, and the mean absolute value and standard deviation
    of the change between frames. For each cepstral coefficient of the first `bands` columns: the standard deviation
    and the mean absolute change. Last, the length in hundreds of frames. Padding has no influence.
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
    """Mean and standard deviation of frames `(batch, time, columns)` over time, `(batch, columns)` each."""
    return _moments(frames.float(), _mask(frames, lengths))


def _mask(frames: Tensor, lengths: Tensor) -> Tensor:
    """True for data, False for padding, `(batch, time, 1)`."""
    return (torch.arange(frames.shape[1], device=frames.device)[None, :] < lengths[:, None])[..., None]


def _moments(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the data, `(batch, columns)` each."""
    count = mask.sum(dim=1).clamp(min=1)
    mean = values.masked_fill(~mask, 0.0).sum(dim=1) / count
    square = (values - mean[:, None]).square().masked_fill(~mask, 0.0).sum(dim=1) / count
    return mean, (square + 1e-8).sqrt()


def _changes(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean absolute value and standard deviation of the change between frames; zero for a single frame."""
    if values.shape[1] < 2:
        zero = torch.zeros_like(values[:, 0])
        return zero, zero
    pair_mask = mask[:, 1:] & mask[:, :-1]
    change = values[:, 1:] - values[:, :-1]
    return _moments(change.abs(), pair_mask)[0], _moments(change, pair_mask)[1]


def _quantiles(values: Tensor, mask: Tensor, lengths: Tensor) -> list[Tensor]:
    """Quantiles over the data, each the value at the nearest lower rank, `(batch, columns)`."""
    sorted_values = values.masked_fill(~mask, float("inf")).sort(dim=1).values
    values_at_rank = []
    for quantile in QUANTILES:
        rank = ((lengths - 1).clamp(min=0) * quantile).long()
        values_at_rank.append(sorted_values[torch.arange(len(values), device=values.device), rank.to(values.device)])
    return values_at_rank


def _cosines(bands: int) -> Tensor:
    """The first rows of the orthonormal cosine transform (DCT-II), `(CEPSTRA, bands)`."""
    angles = (torch.arange(bands) + 0.5) * math.pi / bands
    rows: Tensor = torch.cos(torch.arange(CEPSTRA)[:, None] * angles[None, :]) * (2.0 / bands) ** 0.5
    rows[0] /= 2.0**0.5
    return rows
