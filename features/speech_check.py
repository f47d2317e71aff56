"""Whether a recording holds speech at all, and what became of it on its way: clipping, and a narrow band.

The bounds were chosen on RAVDESS, TESS, EMO-DB and half of EMOVO, on the same recordings with noise, a telephone's
band, clipping or a room over them, and on twenty-one kinds of generated sounds; `benchmarks/no_speech.py` prints what
they do. White noise whose loudness moves as that of speech does is taken for a whisper.
"""

from __future__ import annotations

import numpy as np

from emoembed.features.notes import Note

FEWEST_VOICED, WHISPERED = 10, 8.0
"""Voiced frames of speech at least; a whisper has none, and its loudness moves by so many dB instead."""
STEADY = 2.0
"""Deviation of loudness, in dB, of what never pauses: the least of speech was 5.7, of speech beneath its own level of
noise 1.7."""
JUMPS = 5.0
"""Median change of pitch from one estimate to the next, in semitones, of what has none: the most of speech was 1.7."""
HELD, SAME = 0.5, 0.02
"""Share of changes of pitch that are smaller than `SAME` semitones in what is played: the most of speech was 0.32."""
MONOTONE = 0.2
"""Deviation of pitch, in semitones, below which nobody speaks: the least of speech was 0.32."""
MACHINE = (0.35, 5.0)
"""The same share as `HELD`, where loudness moves by less than so many dB: an engine."""
CLIPPED = 1e-3
"""Share of samples in flat tops from which a recording is clipped."""
HIGH_BAND, NARROW = 52, 36.0
"""The first mel band above 4.2 kHz, and dB that all above lies below the rest in a narrow recording: in none of the
clips here without a filter it was more than 32."""


def no_speech(values: np.ndarray) -> str | None:
    """Why a recording holds no speech, from its `speech` features `(time, 68)`; None where it may.

    Speech has voiced stretches whose pitch moves, but neither in jumps nor in steps, and pauses. Noise has no pitch, or
    one that jumps; a machine or an instrument holds it, or never pauses.
    """
    f0, voicing, energy = values[:, 64], values[:, 65], values[:, 66]
    voiced = np.flatnonzero(voicing > 0.5)
    runs = [run for run in np.split(voiced, np.flatnonzero(np.diff(voiced) > 1) + 1) if len(run) >= 4]
    moves = np.abs(
        np.concatenate([np.zeros(0), *(np.diff(f0[run][::2]) for run in runs)])
    )  # estimated every other frame
    same = float((moves < SAME).mean()) if len(moves) else 1.0
    loudness = float(energy.std())
    if sum(map(len, runs)) < FEWEST_VOICED:
        hushed = loudness >= WHISPERED and not (len(voiced) and same > 0.9)
        return None if hushed else "nothing in it is voiced"
    if loudness < STEADY:
        return "its loudness never changes"
    if float(np.median(moves)) > JUMPS:
        return "its pitch jumps, as noise does"
    if same > HELD or float(f0[voiced].std()) < MONOTONE or (same > MACHINE[0] and loudness < MACHINE[1]):
        return "its pitch is held, as that of an instrument or a machine"
    return None


def clipping(samples: np.ndarray) -> Note | None:
    """A note where a recording as it was given, `(samples,)` or `(samples, channels)`, has flat tops."""
    flat = 0
    for channel in samples.T if samples.ndim == 2 else [samples]:
        for extreme in (channel.max(), channel.min()):
            at = np.flatnonzero(channel == extreme)
            runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
            flat = max(flat, sum(len(run) for run in runs if len(run) >= 3))
    share = flat / max(len(samples), 1)
    if share < CLIPPED or float(np.abs(samples).max()) < 0.05:
        return None
    return Note(
        "clipped", "audio", f"{share:.1%} of its samples are cut off at the loudest level; record it more softly"
    )


def narrow_band(mel: np.ndarray) -> Note | None:
    """A note where a recording, as log-mel `(time, 64)`, has nothing above 4 kHz."""
    loudness = np.quantile(mel.max(axis=1), 0.95)
    if np.quantile(mel[:, HIGH_BAND:].max(axis=1), 0.95) > loudness - NARROW:
        return None
    return Note("band-limited", "audio", "nothing above 4 kHz, as over a telephone; answers are less sure there")
