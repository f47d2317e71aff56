"""Sound to arrays: mono samples at 16 kHz, log-mel bands and prosody at 100 frames a second."""

from __future__ import annotations

from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from emoembed.errors import InputError, MediaError
from emoembed.features import sound_files, speech_check
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.media_files import File, name_of, unmasked
from emoembed.features.notes import Note
from emoembed.features.sound_files import CANCELLED, RATES, SAMPLING_RATE

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Sound = File | np.ndarray
"""The sources that sound is read from."""
HOP = 160  # samples: 100 frames a second
WINDOW = 400  # samples: 25 ms
SHORTEST = 0.1  # seconds
LOUDEST = 8.0  # for float samples: clipped or resampled sound may exceed 1; unscaled integers exceed this
MOST_CHANNELS = 32
N_MELS = 80  # as in Whisper
F0_RANGE = (65.0, 500.0)  # Hz: from a low male voice to a shouting female voice
F0_WINDOW = 640  # samples: 40 ms, a little more than two periods of the lowest F0
F0_HOP = 2 * HOP  # F0 is the slowest column to compute, so it is estimated 50 times a second and repeated
FLOOR_DB = -110.0  # quieter bands are set to this level
TRIM_DB = 40.0  # leading and trailing frames this far below the loudest frame are silence
CLICK = 7  # frames: a running median of this width removes clicks, which are shorter than half of it
VOICED = 0.5  # minimum periodicity of a voiced frame
SHORTEST_VOICE = 4  # frames: shorter voiced stretches occur by chance
AROUND_VOICE = 25  # frames kept before the first and after the last voiced stretch, for unvoiced consonants

MEL_COLUMNS = tuple(f"mel_{band:02d}" for band in range(N_MELS))
PROSODY_COLUMNS = ("f0", "voicing", "energy", "tilt")
LOG_MEL = FeatureSet("log_mel", MEL_COLUMNS, SAMPLING_RATE / HOP)
SPEECH = FeatureSet("speech", MEL_COLUMNS + PROSODY_COLUMNS, SAMPLING_RATE / HOP)
WAVEFORM = FeatureSet("waveform", ("sample",), float(SAMPLING_RATE))


def read_audio(
    source: Sound,
    sampling_rate: float | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    limit: float | None = None,
) -> np.ndarray:
    """Read sound as float32 mono samples at 16 kHz, `(samples,)` in -1..1, with the DC offset removed.

    The channels are averaged. If they cancel each other, only the loudest channel is used.

    Args:
        source: a sound file or a video with a sound track (a path, an open file or bytes); or an array `(samples,)`,
            `(samples, channels)` or `(channels, samples)`. The shorter axis of a 2-D array is the channel axis.
        sampling_rate: samples per second of an array. Required for an array, refused for a file.
        start, end: the part to read, in seconds; the whole sound by default.
        limit: read at most this many seconds from `start`; no limit by default.

    Raises:
        MissingFileError: the path is not a file.
        MediaError: the file cannot be decoded, has no sound, has less than 0.1 s of it, or is silent.
        InputError: an array has the wrong shape or scale, NaN or infinite values, or no sampling rate; or start, end
            or limit is not a valid time.

    Examples:
        >>> import numpy as np
        >>> from emoembed.features.audio import read_audio
        >>> tone = np.sin(2 * np.pi * 220 * np.arange(44_100) / 44_100)  # one second
        >>> read_audio(tone, 44_100).shape
        (16000,)
    """
    return _read(source, sampling_rate, start, end, limit)[0]


def speech(
    source: Sound,
    sampling_rate: float | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    limit: float | None = None,
) -> Features:
    """Compute the `speech` features of a sound: `(time, 84)` at 100 frames a second, trimmed to the speech.

    Columns: 80 log-mel bands (dB), `f0` (semitones above 55 Hz; 0 where unvoiced), `voicing`
    (normalised autocorrelation at the period of F0, 0 to 1), `energy` (dB) and `tilt` (dB, mean of the lower half of
    the mel bands minus mean of the upper half). The arguments and errors are those of `read_audio`.
    `speech_check.no_speech` checks whether the sound is speech at all.

    Examples:
        >>> import numpy as np
        >>> from emoembed.features.audio import speech
        >>> time = np.arange(16_000) / 16_000  # a buzz whose pitch and loudness change, instead of a voice:
        >>> features = speech((150 * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2, 16_000)
        >>> features.values.shape[1], features.feature_set.columns[-4:]
        (84, ('f0', 'voicing', 'energy', 'tilt'))
    """
    samples, notes = _read(source, sampling_rate, start, end, limit)
    features = speech_of(samples)
    return Features(features.values, SPEECH, (*notes, *features.notes))


