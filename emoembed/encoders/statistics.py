"""Statistics of frames over time."""

from __future__ import annotations

from torch import Tensor

from emoembed.encoders.layers import padding_mask


def moments(frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of frames `(batch, time, columns)` over time, `(batch, columns)` each."""
    values, padding = frames.float(), ~padding_mask(lengths, frames.shape[1])[..., None]
    count = lengths.clamp(min=1)[:, None]
    mean = values.masked_fill(padding, 0.0).sum(dim=1) / count
    variance = (values - mean[:, None]).square().masked_fill(padding, 0.0).sum(dim=1) / count
    return mean, (variance + 1e-8).sqrt()
