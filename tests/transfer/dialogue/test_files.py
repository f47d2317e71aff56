import json

import pytest
import torch

from emoembed.encoders.context import ContextEncoder, ContextSettings
from emoembed.errors import CheckpointError, InputError, MissingFileError, OutputError
from emoembed.transfer.dialogue.files import read_pretrained, save_pretrained
from emoembed.transfer.dialogue.manifest import pretrain_manifest
from emoembed.transfer.dialogue.pretrain import PretrainConfig, Pretrained

CONFIG = PretrainConfig(hidden_dim=6, epochs=2, batch_size=4)


@pytest.fixture
def pretrained():
    return Pretrained(ContextEncoder({"text": 5, "audio": 4}, ContextSettings(6)), (2.0, 1.5), (), 1)


def test_a_context_is_read_as_it_was_saved(pretrained, tmp_path):
    save_pretrained(pretrained, tmp_path / "context", CONFIG, {"corpus": "chats"})
    loaded = read_pretrained(tmp_path / "context")
    assert loaded.dims == {"text": 5, "audio": 4}
    weights = pretrained.encoder.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())
    description = json.loads((tmp_path / "context" / "context.json").read_text())
    assert description["pretraining"]["losses"] == [2.0, 1.5]
    assert description["pretraining"]["corpus"] == "chats"
    save_pretrained(pretrained, tmp_path / "context", CONFIG, {})


def test_other_folders_are_not_overwritten(pretrained, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.txt"):
        save_pretrained(pretrained, tmp_path / "mine", CONFIG, {})
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("context.json", b"{", "the pre-trained context in"),
        ("context.json", b'{"version": 9}', "version 9"),
        ("context.json", b"[]", "the pre-trained context in"),
        ("context.safetensors", b"x" * 40, "the pre-trained context in"),
        ("context.safetensors", b"", "the pre-trained context in"),
    ],
)
def test_a_damaged_folder_is_refused(pretrained, tmp_path, file, content, message):
    save_pretrained(pretrained, tmp_path / "context", CONFIG, {})
    (tmp_path / "context" / file).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_pretrained(tmp_path / "context")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingFileError):
        read_pretrained(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFileError, match=r"has no context\.json; make it with emoembed pretrain dialogue"):
        read_pretrained(tmp_path / "empty")


def test_a_manifest_is_pretrained_without_labels(text_model, corpus_of, tmp_path):
    texts = ["we made it", "oh no", "not that again", None] * 8
    chats = corpus_of(texts, dialogue=[f"d{i // 4}" for i in range(32)], speaker=["A", "B"] * 16)
    result = pretrain_manifest(text_model, chats, tmp_path / "context", CONFIG)
    assert len(result.losses) == 2
    assert read_pretrained(tmp_path / "context").settings.hidden_dim == 6
    with pytest.raises(InputError, match="has no dialogues"):
        pretrain_manifest(text_model, corpus_of(["oh no"] * 4), tmp_path / "other", CONFIG)
    single = corpus_of(["oh no", None] * 4, dialogue=list("aabbccdd"))
    with pytest.raises(InputError, match="no dialogue with two texts"):
        pretrain_manifest(text_model, single, tmp_path / "other", CONFIG)
    assert not (tmp_path / "other").exists()
