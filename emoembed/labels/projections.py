"""Linear maps from label features into the space of a modality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from emoembed.errors import InputError
from emoembed.labels.space import CONSTANT_WEIGHT, CUE_DIMS, VAD_DIM


@dataclass(frozen=True)
class LabelParts:
    """Shares of the parts of a label's features in its point in one modality. With `text_share` they sum to one."""

    vad_share: float = 0.0  # share of valence, arousal and dominance
    cue_share: float = 0.0  # share of how the label sounds or looks
    cue: str = "sounds"  # or "looks"
    vad_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, CONSTANT_WEIGHT)
    """Weights of valence, arousal, dominance and the constant. A voice shows less valence than a face."""

    def __post_init__(self) -> None:
        if min(self.vad_share, self.cue_share) < 0.0 or self.vad_share + self.cue_share > 1.0:
            shares = f"vad_share={self.vad_share}, cue_share={self.cue_share}"
            raise InputError(f"vad_share and cue_share must be at least 0 and sum to at most 1; given {shares}")
        if self.cue not in CUE_DIMS or len(self.vad_weights) != VAD_DIM:
            raise InputError(f"cue must be one of {', '.join(CUE_DIMS)}, and vad_weights four numbers; given {self}")

    @property
    def text_share(self) -> float:
        return 1.0 - self.vad_share - self.cue_share

    @property
    def cue_dim(self) -> int:
        """Number of columns of the cue; 0 without a cue."""
        return CUE_DIMS[self.cue] if self.cue_share > 0.0 else 0

    @property
    def action_columns(self) -> list[int]:
        """Columns of a point that hold the facial actions of `descriptions.FACE`; none without looks."""
        start = VAD_DIM if self.vad_share > 0.0 else 0
        return list(range(start, start + self.cue_dim - 1)) if self.cue == "looks" and self.cue_dim else []


class LabelProjection(nn.Module):
    """A linear map from label features into the space of a modality (Dai et al. 2020, section 3.2).

    The initial map combines three parts: valence, arousal and dominance; a cue; and the text vector. Each part has
    norm 1 and is weighted by the square root of its share.

    The map starts as an isometry on the leading directions of the label features, not at random, so labels are apart
    before training. `drift` measures how far training has moved the map. With few seen labels, the drift must stay
    small; otherwise the points of unseen labels become arbitrary.
    """

    start: Tensor
    vad_weights: Tensor

    def __init__(self, phrase_dim: int, embed_dim: int, parts: LabelParts) -> None:
        super().__init__()
        self.phrase_dim, self.embed_dim, self.parts = phrase_dim, embed_dim, parts
        self.cue_dim = parts.cue_dim
        self.register_buffer("vad_weights", torch.tensor(parts.vad_weights), persistent=False)
        columns = phrase_dim + VAD_DIM + self.cue_dim
        self.weight = nn.Parameter(torch.zeros(embed_dim, columns))
        self.register_buffer("start", torch.zeros(embed_dim, columns), persistent=False)
        if not self.weight.is_meta:  # only the shapes of the weights are needed
            self.reset(torch.eye(phrase_dim))

    def reset(self, directions: Tensor) -> None:
        """Reset the map. `directions` `(n, phrase_dim)` are the text directions to keep, most important first."""
        vad = VAD_DIM if self.parts.vad_share > 0.0 else 0
        text_start = vad + self.cue_dim
        text_directions = directions[: self.embed_dim - text_start]
        start = torch.zeros_like(self.start)
        text_end = text_start + len(text_directions)
        start[text_start:text_end, : self.phrase_dim] = self.parts.text_share**0.5 * text_directions
        cue_start = self.phrase_dim + VAD_DIM
        start[:vad, self.phrase_dim : cue_start] = self.parts.vad_share**0.5 * torch.eye(VAD_DIM)[:vad]
        start[vad:text_start, cue_start:] = self.parts.cue_share**0.5 * torch.eye(self.cue_dim)
        self.start.copy_(start)
        with torch.no_grad():
            self.weight.copy_(start)

    def forward(self, features: Tensor) -> Tensor:
        """`(labels, label_dim)` -> `(labels, embed_dim)`, rows of norm 1."""
        text, vad = features[:, : self.phrase_dim], features[:, self.phrase_dim : self.phrase_dim + VAD_DIM]
        parts = [text, normalize(vad * self.vad_weights, dim=-1)]
        if self.cue_dim:
            begin = self.phrase_dim + VAD_DIM + (CUE_DIMS["sounds"] if self.parts.cue == "looks" else 0)
            parts.append(features[:, begin : begin + self.cue_dim])
        return normalize(nn.functional.linear(torch.cat(parts, dim=-1), self.weight), dim=-1)

    def drift(self) -> Tensor:
        """Summed squared distance of the weights from their initial values."""
        return (self.weight - self.start).square().sum()
