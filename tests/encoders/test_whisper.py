"""Whisper's first layers: what they return, and what has no influence on it."""

import pytest
import torch

from emoembed.encoders.whisper import BANDS, DEPTH, WhisperLayers

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
