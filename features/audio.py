"""Sound to arrays: mono 16 kHz, log-mel bands and prosody at 100 frames a second."""

from __future__ import annotations

from numbers import Real

import numpy as np

from emoembed.errors import InputError, MediaError
from emoembed.features import sound_files, speech_check
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.features.media_files import File, name_of
from emoembed.features.notes import Note
from emoembed.features.sound_files import SAMPLING_RATE

Sound = File | np.ndarray
"""What sound is read from."""
HOP = 160  # samples: 100 frames a second
WINDOW = 400  # samples: 25 ms
SHORTEST = 0.1  # seconds
CANCELLED = 0.1  # of the loudest channel's level: a mix below it is of channels that cancel each other
LOUDEST = 8.0  # of float samples: clipped or resampled sound may pass 1, integers by another name pass this
MOST_CHANNELS = 32
RATES = (4_000, 400_000)  # Hz; anything else is a mistake, such as kilohertz
N_MELS = 64
F0_RANGE = (65.0, 500.0)  # Hz: from a low male voice to a shouted female one
F0_WINDOW = 640  # samples: 40 ms, a little over two periods of the lowest F0
F0_HOP = 2 * HOP  # F0 is estimated 50 times a second and held: it is the dearest of the columns
FLOOR_DB = -80.0  # below this nothing is told apart
TRIM_DB = 40.0  # leading and trailing frames this far below the loudest are silence
CLICK = 7  # frames: what fills less than half of them is a click
VOICED = 0.5  # periodicity from which a frame is voiced
SHORTEST_VOICE = 4  # frames: a shorter voiced stretch is chance
AROUND_VOICE = 25  # frames before the first and after the last voiced stretch: consonants have no voice

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
    """Read sound as float32 mono samples at 16 kHz, `(samples,)` in -1..1, its offset taken off.

    Channels are averaged; where they cancel each other, the loudest of them is taken.

    Args:
        source: a sound file, a video with a sound track, either as an open file or its bytes, or an array
            `(samples,)`, `(samples, channels)` or `(channels, samples)`, told apart by their size.
        sampling_rate: samples a second of an array; required with one, refused with a file.
        start, end: seconds to cut out; the whole sound by default.
        limit: seconds that are looked at, from `start` on; by default all are.

    Raises:
        MissingFileError: the path is not a file.
        MediaError: the file cannot be decoded, or holds no sound, less than 0.1 s of it, or only silence.
        InputError: an array of the wrong shape or scale, with NaN or infinite values, or without a sampling rate; a
            start or end that is none.
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
    """The `speech` feature set of a sound: `(time, 68)` at 100 frames a second, what is around the speech trimmed.

    Columns: 64 log-mel bands (dB, 0 at full scale), `f0` (semitones above 55 Hz; 0 where unvoiced), `voicing`
    (normalised autocorrelation at the period of F0, 0 to 1), `energy` (dB) and `tilt` (dB from the lower to the
    upper half of the mel bands). Arguments and errors are those of `read_audio`; whether it is speech at all, tells
    `speech_check.no_speech`.
    """
    samples, notes = _read(source, sampling_rate, start, end, limit)
    mel = log_mel(samples).values
    columns = prosody(samples, mel)
    first, last = spoken_part(mel, columns)
    values = np.concatenate([mel[first:last], columns[first:last]], axis=1)
    narrow = speech_check.narrow_band(values[:, :N_MELS])
    return Features(values.astype(np.float32), SPEECH, (*notes, narrow) if narrow else notes)


def waveform(
    source: Sound,
    sampling_rate: float | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    limit: float | None = None,
) -> Features:
    """The samples themselves, `(samples, 1)` at 16 kHz, for encoders that take raw sound (wav2vec2, HuBERT, WavLM)."""
    samples, notes = _read(source, sampling_rate, start, end, limit)
    return Features(samples[:, None], WAVEFORM, notes)


def spoken_part(mel: np.ndarray, columns: np.ndarray) -> tuple[int, int]:
    """First frame, and the one after the last, of where a recording is spoken in.

    From a quarter of a second before the first voiced stretch to as much after the last; of that, what is less than
    40 dB below the loudest. Noise around speech has no voice, so that it changes nothing; nor does a click, which is
    too short. Where nothing is voiced (a whisper), loudness alone decides.

    Args:
        mel: `(time, 64)` in dB.
        columns: its prosody, `(time, 4)`.
    """
    loudness = mel.max(axis=1)
    bar = level_of(loudness) - TRIM_DB
    voiced = np.flatnonzero((columns[:, 1] > VOICED) & (_steady(loudness) > bar))
    runs = [run for run in np.split(voiced, np.flatnonzero(np.diff(voiced) > 1) + 1) if len(run) >= SHORTEST_VOICE]
    begin, end = (runs[0][0] - AROUND_VOICE, runs[-1][-1] + 1 + AROUND_VOICE) if runs else (0, len(mel))
    begin = max(int(begin), 0)
    loud = begin + np.flatnonzero(loudness[begin:end] > bar)
    return max(int(loud[0]) - 5, begin), min(int(loud[-1]) + 6, int(end), len(mel))


def level_of(loudness: np.ndarray) -> float:
    """How loud the loudest stretch of a recording is, in dB, `(time,)`: what lasts less than 40 ms is not heard."""
    return float(_steady(loudness).max())


def _steady(loudness: np.ndarray) -> np.ndarray:
    """Loudness without what is shorter than half of seven frames: a running median."""
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(loudness, CLICK, mode="nearest"))


def log_mel(samples: np.ndarray) -> Features:
    """64 mel bands in dB, `(samples,)` at 16 kHz -> `(1 + samples // 160, 64)`, floored at -80 dB."""
    import librosa

    if len(samples) < WINDOW:
        samples = np.pad(samples, (0, WINDOW - len(samples)))
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=SAMPLING_RATE,
        n_fft=512,
        win_length=WINDOW,
        hop_length=HOP,
        n_mels=N_MELS,
        fmin=50,
        fmax=7600,
        norm=None,
    )
    decibels = 10.0 * np.log10(np.maximum(power.T, 10 ** (FLOOR_DB / 10)))
    return Features(decibels.astype(np.float32), LOG_MEL)


def prosody(samples: np.ndarray, mel: np.ndarray) -> np.ndarray:
    """F0, voicing, energy and spectral tilt, `(samples,)` and its log-mel `(time, 64)` -> `(time, 4)`.

    F0 is YIN's (de Cheveigné & Kawahara 2002); its periodicity is read back from the signal at that lag, because
    `librosa.yin` returns none and `librosa.pyin` costs thirty times as much.
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
    held = np.minimum(np.arange(time) // (F0_HOP // HOP), len(hertz) - 1)
    energy = 10.0 * np.log10(np.mean(10.0 ** (mel / 10.0), axis=1))
    voicing = np.where(energy > level_of(energy) - TRIM_DB, periodicity[held], 0.0)
    semitones = np.where(voicing > VOICED, 12.0 * np.log2(hertz[held] / 55.0), 0.0)
    tilt = mel[:, : N_MELS // 2].mean(axis=1) - mel[:, N_MELS // 2 :].mean(axis=1)
    return np.stack([semitones, voicing, energy, tilt], axis=1).astype(np.float32)


def _periodicity(samples: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Normalised autocorrelation at the period of each frame's F0, clipped to 0..1; frames are centred."""
    half = F0_WINDOW // 2
    longest = int(SAMPLING_RATE / F0_RANGE[0]) + 1
    padded = np.pad(samples, (half, half + longest + F0_HOP))
    starts = np.minimum(np.arange(len(hertz)) * F0_HOP, len(padded) - half - longest)
    lags = np.clip(np.round(SAMPLING_RATE / hertz).astype(int), 1, longest)
    windows = np.lib.stride_tricks.sliding_window_view(padded, half)
    frame, shifted = windows[starts + half // 2], windows[np.minimum(starts + half // 2 + lags, len(windows) - 1)]
    product = np.einsum("ij,ij->i", frame, shifted)
    scale = np.sqrt(np.einsum("ij,ij->i", frame, frame) * np.einsum("ij,ij->i", shifted, shifted))
    return np.clip(product / np.maximum(scale, 1e-9), 0.0, 1.0)


def _read(
    source: Sound, sampling_rate: float | None, start: float | None, end: float | None, limit: float | None
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Samples as `read_audio` gives them, and what should be known of them."""
    numbers = all(isinstance(value, Real | None) for value in (start, end, limit))
    if (
        not numbers
        or not (np.isfinite(start or 0.0) and (start or 0.0) >= 0)
        or (end is not None and not end > (start or 0.0))
    ):
        raise InputError(f"start and end are seconds, 0 <= start < end; given start={start!r}, end={end!r}")
    last = min(np.inf if end is None else end, (start or 0.0) + (np.inf if limit is None else limit))
    until = None if last == np.inf else float(last)
    if isinstance(source, np.ndarray):
        name = f"audio array of shape {source.shape}"
        samples, rate = checked_array(source, sampling_rate)
        total: float | None = len(samples) / rate
        samples = samples[int((start or 0) * rate) : None if until is None else int(until * rate)]
    else:
        name = name_of(source)
        if sampling_rate is not None:
            raise InputError(f"sampling_rate={sampling_rate} was given with the file {name}, which states its own")
        samples, rate, total = sound_files.decode(source, start, until)
    if not len(samples):
        raise MediaError(f"{name}: no samples" + (f" between {start} s and {end} s" if start or end else ""))
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: NaN or infinite samples")
    largest = float(np.abs(samples).max())
    if largest > LOUDEST:
        raise MediaError(
            f"{name}: samples as floats lie in -1..1; these reach {largest:.4g}: divide by their full scale"
        )
    clipped = speech_check.clipping(samples)
    samples, cancel = _mono(samples)
    if len(samples) < SHORTEST * rate:
        raise MediaError(f"{name}: {len(samples) / rate:.4f} s of sound; at least {SHORTEST} s are needed")
    if np.abs(samples).max() < 1e-4:  # -80 dB of full scale
        where = "the first " if limit is not None and len(samples) >= int(limit * rate) else ""
        raise MediaError(f"{name}: {where}{len(samples) / rate:.2f} s of silence; give a recording with speech in it")
    if rate != SAMPLING_RATE:
        import librosa

        samples = librosa.resample(samples, orig_sr=rate, target_sr=SAMPLING_RATE, res_type="soxr_hq")
    notes = (_cut(start or 0.0, end, until, total), clipped, cancel)
    return np.ascontiguousarray(samples, dtype=np.float32), tuple(note for note in notes if note is not None)


def _cut(start: float, end: float | None, until: float | None, total: float | None) -> Note | None:
    """A note where less was looked at than lies from `start` to `end`, in seconds; None is the end of the sound."""
    if until is None or total is None:
        return None
    last = total if end is None else min(end, total)
    if until >= last:
        return None
    return Note("cut", "audio", f"the first {until - start:.0f} of {last - start:.0f} s were looked at")


def _mono(samples: np.ndarray) -> tuple[np.ndarray, Note | None]:
    """Channels `(samples,)` or `(samples, channels)` without their offsets, as one."""
    samples = samples - samples.mean(axis=0, dtype=np.float64).astype(np.float32)
    if samples.ndim == 1:
        return samples, None
    mixed = samples.mean(axis=1)
    loudness = np.sqrt(np.square(samples, dtype=np.float64).mean(axis=0))
    if float(np.sqrt(np.square(mixed, dtype=np.float64).mean())) >= CANCELLED * loudness.max():
        return mixed, None
    if not loudness.any():
        return mixed, None
    said = f"its {len(loudness)} channels cancel each other; channel {int(loudness.argmax()) + 1} alone was read"
    return np.ascontiguousarray(samples[:, int(loudness.argmax())]), Note("channels-cancel", "audio", said)


def checked_array(samples: np.ndarray, sampling_rate: float | None) -> tuple[np.ndarray, int]:
    """An array of sound as float32 `(samples,)` or `(samples, channels)` in -1..1, and its rate.

    Raises:
        InputError: it is of another shape, type or scale, or without a rate.
    """
    usable = isinstance(sampling_rate, (int, float, np.number)) and RATES[0] <= sampling_rate <= RATES[1]
    if sampling_rate is None or not usable:
        raise InputError(
            f"an audio array needs its sampling_rate, {RATES[0]} to {RATES[1]} Hz; given {sampling_rate!r:.40}"
        )
    sampling_rate = int(sampling_rate)
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1]:
        samples = samples.T  # channels first, as torchaudio has them
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 0 < samples.shape[1] <= MOST_CHANNELS):
        raise InputError(
            f"an audio array is (samples,), (samples, channels) or (channels, samples), with at most {MOST_CHANNELS} "
            f"channels; given shape {samples.shape}"
        )
    if samples.dtype == np.uint8:  # as WAV has it: 128 is silence
        return (samples.astype(np.float32) - 128.0) / 128.0, sampling_rate
    if samples.dtype in (np.int16, np.int32):
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min), sampling_rate
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"audio samples are floats in -1..1, int16, int32 or uint8; given {samples.dtype}")
    largest = np.abs(samples).max(initial=0.0)
    if np.isfinite(largest) and largest > LOUDEST:
        raise InputError(f"audio samples as floats lie in -1..1; these reach {largest:.4g}: divide by their full scale")
    return samples.astype(np.float32), sampling_rate
