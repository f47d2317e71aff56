"""Build untrained models over a phrase encoder, and change models without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import InputError
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder, WordTable
from emoembed.labels.space import VAD_DIM
from emoembed.model.config import ModalityConfig, ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.training.recipes import TEXT_STRENGTH


def build(
    modalities: Mapping[str, ModalityConfig], phrases: PhraseEncoder, seed: int = 0, base: EmotionModel | None = None
) -> EmotionModel:
    """Build an untrained model over a phrase encoder. A text transformer shares the phrase encoder's trunk.

    `base` is a model over the same phrase encoder. The new model copies two parts from it that are fitted on rated
    words and sentences: the label space, and the prediction of valence, arousal and dominance from text. These parts
    were fitted without emotion labels.
    """
    torch.manual_seed(seed)
    config = ModelConfig(
        dict(modalities), phrase_dim=phrases.dim, phrases="table" if isinstance(phrases, WordTable) else "text"
    )
    model = EmotionModel(config, phrases)
    if isinstance(phrases, SentenceEncoder) and "text" in model.modalities:
        text = transformer_of(model, "text")
        text.trunk.load_state_dict(phrases.encoder.trunk.state_dict())
        model.phrases = SentenceEncoder(text, phrases.tokenizer)
    if base is None:
        start_projections(model)
        return model.eval()
    model.space.copy_from(base.space)
    start_projections(model, fit=False)
    if "text" in model.modalities and "text" in base.modalities:
        ratings = {n: v for n, v in base.modality("text").encoder.state_dict().items() if n.startswith("ratings.")}
        model.modality("text").encoder.load_state_dict(ratings, strict=False)
    return model.eval()


def transformer_of(model: EmotionModel, name: str) -> TransformerEncoder:
    """Return the transformer encoder of a modality. Raises InputError if its encoder is not a transformer."""
    encoder = model.modality(name).encoder
    if not isinstance(encoder, TransformerEncoder):
        raise InputError(f"the {name} encoder is a {type(encoder).__name__}; use a modality with a transformer encoder")
    return encoder


def start_projections(model: EmotionModel, *, fit: bool = True) -> None:
    """Fit the label space on the label table (unless `fit` is False), and initialise each label projection.

    A projection starts as the identity if the modality's space holds whole word vectors. Otherwise it starts with the
    leading singular vectors of the table's word vectors.
    """
    from emoembed.labels.emotion import table

    if fit:
        model.space.fit(model.phrase_encoder)
    names = list(table())
    words = model.embed(names)[:, : model.config.phrase_dim]
    _, _, directions = torch.linalg.svd(words.float(), full_matrices=False)
    for _, modality in model.each_modality():
        config = modality.config
        is_identity = config.embed_dim == model.config.phrase_dim + (VAD_DIM if config.parts.vad_share else 0)
        modality.projection.reset(torch.eye(model.config.phrase_dim) if is_identity else directions)


def set_adapter_strength(model: EmotionModel, strength: float = TEXT_STRENGTH) -> EmotionModel:
    """Scale the text encoder's adapters in place, between untrained weights (0) and trained weights (1) (WiSE-FT)."""
    config = model.config.modalities["text"]
    encoder = transformer_of(model, "text")
    if encoder.adapters is not None:
        encoder.adapters.strength = strength
    encoder.discard_copies()  # the weights merged with the old strength
    changed = config.with_settings(strength=strength)
    model.config = replace(model.config, modalities={**model.config.modalities, "text": changed})
    model.modality("text").config = changed
    return model
