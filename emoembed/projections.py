"""From a label's features into a modality's space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emoembed.errors import InputError
from emoembed.words import VAD_DIM


class LabelProjection(nn.Module):
    """A linear map from label features into a modality's space (Dai et al. 2020, section 3.2).

    It starts as an isometry on the label features' leading directions rather than at random, so that labels lie
    apart before anything is learned, and `drift` measures how far training has moved it: with few seen labels that
    has to stay small, or unseen labels land anywhere.
    """

    start: Tensor

    def __init__(self, phrase_dim: int, embed_dim: int, vad_share: float) -> None:
        super().__init__()
        self.phrase_dim, self.embed_dim, self.vad_share = phrase_dim, embed_dim, vad_share
        self.weight = nn.Parameter(torch.zeros(embed_dim, phrase_dim + VAD_DIM))
        self.register_buffer("start", torch.zeros(embed_dim, phrase_dim + VAD_DIM), persistent=False)
        self.reset(torch.eye(phrase_dim))

    def reset(self, directions: Tensor) -> None:
        """Start anew: `directions` `(n, phrase_dim)` are the word directions to keep, most important first."""
        words = self.embed_dim if self.vad_share == 0.0 else self.embed_dim - VAD_DIM
        kept = directions[:words]
        start = torch.zeros_like(self.start)
        start[self.embed_dim - words : self.embed_dim - words + len(kept), : self.phrase_dim] = (
            1.0 - self.vad_share
        ) ** 0.5 * kept
        if self.vad_share > 0.0:
            start[:VAD_DIM, self.phrase_dim :] = self.vad_share**0.5 * torch.eye(VAD_DIM)
        self.start.copy_(start)
        with torch.no_grad():
            self.weight.copy_(start)

    def forward(self, features: Tensor) -> Tensor:
        """`(labels, phrase_dim + 4)` -> `(labels, embed_dim)`, rows of length one."""
        return normalize(nn.functional.linear(features, self.weight), dim=-1)

    def drift(self) -> Tensor:
        """Squared distance from the start, summed."""
        return (self.weight - self.start).square().sum()


class LinearProjection(nn.Module):
    """A linear map of word vectors into a modality's space, started at random (Dai et al. 2020, equation 2)."""

    def __init__(self, phrase_dim: int, embed_dim: int, vad_share: float) -> None:
        super().__init__()
        self.phrase_dim = phrase_dim
        self.linear = nn.Linear(phrase_dim, embed_dim)

    def forward(self, features: Tensor) -> Tensor:
        """`(labels, phrase_dim + 4)` -> `(labels, embed_dim)`"""
        return self.linear(features[:, : self.phrase_dim])


class NoProjection(nn.Module):
    """The word vectors themselves."""

    def __init__(self, phrase_dim: int, embed_dim: int, vad_share: float) -> None:
        super().__init__()
        if phrase_dim != embed_dim:
            raise InputError(f"without a projection embed_dim is the words' {phrase_dim}; given {embed_dim}")
        self.phrase_dim = phrase_dim

    def forward(self, features: Tensor) -> Tensor:
        """`(labels, phrase_dim + 4)` -> `(labels, phrase_dim)`"""
        return features[:, : self.phrase_dim]


PROJECTIONS = {"isometry": LabelProjection, "linear": LinearProjection, "none": NoProjection}
