"""Channels change a recording as named, keep its length, and repeat with the same generator."""

import numpy as np
import pytest

from emoembed.features import channels

RATE = 16_000
CHANGES = [channels.room, channels.noise, *channels.LINES]


@pytest.fixture(scope="module")
def sound():
    time = np.arange(RATE) / RATE
    tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in (120, 1000, 6000))
    return (0.1 * tones * (time > 0.2)).astype(np.float32)


def draw(seed=0):
    return np.random.default_rng(seed)


def share(samples, low, high):
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return power[(hertz >= low) & (hertz < high)].sum() / power.sum()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_keeps_the_length_and_most_of_the_sound(sound, change):
    changed = change(sound, draw())
    assert changed.shape == sound.shape
    assert np.isfinite(changed).all()
    assert 0.02 < np.sqrt(np.square(changed).mean()) < 0.3


@pytest.mark.parametrize("change", [channels.telephone, channels.narrow_line, channels.opus])
def test_lines_cut_the_high_band(sound, change):
    assert share(sound, 5000, 8000) > 0.3
    limit = 0.35 if change is channels.opus else 0.02
    assert share(change(sound, draw()), 5000, 8000) < limit


def test_a_small_microphone_and_a_telephone_lose_low_tones(sound):
    for change in (channels.microphone, channels.telephone):
        assert share(change(sound, draw(3)), 0, 200) < share(sound, 0, 200) / 2


def test_noise_lies_below_the_recording_by_what_was_drawn(sound):
    for seed in range(10):
        added = channels.noise(sound, draw(seed)) - sound
        below = 20 * np.log10(np.sqrt(np.square(sound).mean() / np.square(added).mean()))
        assert 5 <= below <= 35


def test_a_room_goes_on_after_the_sound():
    click = np.zeros(RATE, np.float32)
    click[0] = 0.5
    assert np.abs(channels.room(click, draw())[800:]).max() > 1e-3


def test_another_channel_repeats_with_the_same_generator_and_stays_in_range(sound):
    first, same, other = (channels.other_channel(5 * sound, draw(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert first.dtype == np.float32
    assert np.abs(first).max() <= 1
    assert first.shape == sound.shape
