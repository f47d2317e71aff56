"""Whisper's first layers: what they return, and what has no influence on it."""

import json

import pytest
import torch
from safetensors.torch import save_file

from emoembed.encoders.whisper import BANDS, DEPTH, WhisperLayers, read_whisper
from emoembed.errors import CheckpointError

TINY = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}


@pytest.fixture(scope="module")
def layers():
    torch.manual_seed(0)
    return WhisperLayers({**TINY, "max_source_positions": 40})


def frames_of(count, seed=0):
    return 10 * torch.randn(1, count, BANDS, generator=torch.Generator().manual_seed(seed)) - 40


def test_a_recording_alone_is_read_as_whisper_reads_it(layers):
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    encoder = WhisperEncoder(WhisperConfig(**TINY, max_source_positions=40, num_mel_bins=BANDS)).eval()
    encoder.load_state_dict(layers.state_dict(), strict=False)
    encoder.layer_norm = torch.nn.Identity()
    frames = frames_of(80)
    power = (10 ** (frames / 10)).mean()
    scaled = frames - 10 * power.log10() - 25
    scaled = torch.maximum(scaled, scaled.max() - DEPTH)
    expected = encoder((scaled / 10 + 4).transpose(1, 2) / 4).last_hidden_state
    states, counts = layers(frames, torch.tensor([80]))
    assert counts.tolist() == [40]
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 31, 32])
def test_padding_has_no_influence(layers, count):
    short, long = frames_of(count, 1), frames_of(60, 2)
    batch = torch.cat([torch.nn.functional.pad(short, (0, 0, 0, 60 - count), value=7.0), long])
    states, counts = layers(batch, torch.tensor([count, 60]))
    alone, alone_counts = layers(short, torch.tensor([count]))
    assert counts.tolist() == [(count + 1) // 2, 30]
    assert alone_counts.tolist() == counts.tolist()[:1]
    torch.testing.assert_close(states[:1, : counts[0]], alone[:, : counts[0]], atol=1e-5, rtol=1e-4)


def test_the_level_has_no_influence(layers):
    frames = frames_of(50)
    first, _ = layers(frames, torch.tensor([50]))
    quiet, _ = layers(frames - 20, torch.tensor([50]))
    torch.testing.assert_close(first, quiet, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(first, layers(frames_of(50, 3), torch.tensor([50]))[0], atol=1e-2)


def test_a_long_recording_is_read_up_to_the_longest(layers):
    states, counts = layers(frames_of(200), torch.tensor([200]))
    assert states.shape == (1, 40, 16)
    assert counts.tolist() == [40]


def test_nothing_is_trained(layers):
    layers.train()
    assert not layers.training
    assert not any(weight.requires_grad for weight in layers.parameters())


@pytest.fixture
def published(tmp_path):
    """A tiny Whisper with three encoder layers and a decoder, as transformers saves it."""
    from transformers import WhisperConfig, WhisperModel

    config = WhisperConfig(
        **{**TINY, "encoder_layers": 3},
        max_source_positions=40,
        num_mel_bins=BANDS,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        vocab_size=60,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
    )
    model = WhisperModel(config)
    model.save_pretrained(tmp_path)
    return tmp_path, model


def test_the_first_layers_of_a_published_model_are_read(published):
    folder, model = published
    config, weights = read_whisper(folder)
    layers = WhisperLayers(config)
    layers.load_state_dict(weights)
    assert config["encoder_layers"] == 2
    assert torch.equal(layers.layers[1].fc1.weight, model.encoder.layers[1].fc1.weight)
    assert torch.equal(layers.conv1.weight, model.encoder.conv1.weight)


def test_what_is_no_such_whisper_is_refused(published, tmp_path):
    folder, _ = published
    with pytest.raises(CheckpointError, match="has 3 layers; 4 are needed"):
        read_whisper(folder, layers=4)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_mel_bins": 128}))
    with pytest.raises(CheckpointError, match="is not a Whisper with 80 bands"):
        read_whisper(folder)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"encoder.conv1.weight": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="lacks weights"):
        read_whisper(folder)
    with pytest.raises(CheckpointError, match="no Whisper at"):
        read_whisper(tmp_path / "nowhere", offline=True)


@pytest.mark.parametrize("change", [{"encoder_layers": 10**9}, {"encoder_layers": 0}, {"vocab_size": 3}])
def test_layers_that_are_not_whispers_are_not_built(change):
    with pytest.raises(CheckpointError, match="need d_model, encoder_layers"):
        WhisperLayers({**TINY, "max_source_positions": 40, **change})
