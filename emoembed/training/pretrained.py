"""Pretrained transformers, by hub id or local folder, as the encoder of a modality.

Text: any encoder that `AutoModel` builds, preferably a sentence encoder, because it also embeds the labels. Audio:
wav2vec2, HuBERT or WavLM, which read samples. Video: ViT, or CLIP's vision model. The transformer's weights are
frozen; only low-rank adapters are trained.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from emoembed.encoders.transformer import TransformerEncoder, TransformerSettings
from emoembed.encoders.trunks.build import read_trunk
from emoembed.errors import CheckpointError, InputError
from emoembed.features import audio
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model import checkpoint_files
from emoembed.model.config import ModalityConfig
from emoembed.model.tokenizer_files import tokenizer_fault
from emoembed.training import recipes

if TYPE_CHECKING:
    from tokenizers import Tokenizer

RANK = 8  # of the adapters
LONGEST_TEXT = 512  # tokens


@dataclass(frozen=True)
class Pretrained:
    """Configuration of a modality with a transformer encoder, the weights, and the tokenizer of a text encoder."""

    modality: ModalityConfig
    weights: dict[str, Tensor]
    tokenizer: Tokenizer | None = None

    def sentence_encoder(self) -> SentenceEncoder:
        """Return the text transformer as an encoder of label names. Raises InputError if it is not one of text."""
        encoder = self.modality.build()
        if self.tokenizer is None or not isinstance(encoder, TransformerEncoder):
            raise InputError("only a text transformer with a tokenizer can embed labels; read one with modality 'text'")
        encoder.trunk.load_state_dict(self.weights)
        return SentenceEncoder(encoder.eval(), self.tokenizer)


def read(modality: str, name: str | Path, *, rank: int = RANK) -> Pretrained:
    """Read a transformer for a modality from a local folder, or from the hub unless `EMOEMBED_OFFLINE` is set.

    Args:
        modality: text, audio or video.
        name: hub id or local folder.
        rank: rank of the adapters.

    Raises:
        CheckpointError: there is no transformer of that name, or it reads another modality.
    """
    config, weights = read_trunk(name, offline=checkpoint_files.offline())
    actual = _modality_of(config)
    if actual != modality:
        raise CheckpointError(
            f"{name} is a {config['model_type']} model, which reads {actual}; give one that reads {modality}"
        )
    if modality == "text":
        return Pretrained(recipes.text_modality(config, rank), weights, _tokenizer(name, config))
    settings = TransformerSettings({**config, **_preparation(name, config, modality)}, rank)
    if modality == "audio":
        like = recipes.audio_modality()
        columns = audio.WAVEFORM.columns
        modality_config = ModalityConfig(
            "waveform", "transformer", like.embed_dim, columns, settings, like.parts, residual=like.residual
        )
    else:
        like = recipes.video_modality()
        modality_config = ModalityConfig(
            "pixels", "transformer", like.embed_dim, (), settings, like.parts, residual=like.residual
        )
    return Pretrained(modality_config, weights)


def _modality_of(config: dict[str, Any]) -> str:
    if "conv_stride" in config or config["model_type"] in ("wav2vec2", "hubert", "wavlm"):
        return "audio"
    return "video" if config["model_type"] in ("vit", "clip_vision_model") or "image_size" in config else "text"


def _preparation(name: str | Path, config: dict[str, Any], modality: str) -> dict[str, Any]:
    """Input normalisation of the transformer, as `media` uses it. A warning is given if it has no preprocessor file."""
    from transformers.feature_extraction_utils import FeatureExtractionMixin
    from transformers.image_processing_base import ImageProcessingMixin

    read = (
        FeatureExtractionMixin.get_feature_extractor_dict
        if modality == "audio"
        else ImageProcessingMixin.get_image_processor_dict
    )
    try:
        values, _ = read(str(name), local_files_only=checkpoint_files.offline() or Path(name).is_dir())
    except OSError as error:
        default = "samples are not normalised" if modality == "audio" else "mean and standard deviation 0.5 are used"
        warnings.warn(f"{name} has no readable preprocessor configuration, so {default}: {error}", stacklevel=4)
        return {}
    if modality == "audio":
        return {"do_normalize": bool(values.get("do_normalize"))}
    channels = int(config.get("num_channels", 3))
    if values.get("do_normalize") is False:
        return {"image_mean": [0.0] * channels, "image_std": [1.0] * channels}
    scales = {key: values[key] for key in ("image_mean", "image_std") if values.get(key) is not None}
    by_channel = {key: [x] * channels if isinstance(x, float | int) else list(x) for key, x in scales.items()}
    if any(len(numbers) != channels for numbers in by_channel.values()):
        raise CheckpointError(
            f"{name} reads images of {channels} channels, but its preprocessor configuration has {by_channel}; "
            f"correct it to {channels} numbers each"
        )
    return by_channel


def _tokenizer(name: str | Path, config: dict[str, Any]) -> Tokenizer:
    """Read the fast tokenizer of a text transformer, set to truncate at `LONGEST_TEXT` tokens or fewer."""
    from transformers import AutoTokenizer

    try:
        local = checkpoint_files.offline() or Path(name).is_dir()
        loaded_tokenizer = AutoTokenizer.from_pretrained(str(name), local_files_only=local, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read the tokenizer of the text encoder {name}: {error}") from error
    tokenizer: Tokenizer | None = getattr(loaded_tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise CheckpointError(f"{name} has no fast tokenizer (tokenizer.json), which a checkpoint needs; add one")
    fault = tokenizer_fault(json.loads(tokenizer.to_str()))  # a checkpoint with this tokenizer could not be loaded
    if fault:
        raise CheckpointError(f"the tokenizer of {name} {fault}; choose another encoder")
    size, rows = tokenizer.get_vocab_size(), config["vocab_size"]
    if not rows / 2 <= size <= rows:  # transformers builds an empty tokenizer if files are missing
        raise CheckpointError(
            f"the tokenizer of {name} has {size} tokens, but its encoder has {rows}; check whether a file is missing"
        )
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(config.get("max_position_embeddings", LONGEST_TEXT), LONGEST_TEXT))
    return tokenizer
