"""From a label's features into a modality's space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emoembed.errors import InputError
from emoembed.labels.space import CUE_DIM, CUES, NEUTRAL_POLE, VAD_DIM


@dataclass(frozen=True)
class LabelParts:
    """What of a label's features counts in a modality: shares of its point, which sum to one."""

    vad_share: float = 0.0  # of valence, arousal and dominance
    cue_share: float = 0.0  # of how it sounds or looks
    cue: str = "sounds"  # or "looks"
    vad_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, NEUTRAL_POLE)
    """Of valence, arousal, dominance and the constant beside them; a voice tells less of valence than a face does."""

    def __post_init__(self) -> None:
        if min(self.vad_share, self.cue_share) < 0.0 or self.vad_share + self.cue_share > 1.0:
            given = f"vad_share={self.vad_share}, cue_share={self.cue_share}"
            raise InputError(f"vad_share and cue_share are shares of at most 1 together; given {given}")
        if self.cue not in CUES or len(self.vad_weights) != VAD_DIM:
            raise InputError(f"cue is one of {', '.join(CUES)}, vad_weights are four; given {self}")

    @property
    def text_share(self) -> float:
        return 1.0 - self.vad_share - self.cue_share


class LabelProjection(nn.Module):
    """A linear map from label features into a modality's space (Dai et al. 2020, section 3.2).

    It starts as an isometry on the label features' leading directions rather than at random, so that labels lie
    apart before anything is learned, and `drift` measures how far training has moved it: with few seen labels that
    has to stay small, or unseen labels land anywhere. What a label's point starts from are three parts, each of
    length one and weighed by its share: valence, arousal and dominance; a cue; and the text vector.
    """

    start: Tensor
    vad_weights: Tensor

    def __init__(self, phrase_dim: int, embed_dim: int, parts: LabelParts) -> None:
        super().__init__()
        self.phrase_dim, self.embed_dim, self.parts = phrase_dim, embed_dim, parts
        self.cue_dim = CUE_DIM if parts.cue_share > 0.0 else 0
        self.register_buffer("vad_weights", torch.tensor(parts.vad_weights), persistent=False)
        columns = phrase_dim + VAD_DIM + self.cue_dim
        self.weight = nn.Parameter(torch.zeros(embed_dim, columns))
        self.register_buffer("start", torch.zeros(embed_dim, columns), persistent=False)
        self.reset(torch.eye(phrase_dim))

    def reset(self, directions: Tensor) -> None:
        """Start anew: `directions` `(n, phrase_dim)` are the word directions to keep, most important first."""
        vad = VAD_DIM if self.parts.vad_share > 0.0 else 0
        ready = vad + self.cue_dim
        kept = directions[: self.embed_dim - ready]
        start = torch.zeros_like(self.start)
        start[ready : ready + len(kept), : self.phrase_dim] = self.parts.text_share**0.5 * kept
        after = self.phrase_dim + VAD_DIM
        start[:vad, self.phrase_dim : after] = self.parts.vad_share**0.5 * torch.eye(VAD_DIM)[:vad]
        start[vad:ready, after:] = self.parts.cue_share**0.5 * torch.eye(self.cue_dim)
        self.start.copy_(start)
        with torch.no_grad():
            self.weight.copy_(start)

    def forward(self, features: Tensor) -> Tensor:
        """`(labels, label_dim)` -> `(labels, embed_dim)`, rows of length one."""
        text, rated = features[:, : self.phrase_dim], features[:, self.phrase_dim : self.phrase_dim + VAD_DIM]
        parts = [text, normalize(rated * self.vad_weights, dim=-1)]
        if self.cue_dim:
            begin = self.phrase_dim + VAD_DIM + CUES.index(self.parts.cue) * self.cue_dim
            parts.append(features[:, begin : begin + self.cue_dim])
        return normalize(nn.functional.linear(torch.cat(parts, dim=-1), self.weight), dim=-1)

    def drift(self) -> Tensor:
        """Squared distance from the start, summed."""
        return (self.weight - self.start).square().sum()
