"""Reduce the rank of trained adapters, so that a checkpoint is smaller."""

from __future__ import annotations

import torch

from emoembed.model.model import EmotionModel
from emoembed.training.build import build, transformer_of


def with_rank(model: EmotionModel, rank: int) -> EmotionModel:
    """The model with text adapters of a smaller rank: the nearest ones, by singular value decomposition (Eckart-Young).

    Args:
        model: a text model with adapters of at least this rank.
        rank: of the new adapters.
    """
    assert model.phrases is not None
    weights = model.state_dict()
    prefix = "modalities.text.encoder.adapters"
    adapters = transformer_of(model, "text").adapters
    assert adapters is not None
    rank = min(
        rank, *(size for weights_of in (adapters.up, adapters.down) for w in weights_of.values() for size in w.shape)
    )
    modality = model.config.modalities["text"].with_settings(rank=rank)
    for key in adapters.names:
        up, down = weights[f"{prefix}.up.{key}"], weights[f"{prefix}.down.{key}"]
        left, sizes, right = torch.linalg.svd(up @ down, full_matrices=False)
        root = sizes[:rank].sqrt()
        weights |= {f"{prefix}.up.{key}": left[:, :rank] * root, f"{prefix}.down.{key}": root[:, None] * right[:rank]}
    smaller = build({"text": modality}, model.phrases, base=model)
    smaller = smaller.with_seen({"text": model.state.seen_in("text")}).with_state(model.state)
    smaller.load_state_dict(weights)
    return smaller.eval()
