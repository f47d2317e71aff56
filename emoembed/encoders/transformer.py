"""Transformer encoders from `transformers`, with optional low-rank adapters. Each modality can have one.

The inputs are float32 arrays, as for every encoder. Text: token ids `(batch, time, 1)`. Sound: samples
`(batch, time, 1)` at 16 kHz. Images: pixels `(batch, time, channels * side * side)`.
"""

from __future__ import annotations

import copy
import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import normalize

from emoembed.cache import content_of, tensors_of
from emoembed.encoders.adapters import LowRankAdapters
from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.layers import padding_mask
from emoembed.encoders.trunks.build import build_trunk
from emoembed.encoders.trunks.onnx_runtime import REVISION, OnnxEncoder
from emoembed.errors import InputError
from emoembed.labels.space import CONSTANT_WEIGHT, VAD_DIM

IMAGES_AT_ONCE = 64
"""Images per forward pass if no gradient is needed."""


@dataclass(frozen=True)
class TransformerSettings(Settings):
    """Settings of the transformer and of its trained parts."""

    trunk_config: dict[str, Any]  # the configuration in the `config.json` of the model
    rank: int = 0  # rank of the low-rank adapters; 0 freezes the whole trunk
    strength: float = 1.0  # strength of the adapters, see `LowRankAdapters`
    vad_share: float = 0.0
    """Share of the text's own valence, arousal and dominance in its point; 0 leaves them out. A linear layer predicts
    them from the mean hidden state. They fill the first four columns of the point."""


