"""Transformers others have trained, by hub id or local folder, as the encoder of a modality.

Text: any encoder `AutoModel` builds, best one made for sentences, since it embeds the labels too. Sound: wav2vec2,
HuBERT, WavLM, which read samples. Faces: ViT and CLIP's vision half. The transformer stays as it is; low-rank adapters
are trained beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from emoembed import checkpoint, recipes
from emoembed.errors import CheckpointError
from emoembed.features import audio
from emoembed.model import EmotionModel
from emoembed.model_config import ModalityConfig
from emoembed.transformer import PREPARED, SentenceEncoder, TransformerEncoder, read_trunk

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PREPARATION = "preprocessor_config.json"
RANK = 8
LONGEST_TEXT = 512  # tokens


@dataclass(frozen=True)
class Pretrained:
    """A modality whose encoder is a transformer, the transformer's weights, and a text encoder's tokenizer."""

    modality: ModalityConfig
    weights: dict[str, Tensor]
    tokenizer: Tokenizer | None = None

    def load_into(self, model: EmotionModel, name: str) -> None:
        """Put the weights into a model that was built with this modality."""
        encoder = model.encoders[name]
        assert isinstance(encoder, TransformerEncoder)
        encoder.trunk.load_state_dict(self.weights)

    def sentence_encoder(self) -> SentenceEncoder:
        """A text transformer as the encoder of label names."""
        assert self.tokenizer is not None
        encoder = TransformerEncoder(embed_dim=self.modality.embed_dim, **self.modality.settings)
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
    settings = {"trunk_config": {**config, **_preparation(name)}, "rank": rank}
    if modality == "audio":
        like = recipes.audio_modality()
        columns = audio.WAVEFORM.columns
        made = ModalityConfig(
            "waveform", "transformer", like.embed_dim, columns, settings, like.parts, detail=like.detail
        )
    else:
        like = recipes.video_modality()
        made = ModalityConfig("pixels", "transformer", like.embed_dim, (), settings, like.parts, detail=like.detail)
    return Pretrained(made, weights)


def _modality_of(config: dict[str, Any]) -> str:
    if "conv_stride" in config or config["model_type"] in ("wav2vec2", "hubert", "wavlm"):
        return "audio"
    return "video" if config["model_type"] in ("vit", "clip_vision_model") or "image_size" in config else "text"


def _preparation(name: str | Path) -> dict[str, Any]:
    """How the transformer's input was prepared in its own training, see `media`; nothing where it does not say."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    path = Path(name) / PREPARATION
    if not Path(name).is_dir():
        try:
            path = Path(hf_hub_download(str(name), PREPARATION, local_files_only=checkpoint.offline()))
        except EntryNotFoundError:
            return {}
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: told[key] for key in PREPARED if key in told}


def _tokenizer(name: str | Path, config: dict[str, Any]) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(str(name), local_files_only=checkpoint.offline() or Path(name).is_dir())
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
