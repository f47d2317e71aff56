"""Whether a recording holds speech at all, and what became of it on its way: clipping, and a narrow band.

The bounds were chosen on RAVDESS, TESS, EMO-DB and half of EMOVO, on the same recordings with noise, a telephone's
band, clipping or a room over them, and on twenty-one kinds of generated sounds. `benchmarks/no_speech.py` prints what
the bounds refuse and the extremes of real speech, of all of these but EMOVO. White noise whose loudness moves as that
of speech does is taken for a whisper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoembed.features.notes import Note

FEWEST_VOICED, WHISPERED = 10, 8.0
"""Voiced frames of speech, at least. A whisper has none; its loudness deviates by so many dB instead."""
STEADY = 2.0
"""Deviation of loudness, in dB, below which a recording never pauses."""
JUMPS = 5.0
"""Median change of pitch between estimates, in semitones, above which there is no pitch."""
HELD, SAME = 0.5, 0.02
"""Share of changes of pitch below `SAME` semitones, above which an instrument plays."""
MONOTONE = 0.2
"""Deviation of pitch, in semitones, below which nobody speaks."""
MACHINE = (0.35, 5.0)
"""The same share as `HELD`, where loudness deviates by less than so many dB: an engine."""
CLIPPED = 1e-3
"""Share of samples in flat tops from which a recording is clipped."""
HIGH_BAND, NARROW = 52, 36.0
"""The first mel band above 4.2 kHz, and dB that all above lies below the rest in a narrow recording."""


@dataclass(frozen=True)
class Voice:
    """What tells speech from other sound, of one recording."""

    voiced: int
    """Frames in voiced stretches of 40 ms or more."""
    loudness: float
    """Deviation of loudness, dB."""
    change: float
    """Median change of pitch from one estimate to the next, semitones; 0 where nothing is voiced."""
    held: float
    """Share of these changes that are smaller than `SAME`; 1 where nothing is voiced."""
    pitch: float
    """Deviation of pitch over voiced frames, semitones."""


def voice(values: np.ndarray) -> Voice:
    """Measure a recording, from its `speech` features `(time, 68)`."""
    f0, voicing, energy = values[:, 64], values[:, 65], values[:, 66]
    frames = np.flatnonzero(voicing > 0.5)
    runs = [run for run in np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1) if len(run) >= 4]
    # YIN estimates every other frame, so the frames between hold no news
    changes = np.abs(np.concatenate([np.zeros(0), *(np.diff(f0[run][::2]) for run in runs)]))
    return Voice(
        voiced=sum(map(len, runs)),
        loudness=float(energy.std()),
        change=float(np.median(changes)) if len(changes) else 0.0,
        held=float((changes < SAME).mean()) if len(changes) else 1.0,
        pitch=float(f0[frames].std()) if len(frames) else 0.0,
    )


def no_speech(values: np.ndarray) -> str | None:
    """Why a recording holds no speech, from its `speech` features `(time, 68)`; None where it may.

    Speech has voiced stretches whose pitch moves, but neither in jumps nor in steps, and it pauses. Noise has no pitch,
    or one that jumps. A machine or an instrument holds its pitch, or never pauses.
    """
    heard = voice(values)
    if heard.voiced < FEWEST_VOICED:
        no_pitch = not (values[:, 65] > 0.5).any() or heard.held <= 0.9
        return None if heard.loudness >= WHISPERED and no_pitch else "nothing in it is voiced"
    if heard.loudness < STEADY:
        return "its loudness never changes"
    if heard.change > JUMPS:
        return "its pitch jumps, as noise does"
    machine = heard.held > MACHINE[0] and heard.loudness < MACHINE[1]
    if heard.held > HELD or heard.pitch < MONOTONE or machine:
        return "its pitch is held, as that of an instrument or a machine"
    return None


def high_band(mel: np.ndarray) -> float:
    """How far all above 4.2 kHz lies below the rest, in dB, of log-mel `(time, 64)`."""
    loudness = np.quantile(mel.max(axis=1), 0.95)
    return float(loudness - np.quantile(mel[:, HIGH_BAND:].max(axis=1), 0.95))


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
    if high_band(mel) < NARROW:
        return None
    return Note("band-limited", "audio", "nothing above 4 kHz, as over a telephone; answers are less sure there")
