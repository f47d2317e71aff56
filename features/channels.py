"""Change a recording as microphones, lines and rooms do. Training also uses these copies."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from emoembed.features.sound_files import SAMPLING_RATE

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def other_channel(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A copy of a recording through another channel: level, room, noise, and then a line or a microphone.

    Args:
        samples: mono sound at 16 kHz, `(samples,)` in -1..1.
        generator: draws the changes.

    Returns:
        Sound of the same length in -1..1.
    """
    changed = samples * 10.0 ** (generator.uniform(-25.0, 10.0) / 20.0)
    if generator.random() < 0.5:
        changed = room(changed, generator)
    if generator.random() < 0.6:
        changed = noise(changed, generator)
    line = LINES[generator.integers(len(LINES))]
    return np.clip(line(changed, generator), -1.0, 1.0).astype(np.float32)[: len(samples)]


def room(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add a reverberation of 0.1 to 0.7 s."""
    from scipy.signal import fftconvolve

    decay = generator.uniform(0.1, 0.7)  # seconds until the echo is 60 dB lower
    time = np.arange(int(decay * SAMPLING_RATE)) / SAMPLING_RATE
    echo = generator.standard_normal(len(time)) * 10.0 ** (-3.0 * time / decay)
    share = generator.uniform(0.05, 0.4)  # energy of the echo, as a share of the direct sound
    response = np.concatenate([[1.0], echo * np.sqrt(share / np.square(echo).sum())])
    return np.asarray(fftconvolve(samples, response)[: len(samples)])


def noise(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add white, pink or brown noise, 5 to 35 dB below the recording."""
    spectrum = np.fft.rfft(generator.standard_normal(len(samples)))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** generator.choice([0.0, 0.5, 1.0])
    added = np.fft.irfft(spectrum, len(samples))
    level = 10.0 ** (-generator.uniform(5.0, 35.0) / 20.0)
    return np.asarray(samples + added * level * _level(samples) / max(_level(added), 1e-12))


def unchanged(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The recording itself."""
    return samples


def microphone(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Remove low frequencies, as a small microphone does."""
    return _filtered(samples, generator.uniform(100.0, 600.0), None, 2)


def telephone(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Keep 300 to 3,400 Hz."""
    return _filtered(samples, 300.0, 3400.0, 6)


def narrow_line(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Sample at 8 kHz in 8-bit mu-law (ITU-T G.711), as telephone networks do."""
    from scipy.signal import resample_poly

    slow = resample_poly(samples, 1, 2)
    loudest = max(float(np.abs(slow).max()), 1e-9)
    coded = np.sign(slow) * np.log1p(255.0 * np.abs(slow) / loudest) / np.log(256.0)
    coded = np.round(coded * 127.0) / 127.0
    heard = np.sign(coded) * (256.0 ** np.abs(coded) - 1.0) / 255.0 * loudest
    return np.asarray(resample_poly(heard, 2, 1))


def opus(samples: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Encode with Opus at 12 to 24 kbit/s and decode, as calls over the internet do."""
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="ogg") as written:
        stream = written.add_stream("libopus", rate=SAMPLING_RATE, layout="mono")
        stream.bit_rate = int(generator.uniform(12_000, 24_000))
        whole = np.clip(samples * 32767.0, -32768, 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = SAMPLING_RATE
        written.mux([*stream.encode(frame), *stream.encode(None)])
    content.seek(0)
    to_mono = av.AudioResampler(format="flt", layout="mono", rate=SAMPLING_RATE)
    with av.open(content, "r") as read:
        frames = [part for frame in read.decode(audio=0) for part in to_mono.resample(frame)]
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return np.pad(heard, (0, max(0, len(samples) - len(heard))))[: len(samples)]


LINES: tuple[Change, ...] = (unchanged, microphone, telephone, narrow_line, opus)
"""The last change of a recording. Each is equally frequent."""


def _filtered(samples: np.ndarray, low: float, high: float | None, order: int) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    kind, edges = ("high", low) if high is None else ("band", [low, high])
    return np.asarray(sosfilt(butter(order, edges, kind, fs=SAMPLING_RATE, output="sos"), samples))


def _level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples).mean()))
