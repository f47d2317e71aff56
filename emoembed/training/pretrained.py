"""Transformers others have trained, by hub id or local folder, as the encoder of a modality.

Text: any encoder `AutoModel` builds, best one made for sentences, since it embeds the labels too. Sound: wav2vec2,
HuBERT, WavLM, which read samples. Faces: ViT and CLIP's vision half. The transformer stays as it is; low-rank adapters
are trained beside it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from emoembed.encoders.transformer import TransformerEncoder, TransformerSettings
from emoembed.encoders.trunk import read_trunk
from emoembed.errors import CheckpointError, InputError
from emoembed.features import audio
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model import checkpoint
from emoembed.model.config import ModalityConfig
from emoembed.training import recipes

if TYPE_CHECKING:
    from tokenizers import Tokenizer

RANK = 8
LONGEST_TEXT = 512  # tokens


@dataclass(frozen=True)
class Pretrained:
    """A modality whose encoder is a transformer, the transformer's weights, and a text encoder's tokenizer."""

    modality: ModalityConfig
    weights: dict[str, Tensor]
    tokenizer: Tokenizer | None = None

    def sentence_encoder(self) -> SentenceEncoder:
        """A text transformer as the encoder of label names."""
        encoder = self.modality.build()
        if self.tokenizer is None or not isinstance(encoder, TransformerEncoder):
            raise InputError("labels are embedded by a transformer of text, with its tokenizer")
        encoder.trunk.load_state_dict(self.weights)
        return SentenceEncoder(encoder.eval(), self.tokenizer)


def read(modality: str, name: str | Path, *, rank: int = RANK) -> Pretrained:
    """A transformer for a modality, from a local folder or, unless `EMOEMBED_OFFLINE` is set, the hub.

    Raises:
        CheckpointError: there is none of that name, or it reads something else than the modality.
    """
    config, weights = read_trunk(name, offline=checkpoint.offline())
    reads = _modality_of(config)
    if reads != modality:
        raise CheckpointError(f"{name} is a {config['model_type']} model, an encoder of {reads}; {modality} was asked")
    if modality == "text":
        return Pretrained(recipes.text_modality(config, rank), weights, _tokenizer(name, config))
    settings = TransformerSettings({**config, **_preparation(name, config, modality)}, rank)
    if modality == "audio":
        like = recipes.audio_modality()
        columns = audio.WAVEFORM.columns
        made = ModalityConfig(
            "waveform", "transformer", like.embed_dim, columns, settings, like.parts, residual=like.residual
        )
    else:
        like = recipes.video_modality()
        made = ModalityConfig("pixels", "transformer", like.embed_dim, (), settings, like.parts, residual=like.residual)
    return Pretrained(made, weights)


def _modality_of(config: dict[str, Any]) -> str:
    if "conv_stride" in config or config["model_type"] in ("wav2vec2", "hubert", "wavlm"):
        return "audio"
    return "video" if config["model_type"] in ("vit", "clip_vision_model") or "image_size" in config else "text"


def _preparation(name: str | Path, config: dict[str, Any], modality: str) -> dict[str, Any]:
    """How the transformer's input was prepared in its own training, see `media`; it warns where nothing is told."""
    from transformers.feature_extraction_utils import FeatureExtractionMixin
    from transformers.image_processing_base import ImageProcessingMixin

    read = (
        FeatureExtractionMixin.get_feature_extractor_dict
        if modality == "audio"
        else ImageProcessingMixin.get_image_processor_dict
    )
    try:
        told, _ = read(str(name), local_files_only=checkpoint.offline() or Path(name).is_dir())
    except OSError as error:
        usual = "of samples as they are" if modality == "audio" else "with a mean and deviation of 0.5"
        warnings.warn(f"how {name} wants its input is not told, so it is read {usual}: {error}", stacklevel=4)
        return {}
    if modality == "audio":
        return {"do_normalize": bool(told.get("do_normalize"))}
    channels = int(config.get("num_channels", 3))
    if told.get("do_normalize") is False:
        return {"image_mean": [0.0] * channels, "image_std": [1.0] * channels}
    found = {key: told[key] for key in ("image_mean", "image_std") if told.get(key) is not None}
    by_channel = {key: [one] * channels if isinstance(one, float | int) else list(one) for key, one in found.items()}
    if any(len(values) != channels for values in by_channel.values()):
        raise CheckpointError(f"{name} reads images of {channels} channels, and its preparation has {by_channel}")
    return by_channel


def _tokenizer(name: str | Path, config: dict[str, Any]) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        local = checkpoint.offline() or Path(name).is_dir()
        found = AutoTokenizer.from_pretrained(str(name), local_files_only=local, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"no tokenizer beside the text encoder {name}: {error}") from error
    tokenizer: Tokenizer | None = getattr(found, "backend_tokenizer", None)
    if tokenizer is None:
        raise CheckpointError(f"{name} has no fast tokenizer (tokenizer.json), which a checkpoint keeps")
    size, rows = tokenizer.get_vocab_size(), config["vocab_size"]
    if not rows / 2 <= size <= rows:  # where files are missing, transformers makes an empty one
        raise CheckpointError(f"the tokenizer of {name} has {size} tokens and its encoder {rows}; is a file missing?")
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(config.get("max_position_embeddings", LONGEST_TEXT), LONGEST_TEXT))
    return tokenizer
