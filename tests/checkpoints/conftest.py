"""A tiny encoder in the place of the larger one that `base` learns from."""

import hashlib

import distil
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast


@pytest.fixture
def larger(tmp_path, tokenizer, monkeypatch):
    """Its folder. The published checksum is its own."""
    torch.manual_seed(3)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(**size, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64)
    folder = tmp_path / "larger"
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(distil, "CHECKSUM", digest)
    return folder
