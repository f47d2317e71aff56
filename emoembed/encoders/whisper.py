"""The first layers of Whisper's encoder (Radford et al. 2022, MIT), which read log-mel frames of speech.

They were trained on 680,000 hours of speech of many people, rooms and languages.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from emoembed.encoders.layers import padding_mask
from emoembed.errors import CheckpointError

BANDS = 80
DEFAULT: dict[str, Any] = {
    "d_model": 384,
    "encoder_layers": 2,
    "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536,
    "max_source_positions": 1500,
}
"""The first two of the four layers of `openai/whisper-tiny.en`, as keys of its `config.json`."""
MOST_LAYERS = 32
"""Layers of the largest Whisper. A configuration with more is not built."""
LEVEL = -25.0
"""Level in dB to which each recording is brought: the mean power of its bands and frames."""
DEPTH = 80.0
"""Bands this many dB below the loudest one are at the floor, as in Whisper."""


class WhisperLayers(nn.Module):
    """Two convolutions, positions and the first layers of Whisper's encoder. They are never trained here.

    Args:
        config: keys of Whisper's `config.json`, see `DEFAULT`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        if set(config) != set(DEFAULT) or not 1 <= config["encoder_layers"] <= MOST_LAYERS:
            raise CheckpointError(
                f"Whisper's layers need {', '.join(DEFAULT)}, with 1 to {MOST_LAYERS} layers; given {config!r:.200}"
            )
        self.dim: int = config["d_model"]
        self.longest: int = 2 * config["max_source_positions"]
        self.conv1 = nn.Conv1d(BANDS, self.dim, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(self.dim, self.dim, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config["max_source_positions"], self.dim)
        heads, inner = config["encoder_attention_heads"], config["encoder_ffn_dim"]
        self.layers = nn.ModuleList(_Layer(self.dim, heads, inner) for _ in range(config["encoder_layers"]))
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> WhisperLayers:
        """Stay in evaluation mode."""
        return super().train(False)

    def forward(self, decibels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States of the last layer `(batch, states, dim)` and their numbers `(batch,)`: one state for two frames.

        Padding has no influence. The level of a recording has no influence, except for the floor of its frames.

        Args:
            decibels: log-mel frames in dB, `(batch, time, 80)`, 100 a second. Frames after `longest` are not read.
            lengths: numbers of frames, `(batch,)`.
        """
        decibels, lengths = decibels[:, : self.longest], lengths.clamp(max=self.longest)
        mask = padding_mask(lengths, decibels.shape[1])[..., None]
        frames = _normalised(decibels.float(), mask).masked_fill(~mask, 0.0).transpose(1, 2)
        counts = (lengths + 1) // 2
        # the convolutions read past the end of a recording; zeros there give the same result as without a batch
        frames = gelu(self.conv1(frames)).masked_fill(~mask.transpose(1, 2), 0.0)
        states = gelu(self.conv2(frames)).transpose(1, 2)
        states = states + self.embed_positions.weight[: states.shape[1]]
        is_state = padding_mask(counts, states.shape[1])
        visible = None if bool(is_state.all()) else is_state[:, None, None, :]
        for layer in self.layers:
            states = layer(states, visible)
        return states, counts


class _Layer(nn.Module):
    """A layer of Whisper's encoder: attention and a perceptron, each after a layer norm and added to its input."""

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = _Attention(dim, heads)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1, self.fc2 = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, states: Tensor, visible: Tensor | None) -> Tensor:
        states = states + self.self_attn(self.self_attn_layer_norm(states), visible)
        output: Tensor = states + self.fc2(gelu(self.fc1(self.final_layer_norm(states))))
        return output


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj, self.q_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(3))

    def forward(self, states: Tensor, visible: Tensor | None) -> Tensor:
        batch, time, dim = states.shape
        projections = (self.q_proj, self.k_proj, self.v_proj)
        query, key, value = (part(states).view(batch, time, self.heads, -1).transpose(1, 2) for part in projections)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=visible)
        output: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, time, dim))
        return output


def _normalised(decibels: Tensor, mask: Tensor) -> Tensor:
    """Frames as Whisper reads them, from log-mel in dB: the level is set, and the depth limited."""
    power = (10.0 ** (decibels / 10.0)).masked_fill(~mask, 0.0)
    mean = power.sum(dim=(1, 2), keepdim=True) / (mask.sum(dim=(1, 2), keepdim=True) * decibels.shape[2]).clamp(min=1)
    scaled = decibels - 10.0 * mean.clamp(min=1e-20).log10() + LEVEL
    loudest = scaled.masked_fill(~mask, -torch.inf).amax(dim=(1, 2), keepdim=True)
    return (torch.maximum(scaled, loudest - DEPTH) / 10.0 + 4.0) / 4.0


def read_whisper(
    name: str | Path, *, layers: int = 2, offline: bool = False
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of Whisper's first layers, from a hub id or a local folder. No code of it is run.

    Args:
        name: a hub id such as `openai/whisper-tiny.en`, or a folder with `config.json` and `model.safetensors`.
        layers: the number of layers.
        offline: never use the network.

    Raises:
        CheckpointError: the model does not exist, is not a Whisper with 80 bands, or has fewer layers.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from transformers.utils.hub import cached_file

    local = offline or Path(name).is_dir()
    try:
        paths = [cached_file(str(name), file, local_files_only=local) for file in ("config.json", "model.safetensors")]
        config = json.loads(Path(str(paths[0])).read_text(encoding="utf-8"))
        weights = load_file(str(paths[1]))
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"no Whisper at {name!s}: give a folder with config.json and model.safetensors, or a hub id when online"
        ) from error
    if config.get("model_type") != "whisper" or config.get("num_mel_bins") != BANDS:
        raise CheckpointError(
            f"{name!s} is not a Whisper with {BANDS} bands; give a model such as openai/whisper-tiny.en"
        )
    if config["encoder_layers"] < layers:
        raise CheckpointError(f"{name!s} has {config['encoder_layers']} layers; {layers} are needed")
    own = {**{key: config[key] for key in DEFAULT}, "encoder_layers": layers}
    by_name = {key.rpartition("encoder.")[2]: value.float() for key, value in weights.items() if "encoder." in key}
    wanted = WhisperLayers(own).state_dict()
    missing = [key for key in wanted if key not in by_name or by_name[key].shape != wanted[key].shape]
    if missing:
        raise CheckpointError(f"{name!s} lacks weights of Whisper's encoder: {', '.join(missing[:3])}")
    return own, {key: by_name[key] for key in wanted}
