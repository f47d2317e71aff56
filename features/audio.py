"""Sound to arrays: mono 16 kHz, log-mel bands and prosody at 100 frames a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features.feature_set import Features, FeatureSet

SAMPLING_RATE = 16_000
HOP = 160  # samples: 100 frames a second
WINDOW = 400  # samples: 25 ms
SHORTEST = 0.1  # seconds
LOUDEST = 8.0  # of float samples: clipped or resampled sound may pass 1, integers by another name pass this
RATES = (4_000, 400_000)  # Hz; anything else is a mistake, such as kilohertz
N_MELS = 64
F0_RANGE = (65.0, 500.0)  # Hz: from a low male voice to a shouted female one
F0_WINDOW = 640  # samples: 40 ms, a little over two periods of the lowest F0
F0_HOP = 2 * HOP  # F0 is estimated 50 times a second and held: it is the dearest of the columns
FLOOR_DB = -80.0  # below this nothing is told apart
TRIM_DB = 40.0  # leading and trailing frames this far below the loudest are silence

MEL_COLUMNS = tuple(f"mel_{band:02d}" for band in range(N_MELS))
PROSODY_COLUMNS = ("f0", "voicing", "energy", "tilt")
LOG_MEL = FeatureSet("log_mel", MEL_COLUMNS, SAMPLING_RATE / HOP)
SPEECH = FeatureSet("speech", MEL_COLUMNS + PROSODY_COLUMNS, SAMPLING_RATE / HOP)
WAVEFORM = FeatureSet("waveform", ("sample",), float(SAMPLING_RATE))


def read_audio(
    source: str | Path | np.ndarray,
    sampling_rate: int | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    limit: float | None = None,
) -> np.ndarray:
    """Read sound as float32 mono samples at 16 kHz, `(samples,)` in -1..1.

    Args:
        source: a sound file, a video with a sound track, or an array `(samples,)` or `(samples, channels)`.
        sampling_rate: samples a second of an array; required with one, refused with a path.
        start, end: seconds to cut out; the whole sound by default.
        limit: seconds that are looked at, from `start` on; by default all are.

    Raises:
        MissingFileError: the path is not a file.
        MediaError: the file cannot be decoded, or holds no sound, less than 0.1 s of it, or only silence.
        InputError: an array of the wrong shape or scale, with NaN or infinite values, or without a sampling rate; a
            start or end that is none.
    """
    if not (np.isfinite(start or 0.0) and (start or 0.0) >= 0) or (end is not None and not end > (start or 0.0)):
        raise InputError(f"start and end are seconds, 0 <= start < end; given start={start!r}, end={end!r}")
    last = min(np.inf if end is None else end, (start or 0.0) + (np.inf if limit is None else limit))
    until = None if last == np.inf else last
    if isinstance(source, np.ndarray):
        name = f"audio array of shape {source.shape}"
        samples, rate = _checked_array(source, sampling_rate)
        samples = samples[int((start or 0) * rate) : None if until is None else int(until * rate)]
    else:
        name = str(source)
        if sampling_rate is not None:
            raise InputError(f"sampling_rate={sampling_rate} was given with the file {name}, which states its own")
        samples, rate = _decode(Path(source), start, until)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if not len(samples):
        raise MediaError(f"{name}: no samples" + (f" between {start} s and {end} s" if start or end else ""))
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: NaN or infinite samples")
    if len(samples) < SHORTEST * rate:
        raise MediaError(f"{name}: {len(samples) / rate:.4f} s of sound; at least {SHORTEST} s are needed")
    if np.abs(samples - samples.mean()).max() < 1e-4:  # -80 dB of full scale
        where = "the first " if limit is not None and len(samples) >= int(limit * rate) else ""
        raise MediaError(f"{name}: {where}{len(samples) / rate:.2f} s of silence; give a recording with speech in it")
    if rate != SAMPLING_RATE:
        import librosa

        samples = librosa.resample(samples, orig_sr=rate, target_sr=SAMPLING_RATE, res_type="soxr_hq")
    return np.ascontiguousarray(samples, dtype=np.float32)


def speech(
    source: str | Path | np.ndarray,
    sampling_rate: int | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    limit: float | None = None,
) -> Features:
    """The `speech` feature set of a sound: `(time, 68)` at 100 frames a second, silence at both ends trimmed.

    Columns: 64 log-mel bands (dB, 0 at full scale), `f0` (semitones above 55 Hz; 0 where unvoiced), `voicing`
    (normalised autocorrelation at the period of F0, 0 to 1), `energy` (dB) and `tilt` (dB from the lower to the
    upper half of the mel bands). Arguments and errors are those of `read_audio`.
    """
    samples = read_audio(source, sampling_rate, start=start, end=end, limit=limit)
    mel = log_mel(samples)
    loud = np.flatnonzero(mel.values.max(axis=1) > mel.values.max() - TRIM_DB)
    first, last = max(loud[0] - 5, 0), min(loud[-1] + 6, len(mel.values))
    samples = samples[first * HOP : last * HOP]
    values = np.concatenate([mel.values[first:last], prosody(samples, mel.values[first:last])], axis=1)
    return Features(values.astype(np.float32), SPEECH)


def waveform(
    source: str | Path | np.ndarray,
    sampling_rate: int | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    limit: float | None = None,
) -> Features:
    """The samples themselves, `(samples, 1)` at 16 kHz, for encoders that take raw sound (wav2vec2, HuBERT, WavLM)."""
    return Features(read_audio(source, sampling_rate, start=start, end=end, limit=limit)[:, None], WAVEFORM)


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
    voicing = np.where(energy > energy.max() - TRIM_DB, periodicity[held], 0.0)
    semitones = np.where(voicing > 0.5, 12.0 * np.log2(hertz[held] / 55.0), 0.0)
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


def _checked_array(samples: np.ndarray, sampling_rate: int | None) -> tuple[np.ndarray, int]:
    known = isinstance(sampling_rate, (int, float, np.number)) and RATES[0] <= sampling_rate <= RATES[1]
    if sampling_rate is None or not known:
        raise InputError(
            f"an audio array needs its sampling_rate, {RATES[0]} to {RATES[1]} Hz; given {sampling_rate!r}"
        )
    sampling_rate = int(sampling_rate)
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and samples.shape[1] > samples.shape[0] > 0):
        raise InputError(f"an audio array is (samples,) or (samples, channels); given shape {samples.shape}")
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


def _decode(path: Path, start: float | None, end: float | None) -> tuple[np.ndarray, int]:
    """Samples `(samples,)` or `(samples, channels)` and their rate: by soundfile, else by PyAV (videos, m4a)."""
    if not path.is_file():
        raise MissingFileError(f"no sound file at {path}")
    import soundfile

    try:
        with soundfile.SoundFile(path) as sound:
            rate = sound.samplerate
            sound.seek(min(int((start or 0) * rate), sound.frames))
            count = -1 if end is None else max(int((end - (start or 0)) * rate), 0)
            return sound.read(count, dtype="float32"), rate
    except soundfile.LibsndfileError as not_a_sound_file:
        return _decode_container(path, start, end, not_a_sound_file)


def _decode_container(path: Path, start: float | None, end: float | None, cause: Exception) -> tuple[np.ndarray, int]:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise MediaError(f"{path} has no sound track")
            samples = np.concatenate([np.zeros(0, np.float32), *_decoded_frames(container, end)])
    except av.FFmpegError as error:
        raise MediaError(f"{path} cannot be read as sound: {cause}; {error}") from error
    first = int((start or 0) * SAMPLING_RATE)
    return samples[first : None if end is None else int(end * SAMPLING_RATE)], SAMPLING_RATE


def _decoded_frames(container: object, end: float | None) -> Iterator[np.ndarray]:
    """Stretches of samples, the last of them that of `end` in seconds."""
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLING_RATE)
    count = 0
    for frame in container.decode(audio=0):  # type: ignore[attr-defined]
        for resampled in resampler.resample(frame):
            count += resampled.samples
            yield resampled.to_ndarray()[0]
        if end is not None and count >= end * SAMPLING_RATE:
            return
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray()[0]
