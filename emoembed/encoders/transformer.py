"""Transformer encoders from `transformers`, with optional low-rank adapters, one per modality if wanted.

Text takes token ids `(batch, time, 1)`, sound takes samples `(batch, time, 1)` at 16 kHz, and images take pixels
`(batch, time, channels * side * side)`: the same float32 arrays as every other encoder.
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import normalize

from emoembed.encoders.layers import padding_mask
from emoembed.errors import InputError
from emoembed.labels.space import NEUTRAL_POLE, VAD_DIM

if TYPE_CHECKING:
    pass
from emoembed.encoders.adapters import LowRankAdapters
from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.trunk import build_trunk

IMAGES_AT_ONCE = 64
"""That a transformer reads together where no gradient is asked for."""


@dataclass(frozen=True)
class TransformerSettings(Settings):
    """Which transformer, and what is trained of it."""

    trunk_config: dict[str, Any]  # the model's own configuration, as its `config.json` holds it
    rank: int = 0  # of the low-rank adapters; 0 trains nothing of the trunk
    strength: float = 1.0  # of the adapters, see `LowRankAdapters`
    vad_share: float = 0.0
    """How much of a point is the text's own valence, arousal and dominance, in its first four columns, read from the
    mean hidden state by a linear layer; 0 for none of it."""


class TransformerEncoder(Encoder):
    """A `transformers` model, masked mean over its last hidden states, and a linear map when sizes differ."""

    trunk: Any  # a transformers model: its attributes differ by family

    settings_type = TransformerSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: TransformerSettings) -> None:
        super().__init__()
        rank, strength, vad_share = settings.rank, settings.strength, settings.vad_share
        self.vad_share = vad_share
        self.trunk = (
            build_trunk(settings.trunk_config).requires_grad_(False).eval()
        )  # it embeds labels: never with dropout
        hidden = self.trunk.config.hidden_size
        self.adapters = LowRankAdapters(self.trunk, rank, strength) if rank else None
        meaning = embed_dim - VAD_DIM if vad_share else embed_dim
        self.features_dim = hidden
        self.out = nn.Identity() if hidden == meaning else nn.Linear(hidden, meaning)
        self.ratings = (
            nn.Linear(hidden, 3).requires_grad_(False) if vad_share else None
        )  # see `rated_texts.rate_texts` of checkpoints/build
        if self.ratings is not None:  # until it is fitted every text is as neutral as the next
            nn.init.zeros_(self.ratings.weight)
            nn.init.zeros_(self.ratings.bias)
        self._calls_all = True  # of the layers that have adapters, until one is found that is not called
        self._merged: list[Any] = []  # the adapted trunk, in a list so that it is no part of the weights

    def train(self, mode: bool = True) -> TransformerEncoder:
        """Training mode for the adapters; the merged trunk is forgotten, and the trunk never drops units."""
        self._merged = []
        super().train(mode)
        self.trunk.eval()
        return self

    def _load_from_state_dict(self, *args: Any, **named: Any) -> None:
        """Other weights: the merged trunk is of the ones before."""
        self._merged = []
        super()._load_from_state_dict(*args, **named)

    def _apply(self, fn: Any, recurse: bool = True) -> TransformerEncoder:
        """Moving to another device or type: the merged trunk is forgotten here too."""
        self._merged = []
        nn.Module._apply(self, fn, recurse)
        return self

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """What the point is made from: the mean hidden state `(batch, features_dim)`."""
        return self.hidden_mean(frames, lengths, adapted=True).to(frames.dtype)

    def place(self, mean: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        meaning: Tensor = self.out(mean)
        if self.ratings is None:
            return meaning
        with torch.autocast(mean.device.type, enabled=False):
            rated = self.ratings(normalize(mean.float(), dim=-1))
        rated = normalize(torch.cat([rated, torch.full_like(rated[:, :1], NEUTRAL_POLE)], dim=-1), dim=-1)
        meaning = normalize(meaning.float(), dim=-1)
        return torch.cat([self.vad_share**0.5 * rated, (1 - self.vad_share) ** 0.5 * meaning], dim=-1)

    def hidden_mean(self, frames: Tensor, lengths: Tensor, *, adapted: bool) -> Tensor:
        """Masked mean of the last hidden states, `(batch, hidden)`, with or without the adapters."""
        if not adapted or self.adapters is None:
            states, counts = _hidden_states(self.trunk, frames, lengths)
        elif self.training or torch.is_grad_enabled():
            with _attention_to_learn_with(frames.device):
                states, counts = self._learning_states(self.adapters, frames, lengths)
        else:
            states, counts = _hidden_states(self._merged_trunk(self.adapters), frames, lengths)
        mask = padding_mask(counts, states.shape[1])[..., None]
        return states.float().masked_fill(~mask, 0.0).sum(dim=1) / counts[:, None]

    def _learning_states(self, adapters: LowRankAdapters, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states with the adapters as they are now, gradients included."""
        if self._calls_all:
            with adapters.beside(self.trunk) as called:
                found = _hidden_states(self.trunk, frames, lengths)
            self._calls_all = len(called) == len(adapters.names)  # WavLM's attention reads its layers' weights
            if self._calls_all:
                return found
        return _hidden_states(self.trunk, frames, lengths, adapters.weights(self.trunk))

    def _merged_trunk(self, adapters: LowRankAdapters) -> Any:
        """The trunk with the adapters in its weights, made once."""
        if not self._merged:
            merged = copy.deepcopy(self.trunk)
            merged.load_state_dict(adapters.weights(self.trunk), strict=False)  # all else stays as copied
            self._merged = [merged]
        return self._merged[0]