class TransformerEncoder(Encoder):
    """A `transformers` model, the masked mean of its last hidden states, and a linear map if the sizes differ."""

    trunk: Any  # a transformers model; its attributes depend on the model family

    settings_type = TransformerSettings

    def __init__(self, feature_dim: int, embed_dim: int, settings: TransformerSettings) -> None:
        super().__init__()
        rank, strength, vad_share = settings.rank, settings.strength, settings.vad_share
        self.vad_share = vad_share
        self.trunk = (
            build_trunk(settings.trunk_config).requires_grad_(False).eval()
        )  # no dropout: it also embeds labels
        hidden = self.trunk.config.hidden_size
        self.adapters = LowRankAdapters(self.trunk, rank, strength) if rank else None
        text_dim = embed_dim - VAD_DIM if vad_share else embed_dim
        self.features_dim = hidden
        self.out = nn.Identity() if hidden == text_dim else nn.Linear(hidden, text_dim)
        self.ratings = (
            nn.Linear(hidden, 3).requires_grad_(False) if vad_share else None
        )  # see `rate_texts` in checkpoints/build/rated_texts.py
        if self.ratings is not None:  # every text is neutral before the layer is fitted
            nn.init.zeros_(self.ratings.weight)
            nn.init.zeros_(self.ratings.bias)
        self._calls_all = True  # False once the trunk did not call a layer that has an adapter
        self._merged: list[Any] = []  # the trunk with merged adapters; the list keeps it out of state_dict
        self._onnx: OnnxEncoder | None = None  # the same, computed by ONNX Runtime

    def discard_copies(self) -> None:
        """Discard the copies made from the weights: the merged trunk, and the encoder of ONNX Runtime."""
        self._merged, self._onnx = [], None

    @property
    def backend(self) -> str:
        """The backend of the encoder: `torch`, or the name of an exported file."""
        return "torch" if self._onnx is None else self._onnx.file.name

    def use_onnx(self, folder: Path, *, int8: bool = False) -> Path:
        """Compute with ONNX Runtime from now on. An exported file in `folder` is used again. Returns the file.

        Training, loading weights and a new strength of the adapters end this (`discard_copies`).

        Raises:
            InputError: the trunk is not a BERT of this package, or the extra `onnx` is not installed.
        """
        trunk = self.trunk if self.adapters is None else self._merged_trunk(self.adapters)
        made_from = repr((REVISION, trunk.config, content_of(tensors_of(trunk))))
        file = folder / f"{hashlib.sha256(made_from.encode()).hexdigest()}.onnx"
        self._merged, self._onnx = [], OnnxEncoder.of(trunk, file, int8=int8)
        return self._onnx.file

    def train(self, mode: bool = True) -> TransformerEncoder:
        """Set the mode of the adapters and discard the merged trunk. The trunk itself never uses dropout."""
        self._merged = []
        if mode:
            self.discard_copies()
        super().train(mode)
        self.trunk.eval()
        return self

    def _load_from_state_dict(self, *args: Any, **named: Any) -> None:
        """Load weights and discard the merged trunk, which has the old weights."""
        self.discard_copies()
        super()._load_from_state_dict(*args, **named)

    def _apply(self, fn: Any, recurse: bool = True) -> TransformerEncoder:
        """Change device or dtype and discard the merged trunk."""
        self.discard_copies()
        nn.Module._apply(self, fn, recurse)
        return self

    def read(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Item features for `embed`: the mean hidden state `(batch, features_dim)`"""
        return self.hidden_mean(frames, lengths, adapted=True).to(frames.dtype)

    def embed(self, mean: Tensor) -> Tensor:
        """`(batch, features_dim)` -> `(batch, embed_dim)`"""
        text: Tensor = self.out(mean)
        if self.ratings is None:
            return text
        with torch.autocast(mean.device.type, enabled=False):
            vad = self.ratings(normalize(mean.float(), dim=-1))
        vad = normalize(torch.cat([vad, torch.full_like(vad[:, :1], CONSTANT_WEIGHT)], dim=-1), dim=-1)
        text = normalize(text.float(), dim=-1)
        return torch.cat([self.vad_share**0.5 * vad, (1 - self.vad_share) ** 0.5 * text], dim=-1)

    def hidden_mean(self, frames: Tensor, lengths: Tensor, *, adapted: bool) -> Tensor:
        """Masked mean of the last hidden states, `(batch, hidden)`, with or without the adapters."""
        adapters = self.adapters if adapted else None
        is_training = torch.is_grad_enabled() or (self.training and adapters is not None)
        with _training_attention(frames.device) if is_training else nullcontext():
            if self._onnx is not None and adapted and not is_training:
                states, counts = self._onnx(frames, lengths), lengths
            elif adapters is None:
                states, counts = _hidden_states(self.trunk, frames, lengths)
            elif is_training:
                states, counts = self._training_states(adapters, frames, lengths)
            else:
                states, counts = _hidden_states(self._merged_trunk(adapters), frames, lengths)
        mask = padding_mask(counts, states.shape[1])[..., None]
        return states.float().masked_fill(~mask, 0.0).sum(dim=1) / counts[:, None]

    def _training_states(self, adapters: LowRankAdapters, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states with the current adapters, with gradients."""
        if self._calls_all:
            with adapters.beside(self.trunk) as called:
                states, counts = _hidden_states(self.trunk, frames, lengths)
            self._calls_all = len(called) == len(adapters.names)  # WavLM's attention reads weights directly
            if self._calls_all:
                return states, counts
        return _hidden_states(self.trunk, frames, lengths, adapters.weights(self.trunk))

    def _merged_trunk(self, adapters: LowRankAdapters) -> Any:
        """The trunk with the adapters merged into its weights; built once."""
        if not self._merged:
            merged = copy.deepcopy(self.trunk)
            merged.load_state_dict(adapters.weights(self.trunk), strict=False)  # the other weights are copied already
            self._merged = [merged]
        return self._merged[0]


def _training_attention(device: torch.device) -> AbstractContextManager[Any]:
    """Plain attention on a CPU, where the gradient of fused attention dominates the time for short sequences."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def _by_length(trunk: Any, frames: Tensor, lengths: Tensor, weights: dict[str, Tensor] | None) -> tuple[Tensor, Tensor]:
    """`_hidden_states` for each length separately, because group norm over time (wav2vec2-base) includes padding."""
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
    """Last hidden states `(batch, steps, hidden)` and the number of steps of each item that are data.

    `weights` replace the weights of the trunk with the same names.
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
    raise InputError(f"a {config.model_type} model is not supported; use a model that takes tokens, samples or pixels")
