"""Check whether a recording contains speech, and detect clipping and a narrow frequency band.

The thresholds were chosen on RAVDESS, TESS, EMO-DB and half of EMOVO; on the same recordings with noise, a telephone
band, clipping or reverberation; and on twenty-one kinds of generated sounds. For all of these except EMOVO,
`benchmarks/no_speech.py` prints which sounds the thresholds refuse, and the extremes of real speech. White noise whose
loudness varies like that of speech is mistaken for a whisper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoembed.features.notes import Note

FEWEST_VOICED, WHISPERED = 10, 8.0
"""Speech has at least `FEWEST_VOICED` voiced frames. A whisper has none, but the standard deviation of its loudness is
at least `WHISPERED` dB."""
STEADY = 2.0
"""Standard deviation of loudness, in dB. Below it, the recording has no pauses."""
JUMPS = 5.0
"""Median change between two pitch estimates, in semitones. Above it, the sound has no pitch."""
HELD, SAME = 0.5, 0.02
"""If more than the share `HELD` of the pitch changes are below `SAME` semitones, the sound is an instrument."""
MONOTONE = 0.2
"""Standard deviation of pitch, in semitones. Below it, the sound is not speech."""
MACHINE = (0.35, 5.0)
"""A share of pitch changes below `SAME`, and dB. A sound with a larger share, whose loudness has a standard deviation
below these dB, is a machine such as an engine."""
CLIPPED = 1e-3
"""A recording is clipped if at least this share of its samples is in flat peaks."""
NEAR_PEAK, CROWDED, PEAK = 0.8, 0.08, 0.99
"""Compression rounds flat peaks. A compressed recording is clipped if more than the share `CROWDED` of its samples is
louder than `NEAR_PEAK` of its peak, which is the quantile `PEAK` of its levels. In each recording of RAVDESS, TESS and
EMO-DB the share is at most 0.065. In MP3 and Ogg copies of 25 clips a corpus, with a tenth of the samples clipped, it
was above `CROWDED`. A pure tone is above it too."""
HIGH_BAND, NARROW = 65, 45.0
"""`HIGH_BAND` is the first mel band above 4.2 kHz. In narrow-band sound, all bands from it on are at least `NARROW` dB
quieter than the loudest band."""


@dataclass(frozen=True)
class Voice:
    """Measurements of a recording that distinguish speech from other sounds."""

    voiced: int
    """Number of frames in voiced stretches of at least 40 ms."""
    loudness: float
    """Standard deviation of loudness, dB."""
    change: float
    """Median change between two pitch estimates, semitones; 0 if nothing is voiced."""
    held: float
    """Share of these changes below `SAME`; 1 if nothing is voiced."""
    pitch: float
    """Standard deviation of pitch over voiced frames, semitones."""


def voice(values: np.ndarray) -> Voice:
    """Measure a recording from its `speech` features `(time, 84)`."""
    f0, voicing, energy, _ = values[:, -4:].T
    frames = np.flatnonzero(voicing > 0.5)
    runs = [run for run in np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1) if len(run) >= 4]
    # YIN estimates every other frame; the frames between repeat the estimate
    changes = np.abs(np.concatenate([np.zeros(0), *(np.diff(f0[run][::2]) for run in runs)]))
    return Voice(
        voiced=sum(map(len, runs)),
        loudness=float(energy.std()),
        change=float(np.median(changes)) if len(changes) else 0.0,
        held=float((changes < SAME).mean()) if len(changes) else 1.0,
        pitch=float(f0[frames].std()) if len(frames) else 0.0,
    )


def no_speech(values: np.ndarray) -> str | None:
    """The reason why a recording is not speech, from its `speech` features `(time, 84)`; None if it may be speech.

    Speech has pauses and voiced stretches. Its pitch varies, but neither in jumps nor in steps. Noise has no pitch, or
    its pitch jumps. The pitch of a machine or an instrument stays constant for a while, or its sound has no pauses.
    """
    measures = voice(values)
    if measures.voiced < FEWEST_VOICED:
        has_no_pitch = not (values[:, -3] > 0.5).any() or measures.held <= 0.9
        return None if measures.loudness >= WHISPERED and has_no_pitch else "no part of it is voiced"
    if measures.loudness < STEADY:
        return "its loudness is constant"
    if measures.change > JUMPS:
        return "its pitch jumps, as in noise"
    is_machine = measures.held > MACHINE[0] and measures.loudness < MACHINE[1]
    if measures.held > HELD or measures.pitch < MONOTONE or is_machine:
        return "its pitch is constant, like that of an instrument or a machine"
    return None


def high_band(mel: np.ndarray) -> float:
    """How much quieter the bands above 4.2 kHz are than the loudest band, in dB; from log-mel `(time, 80)`."""
    loudness = np.quantile(mel.max(axis=1), 0.95)
    return float(loudness - np.quantile(mel[:, HIGH_BAND:].max(axis=1), 0.95))


def clipping(samples: np.ndarray, *, compressed: bool = False) -> Note | None:
    """A note if the original recording, `(samples,)` or `(samples, channels)`, has flat peaks.

    In a compressed recording, peaks that were flat are rounded. They are found by how many samples are near the peak.
    """
    flat_samples = 0
    for channel in samples.T if samples.ndim == 2 else [samples]:
        for extreme in (channel.max(), channel.min()):
            positions = np.flatnonzero(channel == extreme)
            runs = np.split(positions, np.flatnonzero(np.diff(positions) > 1) + 1)
            flat_samples = max(flat_samples, sum(len(run) for run in runs if len(run) >= 3))
    share = flat_samples / max(len(samples), 1)
    if compressed and share < CLIPPED:
        near = _near_peak(samples)
        share = near if near > CROWDED else 0.0
    if share < CLIPPED or float(np.abs(samples).max()) < 0.05:
        return None
    return Note(
        "clipped", "audio", f"{share:.1%} of the samples are clipped at the maximum level; record at a lower level"
    )


def _near_peak(samples: np.ndarray) -> float:
    """The share of samples near the peak of a recording, in the channel with the largest share."""
    levels = np.abs(samples - samples.mean(axis=0))
    peaks = np.quantile(levels, PEAK, axis=0)
    return float((levels > NEAR_PEAK * np.maximum(peaks, 1e-9)).mean(axis=0).max())


def narrow_band(mel: np.ndarray) -> Note | None:
    """A note if a recording, as log-mel `(time, 80)`, has no sound above 4 kHz."""
    if high_band(mel) < NARROW:
        return None
    return Note("band-limited", "audio", "no sound above 4 kHz, like a telephone call; answers are less reliable")
