"""Parts of encoders: padding masks, pooling over time, convolutions, and the sum of a network and a ridge map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emoembed.encoders.ridge import RidgeMap


def padding_mask(lengths: Tensor, time: int) -> Tensor:
    """`(batch,)` lengths -> `(batch, time)`, True for data, False for padding."""
    return torch.arange(time, device=lengths.device)[None, :] < lengths[:, None]


class Standardize(nn.Module):
    """Scales columns to zero mean and unit variance. The statistics of the training data are buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("std", torch.ones(feature_dim))

    def fit(self, frames: Tensor) -> None:
        """Compute the statistics of `(frames, feature_dim)`. A constant column gets standard deviation 1."""
        self.mean.copy_(frames.mean(dim=0))
        std = frames.std(dim=0)
        self.std.copy_(torch.where(std > 1e-5, std, torch.ones_like(std)))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)` -> the same shape. Padding becomes zero, the mean."""
        mask = padding_mask(lengths, frames.shape[1])[..., None]
        return ((frames - self.mean) / self.std).masked_fill(~mask, 0.0)


class AttentionPooling(nn.Module):
    """Mean and standard deviation of a sequence over time, weighted by learned attention.

    This is attentive statistics pooling (Okabe et al. 2018, eq. 2-6).
    """

    def __init__(self, dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, dim)`, `(batch,)` -> `(batch, 2 * dim)`"""
        mask = padding_mask(lengths, steps.shape[1])[..., None]
        weights = self.score(steps).float().masked_fill(~mask, float("-inf")).softmax(dim=1)
        steps = steps.float().masked_fill(~mask, 0.0)
        mean = (weights * steps).sum(dim=1)
        variance = (weights * (steps - mean[:, None]).square()).sum(dim=1)
        return torch.cat([mean, (variance + 1e-6).sqrt()], dim=-1)


class ResidualStage(nn.Module):
    """A strided 3x3 convolution, then residual 3x3 convolutions, each with batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], depth: int = 1) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm_down = nn.BatchNorm2d(outputs)
        self.keep = nn.ModuleList(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False) for _ in range(depth))
        self.norm_keep = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(depth))

    def forward(self, maps: Tensor) -> Tensor:
        """`(batch, inputs, height, width)` -> `(batch, outputs, height / stride, width / stride)`"""
        maps = self.norm_down(self.down(maps)).relu()
        for keep, norm in zip(self.keep, self.norm_keep, strict=True):
            maps = (maps + norm(keep(maps))).relu()
        return maps


def run_recurrent(recurrent: nn.RNNBase, frames: Tensor, lengths: Tensor) -> Tensor:
    """Run a bidirectional RNN. Its backward direction starts at the last frame of each item, not in the padding."""
    packed = nn.utils.rnn.pack_padded_sequence(frames, lengths.cpu(), batch_first=True, enforce_sorted=False)
    steps, _ = recurrent(packed)
    return nn.utils.rnn.pad_packed_sequence(steps, batch_first=True, total_length=frames.shape[1])[0]


def joined(detail: Tensor, overview: RidgeMap | None, share: float, scaled: Tensor) -> Tensor:
    """Weighted sum of the directions from the network and from the ridge map. In training, only the network's points.

    The network is better for seen emotions, the ridge map for unseen emotions. They are trained independently.

    Args:
        detail: points of the network `(batch, embed_dim)`.
        overview: the ridge map, or None.
        share: weight of the ridge map, 0 to 1.
        scaled: standardised input of the ridge map `(batch, features)`.
    """
    if overview is None or share == 0.0 or overview.training:
        return detail
    with torch.autocast(detail.device.type, enabled=False):
        return (1 - share) * point(detail) + share * point(overview(scaled))


def point(encoded: Tensor) -> Tensor:
    """Scale the output of an encoder to norm 1, in float32."""
    return normalize(encoded.float(), dim=-1)
