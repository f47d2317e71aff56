"""What encoders are made of: masks, pooling over time, convolutions, and how a network and its overview are joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emoembed.encoders.ridge import RidgeMap


def padding_mask(lengths: Tensor, time: int) -> Tensor:
    """`(batch,)` lengths -> `(batch, time)`, True where there is data."""
    return torch.arange(time, device=lengths.device)[None, :] < lengths[:, None]


class Standardize(nn.Module):
    """Columns to zero mean and unit variance, with statistics of the training data kept as buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("std", torch.ones(feature_dim))

    def fit(self, frames: Tensor) -> None:
        """Take the statistics of `(frames, feature_dim)`; a constant column keeps a deviation of one."""
        self.mean.copy_(frames.mean(dim=0))
        std = frames.std(dim=0)
        self.std.copy_(torch.where(std > 1e-5, std, torch.ones_like(std)))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """`(batch, time, feature_dim)` -> the same shape, padding set to zero (the mean)."""
        mask = padding_mask(lengths, frames.shape[1])[..., None]
        return ((frames - self.mean) / self.std).masked_fill(~mask, 0.0)


class AttentionPooling(nn.Module):
    """A sequence -> the mean and the standard deviation of its steps, weighted by learned attention.

    Attentive statistics pooling (Okabe et al. 2018, eq. 2-6).
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
    """A strided 3x3 convolution and plain residual ones, each with batch normalisation."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], depth: int = 1) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm_down = nn.BatchNorm2d(outputs)
        self.keep = nn.ModuleList(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False) for _ in range(depth))
        self.norm_keep = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(depth))

    def forward(self, maps: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, inputs, height, width)` -> `(batch, outputs, height / stride, width / stride)`

        `mask` broadcasts over the output; what it leaves out is zero, as beyond the edge of a map.
        """
        here = mask if mask is not None else 1.0
        maps = self.norm_down(self.down(maps)).relu() * here
        for keep, norm in zip(self.keep, self.norm_keep, strict=True):
            maps = (maps + norm(keep(maps))).relu() * here
        return maps


def run_recurrent(recurrent: nn.RNNBase, frames: Tensor, lengths: Tensor) -> Tensor:
    """Run a bidirectional RNN so that its backward direction starts at each item's own last step, not in padding."""
    packed = nn.utils.rnn.pack_padded_sequence(frames, lengths.cpu(), batch_first=True, enforce_sorted=False)
    steps, _ = recurrent(packed)
    return nn.utils.rnn.pad_packed_sequence(steps, batch_first=True, total_length=frames.shape[1])[0]


def masked_average(frames: Tensor, lengths: Tensor, factor: int) -> Tensor:
    """Average every `factor` steps, padding left out: `(batch, time, dim)` -> `(batch, ceil(time / factor), dim)`."""
    mask = padding_mask(lengths, frames.shape[1])[..., None].to(frames.dtype)
    padding = (0, 0, 0, -frames.shape[1] % factor)
    total: Tensor = nn.functional.pad(frames * mask, padding).unflatten(1, (-1, factor)).sum(dim=2)
    count: Tensor = nn.functional.pad(mask, padding).unflatten(1, (-1, factor)).sum(dim=2)
    return total / count.clamp(min=1)


def joined(detail: Tensor, overview: RidgeMap | None, share: float, scaled: Tensor) -> Tensor:
    """A network's points and its overview's, as the sum of their directions; the network's alone in training.

    The network learns the emotions it sees best, the overview places those it never saw: neither is trained on what
    the other says.

    Args:
        detail: the network's points `(batch, embed_dim)`.
        overview: the map in closed form, if there is one.
        share: how much it counts, 0 to 1.
        scaled: what it reads `(batch, features)`.
    """
    if overview is None or share == 0.0 or overview.training:
        return detail
    with torch.autocast(detail.device.type, enabled=False):
        return (1 - share) * point(detail) + share * point(overview(scaled))


def point(encoded: Tensor) -> Tensor:
    """An encoder's output as a direction: float32, length one."""
    return normalize(encoded.float(), dim=-1)