def ratings_of(points: Tensor) -> Tensor:
    """Valence, arousal and dominance `(items, 3)` in points whose first four columns hold their direction."""
    return NEUTRAL_POLE * points[:, :3] / points[:, 3:4].clamp(min=1e-6)


def _attention_to_learn_with(device: torch.device) -> AbstractContextManager[Any]:
    """Plain attention on a CPU, where the fused one's gradient takes longer than all else in short sequences."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _by_length(trunk: Any, frames: Tensor, lengths: Tensor, weights: dict[str, Tensor] | None) -> tuple[Tensor, Tensor]:
    """`_hidden_states`, items of one length at a time: group norm over time (wav2vec2-base) would read padding."""
    counts = trunk._get_feat_extract_output_lengths(lengths)
    parts = []
    for length in lengths.unique().tolist():
        rows = (lengths == length).nonzero()[:, 0]
        states, _ = _hidden_states(trunk, frames[rows, :length], lengths[rows], weights)
        parts.append((rows, nn.functional.pad(states, (0, 0, 0, int(counts.max()) - states.shape[1]))))
    order = torch.cat([rows for rows, _ in parts]).argsort()
    return torch.cat([states for _, states in parts])[order], counts


def _hidden_states(
    trunk: Any, frames: Tensor, lengths: Tensor, weights: dict[str, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Last hidden states `(batch, steps, hidden)` and how many steps of each item are data.

    `weights` are called with in place of the trunk's own of the same names.
    """
    mask = padding_mask(lengths, frames.shape[1])
    config = trunk.config

    def call(**inputs: Tensor) -> Tensor:
        states: Tensor = (functional_call(trunk, weights, (), inputs) if weights else trunk(**inputs)).last_hidden_state
        return states

    if hasattr(config, "vocab_size") and not hasattr(config, "conv_stride"):
        return call(input_ids=frames[..., 0].long(), attention_mask=mask.long()), lengths
    if hasattr(config, "conv_stride"):
        if config.feat_extract_norm == "group" and len(set(lengths.tolist())) > 1:
            return _by_length(trunk, frames, lengths, weights)
        states = call(input_values=frames[..., 0], attention_mask=mask.long())
        return states, trunk._get_feat_extract_output_lengths(lengths)
    if hasattr(config, "image_size"):
        channels, side = getattr(config, "num_channels", 3), config.image_size
        pixels = frames[mask].view(-1, channels, side, side)
        parts = (pixels,) if torch.is_grad_enabled() else pixels.split(IMAGES_AT_ONCE)
        states = torch.cat([call(pixel_values=part).mean(dim=1) for part in parts])
        empty = states.new_zeros(*frames.shape[:2], states.shape[-1])
        return empty.masked_scatter(mask[..., None], states), lengths
    raise InputError(f"a {config.model_type} model takes neither tokens, samples nor pixels")
