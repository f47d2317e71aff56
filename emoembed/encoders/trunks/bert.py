"""A BERT encoder (Devlin et al. 2019) with the parameter names and the outputs of `transformers.BertModel`.

The text encoder of `base` is a BERT. With this module, a text is read without importing transformers, so a fresh
process answers sooner. Other families come from transformers; see `encoders.trunks.build`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

PLAIN: dict[str, Any] = {
    "hidden_act": "gelu",
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "chunk_size_feed_forward": 0,
}
"""The values of a configuration that this module computes with. Another value needs transformers."""


@dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT encoder, under the names and with the defaults of transformers."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    model_type: str = "bert"


@dataclass(frozen=True)
class BertOutput:
    """The states after the last layer, `(batch, time, hidden_size)`."""

    last_hidden_state: Tensor


def is_plain(config: dict[str, Any]) -> bool:
    """Whether a configuration describes a BERT encoder that this module computes."""
    return config.get("model_type") == "bert" and all(config.get(key, value) == value for key, value in PLAIN.items())


class Bert(nn.Module):
    """The encoder, without dropout and without a pooling layer.

    Args:
        settings: keys of a configuration; keys that do not change the output are ignored.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.config = BertConfig(**{key: settings[key] for key in BertConfig.__dataclass_fields__ if key in settings})
        self.embeddings = _Embeddings(self.config)
        self.encoder = _Layers(self.config)
        self.apply(self._initialise)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BertOutput:
        """Encode token ids `(batch, time)`; `attention_mask` has the same shape and is 0 at padding."""
        mask = None if bool(attention_mask.all()) else attention_mask.bool()[:, None, None, :]
        return BertOutput(self.encoder(self.embeddings(input_ids), mask))

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()


class _Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, size)
        self.LayerNorm = nn.LayerNorm(size, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        states = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        normed: Tensor = self.LayerNorm(states + self.position_embeddings.weight[: ids.shape[1]])
        return normed


class _Layers(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        for layer in self.layer:
            states = layer(states, mask)
        return states


class _Layer(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = _Attention(config)
        self.intermediate = _Dense(config.hidden_size, config.intermediate_size)
        self.output = _DenseAndNorm(config.intermediate_size, config)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        states = self.attention(states, mask)
        output: Tensor = self.output(gelu(self.intermediate.dense(states)), states)
        return output


class _Attention(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if config.num_attention_heads < 1 or config.hidden_size % config.num_attention_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads; given {config.hidden_size} and "
                f"{config.num_attention_heads}"
            )
        self.heads = config.num_attention_heads
        self.self = _Projections(config.hidden_size)
        self.output = _DenseAndNorm(config.hidden_size, config)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        batch, time, size = states.shape
        projections = (self.self.query, self.self.key, self.self.value)
        query, key, value = (part(states).view(batch, time, self.heads, -1).transpose(1, 2) for part in projections)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, time, size), states)
        return output


class _Projections(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))


class _Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)


class _DenseAndNorm(nn.Module):
    def __init__(self, inputs: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, states: Tensor, before: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense(states) + before)
        return normed
