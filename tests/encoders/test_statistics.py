import numpy as np
import pytest
import torch

from emoembed.encoders.pooled import PooledEncoder, PooledSettings
from emoembed.encoders.statistics import moments
from emoembed.encoders.whisper import BANDS

TINY = {
    "d_model": 16,
    "encoder_layers": 1,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "max_source_positions": 100,
}


@pytest.fixture
def frames():
    return torch.randn(2, 30, 84), torch.tensor([30, 12])


def test_moments_are_what_numpy_says_and_padding_has_no_influence(frames):
    frames, lengths = frames
    frames[1, 12:] = 1e4
    mean, deviation = moments(frames, lengths)
    item = frames[1, :12].numpy().astype(np.float64)
    np.testing.assert_allclose(mean[1], item.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(deviation[1], item.std(axis=0), atol=1e-4)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    made = PooledEncoder(84, 12, PooledSettings(summary="whisper", whisper=TINY, hidden=8, overview=0.5))
    made.overview.fit(torch.randn(40, 32), torch.randn(40, 12), penalty=1.0)
    return made


def test_speech_is_read_with_whisper_and_padding_has_no_influence(frames, encoder):
    frames, lengths = frames
    before = encoder.eval()(frames, lengths)
    frames[1, 12:] = 1e4
    torch.testing.assert_close(encoder(frames, lengths), before, atol=1e-5, rtol=1e-4)
    mean, deviation = moments(*encoder.whisper(frames[..., :BANDS], lengths))
    torch.testing.assert_close(encoder.summarize(frames, lengths), torch.cat([mean, deviation], dim=1))


def test_what_was_summarised_before_is_read_alike(frames, encoder):
    encoder.eval()
    summary = encoder.summarize(*frames)
    torch.testing.assert_close(encoder(summary[:, None], torch.ones(2, dtype=torch.long)), encoder(*frames))


def test_whisper_has_no_gradient_and_what_follows_has_one(frames, encoder):
    encoder.train()(*frames).sum().backward()
    assert all(weight.grad is None for weight in encoder.whisper.parameters())
    assert encoder.out[1].weight.grad is not None