def speech_of(samples: np.ndarray) -> Features:
    """The `speech` features of samples `(samples,)` at 16 kHz."""
    mel = log_mel(samples).values
    columns = prosody(samples, mel)
    first_frame, end_frame = spoken_part(mel, columns)
    values = np.concatenate([mel[first_frame:end_frame], columns[first_frame:end_frame]], axis=1)
    band_note = speech_check.narrow_band(values[:, :N_MELS])
    return Features(values.astype(np.float32), SPEECH, (band_note,) if band_note else ())


def waveform(
    source: Sound,
    sampling_rate: float | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    limit: float | None = None,
) -> Features:
    """The samples, `(samples, 1)` at 16 kHz, for encoders that take the waveform (wav2vec2, HuBERT, WavLM)."""
    samples, notes = _read(source, sampling_rate, start, end, limit)
    return Features(samples[:, None], WAVEFORM, notes)


def spoken_part(mel: np.ndarray, columns: np.ndarray) -> tuple[int, int]:
    """Find the spoken part of a recording: its first frame, and the frame after its last.

    The part begins 0.25 s before the first voiced stretch and ends 0.25 s after the last voiced stretch. Frames at its
    ends that are more than 40 dB below the loudest frame are then removed. Noise around speech is unvoiced and clicks
    are too short, so neither changes the result. If nothing is voiced (a whisper), only the loudness decides.

    Args:
        mel: `(time, 80)` in dB.
        columns: the prosody of the same recording, `(time, 4)`.
    """
    loudness = mel.max(axis=1)
    threshold = level_of(loudness) - TRIM_DB
    voiced_frames = np.flatnonzero((columns[:, 1] > VOICED) & (_smoothed(loudness) > threshold))
    runs = [
        run
        for run in np.split(voiced_frames, np.flatnonzero(np.diff(voiced_frames) > 1) + 1)
        if len(run) >= SHORTEST_VOICE
    ]
    begin, end = (runs[0][0] - AROUND_VOICE, runs[-1][-1] + 1 + AROUND_VOICE) if runs else (0, len(mel))
    begin = max(int(begin), 0)
    loud_frames = begin + np.flatnonzero(loudness[begin:end] > threshold)
    return max(int(loud_frames[0]) - 5, begin), min(int(loud_frames[-1]) + 6, int(end), len(mel))


def level_of(loudness: np.ndarray) -> float:
    """The peak level in dB of a recording's loudness `(time,)`. Sounds shorter than 40 ms are ignored."""
    return float(_smoothed(loudness).max())


def _smoothed(loudness: np.ndarray) -> np.ndarray:
    """The running median of the loudness over seven frames. It removes peaks of three frames or fewer."""
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(loudness, CLICK, mode="nearest"))


def log_mel(samples: np.ndarray) -> Features:
    """The 80 log-mel bands of Whisper, in dB: `(samples,)` at 16 kHz -> `(1 + samples // 160, 80)`, at least -110 dB.

    The power of a band is divided by its width (Slaney's norm).
    """
    import librosa

    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    power = _mel_filters() @ np.square(np.abs(librosa.stft(samples, n_fft=WINDOW, hop_length=HOP)))
    decibels = 10.0 * np.log10(np.maximum(power.T, 10 ** (FLOOR_DB / 10)))
    return Features(decibels.astype(np.float32), LOG_MEL)


@lru_cache(maxsize=1)
def _mel_filters() -> csr_array:
    """The mel filters `(80, 201)`, sparse.

    A dense product would use the threads of NumPy's BLAS. They and torch's threads spin on the same cores, which makes
    short clips several times slower.
    """
    import librosa
    from scipy.sparse import csr_array

    return csr_array(librosa.filters.mel(sr=SAMPLING_RATE, n_fft=WINDOW, n_mels=N_MELS))


