import numpy as np
import pytest
import scipy.fft
import torch

from emoembed.encoders.spectrogram import SpectrogramEncoder, SpectrogramSettings
from emoembed.encoders.statistics import CEPSTRA, QUANTILES, statistics, statistics_dim


@pytest.fixture
def frames():
    return torch.randn(2, 30, 68), torch.tensor([30, 12])


def test_padding_is_inert(frames):
    frames, lengths = frames
    before = statistics(frames, lengths)
    frames[1, 12:] = 1e4
    torch.testing.assert_close(statistics(frames, lengths), before)


def test_an_item_does_not_depend_on_its_company(frames):
    frames, lengths = frames
    alone = statistics(frames[1:, :12], lengths[1:])
    torch.testing.assert_close(statistics(frames, lengths)[1:], alone)


def test_it_is_what_numpy_says(frames):
    frames, lengths = frames
    found = statistics(frames, lengths)[1].numpy()
    item = frames[1, :12].numpy().astype(np.float64)
    ordered = np.sort(item, axis=0)
    cepstra = scipy.fft.dct(item[:, :64], norm="ortho", axis=1)[:, :CEPSTRA]
    expected = [item.mean(axis=0), item.std(axis=0), *(ordered[int(11 * q)] for q in QUANTILES)]
    expected += [np.abs(np.diff(item, axis=0)).mean(axis=0), np.diff(item, axis=0).std(axis=0)]
    expected += [cepstra.std(axis=0), np.abs(np.diff(cepstra, axis=0)).mean(axis=0), [0.12]]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-4)
    assert len(found) == statistics_dim(68)


def test_a_single_frame_has_statistics():
    assert bool(statistics(torch.randn(1, 1, 68), torch.tensor([1])).isfinite().all())


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    made = SpectrogramEncoder(68, 12, SpectrogramSettings(hidden=8, overview=0.5))
    made.overview.fit(torch.randn(40, statistics_dim(68)), torch.randn(40, 12), penalty=1.0)
    return made


def test_the_speech_encoder_joins_both_and_padding_stays_inert(frames, encoder):
    frames, lengths = frames
    before = encoder.eval()(frames, lengths)
    frames[1, 12:] = 1e4
    torch.testing.assert_close(encoder(frames, lengths), before)
    without = encoder.out(encoder._pooled(encoder.standardize(frames, lengths), lengths))
    assert torch.cosine_similarity(before, without).min() < 0.99


def test_in_training_the_network_does_not_hear_the_overview(frames, encoder):
    encoder.train()
    torch.manual_seed(1)
    before = encoder(*frames)
    encoder.overview.bias.add_(100.0)
    torch.manual_seed(1)
    torch.testing.assert_close(encoder(*frames), before)


def test_a_single_recording_trains(frames, encoder):
    assert bool(encoder.train()(frames[0][:1], frames[1][:1]).isfinite().all())