def prosody(samples: np.ndarray, mel: np.ndarray) -> np.ndarray:
    """F0, voicing, energy and spectral tilt: samples `(samples,)` and their log-mel `(time, 80)` -> `(time, 4)`.

    YIN estimates F0 (de Cheveigné & Kawahara 2002). The periodicity is then measured in the signal at the period of F0,
    because `librosa.yin` does not return it and `librosa.pyin` is thirty times slower.
    """
    import librosa

    time = len(mel)
    padded = np.pad(samples, (0, max(0, F0_WINDOW * 2 - len(samples))))
    hertz = librosa.yin(
        padded,
        fmin=F0_RANGE[0],
        fmax=F0_RANGE[1],
        sr=SAMPLING_RATE,
        frame_length=F0_WINDOW,
        hop_length=F0_HOP,
    )
    periodicity = _periodicity(padded, hertz)
    estimate_of_frame = np.minimum(np.arange(time) // (F0_HOP // HOP), len(hertz) - 1)
    energy = 10.0 * np.log10(np.mean(10.0 ** (mel / 10.0), axis=1))
    voicing = np.where(energy > level_of(energy) - TRIM_DB, periodicity[estimate_of_frame], 0.0)
    semitones = np.where(voicing > VOICED, 12.0 * np.log2(hertz[estimate_of_frame] / 55.0), 0.0)
    tilt = mel[:, : N_MELS // 2].mean(axis=1) - mel[:, N_MELS // 2 :].mean(axis=1)
    return np.stack([semitones, voicing, energy, tilt], axis=1).astype(np.float32)


def _periodicity(samples: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Normalised autocorrelation at the period of each frame's F0, clipped to 0..1. Frames are centred."""
    half = F0_WINDOW // 2
    longest_lag = int(SAMPLING_RATE / F0_RANGE[0]) + 1
    padded = np.pad(samples, (half, half + longest_lag + F0_HOP))
    starts = np.minimum(np.arange(len(hertz)) * F0_HOP, len(padded) - half - longest_lag)
    lags = np.clip(np.round(SAMPLING_RATE / hertz).astype(int), 1, longest_lag)
    windows = np.lib.stride_tricks.sliding_window_view(padded, half)
    frames, shifted = windows[starts + half // 2], windows[np.minimum(starts + half // 2 + lags, len(windows) - 1)]
    product = np.einsum("ij,ij->i", frames, shifted)
    scale = np.sqrt(np.einsum("ij,ij->i", frames, frames) * np.einsum("ij,ij->i", shifted, shifted))
    return np.clip(product / np.maximum(scale, 1e-9), 0.0, 1.0)


def _read(
    source: Sound, sampling_rate: float | None, start: float | None, end: float | None, limit: float | None
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Read the samples that `read_audio` returns, and the notes about them."""
    are_numbers = all(isinstance(value, Real | None) for value in (start, end, limit))
    if (
        not are_numbers
        or not (np.isfinite(start or 0.0) and (start or 0.0) >= 0)
        or (end is not None and not end > (start or 0.0))
        or (limit is not None and not limit > 0)
    ):
        raise InputError(
            f"start, end and limit are numbers of seconds, with 0 <= start < end and 0 < limit; given start={start!r}, "
            f"end={end!r}, limit={limit!r}"
        )
    last_second = min(np.inf if end is None else end, (start or 0.0) + (np.inf if limit is None else limit))
    read_end = None if last_second == np.inf else float(last_second)
    damaged, compressed = 0, False
    if isinstance(source, np.ndarray):
        name = f"audio array of shape {source.shape}"
        samples, rate = checked_array(source, sampling_rate)
        total: float | None = len(samples) / rate
        samples = samples[int((start or 0) * rate) : None if read_end is None else int(read_end * rate)]
    else:
        name = name_of(source)
        if sampling_rate is not None:
            raise InputError(
                f"sampling_rate={sampling_rate} was given with the file {name}, which states its own; leave it out"
            )
        samples, rate, total, damaged, compressed = sound_files.decode(source, start, read_end)
    if not len(samples):
        raise MediaError(
            f"{name}: no samples"
            + (f" from {start or 0} s to {end or 'the end'}; choose a part inside the sound" if start or end else "")
        )
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: NaN or infinite samples; replace them with finite values")
    peak = float(np.abs(samples).max())
    if peak > LOUDEST:
        raise MediaError(f"{name}: samples as floats lie in -1..1; these reach {peak:.4g}: divide by their full scale")
    within_scale = np.clip(samples, -1.0, 1.0) if compressed else samples
    clipping_note = speech_check.clipping(within_scale, compressed=compressed)
    samples, channel_note = _mono(samples)
    if len(samples) < SHORTEST * rate:
        raise MediaError(f"{name}: {len(samples) / rate:.4f} s of sound; at least {SHORTEST} s are needed")
    if np.abs(samples).max() < 1e-4:  # -80 dB relative to full scale
        where = "the first " if limit is not None and len(samples) >= int(limit * rate) else ""
        raise MediaError(f"{name}: {where}{len(samples) / rate:.2f} s of silence; give a recording with speech in it")
    damage_note = Note("damaged", "audio", f"{damaged} damaged parts of the sound were left out") if damaged else None
    notes = (_cut_note(start or 0.0, end, read_end, total), damage_note, clipping_note, channel_note)
    return _at_16_khz(samples, rate), tuple(note for note in notes if note is not None)


def mono(samples: np.ndarray, sampling_rate: float | None) -> np.ndarray:
    """An array of sound as float32 mono samples at 16 kHz, `(samples,)`, also if it is silent.

    Raises:
        InputError: the array has the wrong shape or scale, NaN or infinite values, or no sampling rate.
    """
    samples, rate = checked_array(samples, sampling_rate)
    if not np.isfinite(samples).all():
        raise InputError("the sound has NaN or infinite samples; replace them with finite values")
    return _at_16_khz(_mono(samples)[0], rate) if len(samples) else samples.reshape(-1)


def _at_16_khz(samples: np.ndarray, rate: int) -> np.ndarray:
    if rate != SAMPLING_RATE:
        import librosa

        samples = librosa.resample(samples, orig_sr=rate, target_sr=SAMPLING_RATE, res_type="soxr_hq")
    return np.ascontiguousarray(samples, dtype=np.float32)


def _cut_note(start: float, end: float | None, read_end: float | None, total: float | None) -> Note | None:
    """A note if reading stopped at `read_end`, before `end`. All are seconds; `end` None is the end of the sound."""
    requested_end = min(np.inf if total is None else total, np.inf if end is None else end)  # total None: unknown
    if read_end is None or read_end >= requested_end:
        return None
    if total is None:
        return Note("cut", "audio", f"the first {read_end - start:.0f} s were read; the recording is longer")
    return Note("cut", "audio", f"the first {read_end - start:.0f} of {requested_end - start:.0f} s were read")


def _mono(samples: np.ndarray) -> tuple[np.ndarray, Note | None]:
    """Mix channels, `(samples,)` or `(samples, channels)`, to one `(samples,)` without DC offset."""
    samples = samples - samples.mean(axis=0, dtype=np.float64).astype(np.float32)
    if samples.ndim == 1:
        return samples, None
    mix = samples.mean(axis=1)
    loudness = np.sqrt(np.square(samples, dtype=np.float64).mean(axis=0))
    if float(np.sqrt(np.square(mix, dtype=np.float64).mean())) >= CANCELLED * loudness.max():
        return mix, None
    if not loudness.any():
        return mix, None
    text = f"the {len(loudness)} channels cancel each other; only channel {int(loudness.argmax()) + 1} was read"
    return np.ascontiguousarray(samples[:, int(loudness.argmax())]), Note("channels-cancel", "audio", text)


def checked_array(samples: np.ndarray, sampling_rate: float | None) -> tuple[np.ndarray, int]:
    """Check an array of sound; return it as float32 `(samples,)` or `(samples, channels)` in -1..1, with its rate.

    Raises:
        InputError: the shape, the type, the scale or the sampling rate is wrong.
    """
    valid_rate = isinstance(sampling_rate, (int, float, np.number)) and RATES[0] <= sampling_rate <= RATES[1]
    if sampling_rate is None or not valid_rate:
        raise InputError(
            f"an audio array needs its sampling_rate, {RATES[0]} to {RATES[1]} Hz; given {sampling_rate!r:.40}"
        )
    sampling_rate, samples = int(sampling_rate), unmasked(samples, "audio")
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:
        samples = samples.T  # channels first, torchaudio's order
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 0 < samples.shape[1] <= MOST_CHANNELS):
        raise InputError(
            f"an audio array is (samples,), (samples, channels) or (channels, samples), with at most {MOST_CHANNELS} "
            f"channels; given shape {samples.shape}"
        )
    if samples.dtype == np.uint8:  # WAV's convention: 128 is silence
        return (samples.astype(np.float32) - 128.0) / 128.0, sampling_rate
    if samples.dtype in (np.int16, np.int32):
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min), sampling_rate
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"audio samples are floats in -1..1, int16, int32 or uint8; given {samples.dtype}")
    peak = np.abs(samples).max(initial=0.0)
    if np.isfinite(peak) and peak > LOUDEST:
        raise InputError(f"audio samples as floats lie in -1..1; these reach {peak:.4g}: divide by their full scale")
    return samples.astype(np.float32), sampling_rate
