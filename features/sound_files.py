"""Decode sound files of any format: with soundfile, or else with PyAV (videos, m4a)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from emoembed.errors import EmoembedError, MediaError
from emoembed.features.limits import SOUND_SAMPLES
from emoembed.features.media_files import File, frames_of_track, name_of, open_media, openable, reason_of

SAMPLING_RATE = 16_000
LEAST_GAP, MOST_FILLED = 0.1, 3600.0
"""Seconds: a shorter gap in the times of a sound track is not filled, and no more than this is filled in a file."""
CANCELLED = 0.1  # times the level of the loudest channel: if the mix is quieter, the channels cancel each other


class Decoded(NamedTuple):
    """Sound of a file.

    Attributes:
        samples: `(samples,)` or `(samples, channels)`.
        rate: samples per second.
        seconds: length of the complete sound; None if unknown.
        damaged: number of damaged packets that were left out.
    """

    samples: np.ndarray
    rate: int
    seconds: float | None
    damaged: int = 0


def decode(source: File, start: float | None, end: float | None) -> Decoded:
    """Decode the part of a file from `start` to `end`, in seconds.

    Raises:
        MissingFileError: the path is not a file.
        MediaError: the file has no sound or cannot be decoded.
    """
    import soundfile

    name = name_of(source)
    file_or_path = openable(source, "sound")
    if _is_mp3(file_or_path):  # soundfile's MP3 decoder writes to stderr
        return _decode_container(source, name, start, end, None)
    try:
        with soundfile.SoundFile(file_or_path) as sound:
            rate = sound.samplerate
            length = sound.frames / rate if end is None else min(end, sound.frames / rate)
            if (length - (start or 0)) * rate * sound.channels > SOUND_SAMPLES:
                return _decode_container(source, name, start, end, None)
            sound.seek(min(int((start or 0) * rate), sound.frames))
            count = -1 if end is None else max(int((end - (start or 0)) * rate), 0)
            return Decoded(sound.read(count, dtype="float32"), rate, sound.frames / rate)
    except TypeError as error:  # a .raw file does not state its format
        raise MediaError(
            f"{name} has raw samples without a header; give (samples, sampling_rate), or a .wav"
        ) from error
    except (soundfile.LibsndfileError, ValueError, UnicodeError) as error:
        return _decode_container(source, name, start, end, error)
    except OSError as error:
        raise MediaError(f"{name} cannot be read: {error.strerror or error}") from error


def blocks(source: File) -> Iterator[np.ndarray]:
    """Yield the sound of a file in pieces of mono samples at 16 kHz, `(samples,)`, so that its length does not matter.

    Raises:
        MissingFileError: the path is not a file.
        MediaError: the file has no sound or cannot be decoded.
    """
    import av

    name = name_of(source)
    try:
        with open_media(source, "sound") as container:
            if not container.streams.audio:
                raise MediaError(f"{name} has no sound track; give a file with sound")
            mixer = Mixer()
            for channels in _decoded_channels(container, []):
                yield mixer.mono(channels)
    except (av.FFmpegError, ValueError, OSError) as error:  # ValueError: the sound format changes midway
        if isinstance(error, EmoembedError):
            raise
        raise MediaError(f"{name} cannot be read as sound: {reason_of(error)}") from error


class Mixer:
    """Mixes channels to one, piece by piece. If they cancel each other, only the loudest channel is used."""

    def __init__(self) -> None:
        self._power = np.zeros(0)
        self._mixed_power = 0.0

    def mono(self, channels: np.ndarray) -> np.ndarray:
        """Samples of the next piece `(channels, samples)` -> `(samples,)`"""
        mix: np.ndarray = channels.mean(axis=0, dtype=np.float32)
        if len(channels) == 1:
            return mix
        if len(self._power) != len(channels):
            self._power, self._mixed_power = np.zeros(len(channels)), 0.0
        self._power += np.square(channels, dtype=np.float64).sum(axis=1)
        self._mixed_power += float(np.square(mix, dtype=np.float64).sum())
        if self._mixed_power >= CANCELLED**2 * self._power.max():
            return mix
        return np.ascontiguousarray(channels[int(self._power.argmax())], dtype=np.float32)


def _decoded_channels(container: Any, faults: list[Exception], **form: Any) -> Iterator[np.ndarray]:
    """Yield samples at 16 kHz frame by frame, `(channels, samples)`, with silence in place of a gap in time.

    Damaged packets are left out, so they are gaps too. Their errors are added to `faults`.
    """
    import av

    resampler = av.AudioResampler(**{"format": "fltp", "rate": SAMPLING_RATE, **form})
    count, filled, begin = 0, 0.0, None
    for frame in frames_of_track(container, container.streams.audio[0], faults):
        begin = frame.time if begin is None else begin
        time = 0.0 if frame.time is None or begin is None else frame.time - begin  # a file may have no times
        gap = min(time - count / SAMPLING_RATE, MOST_FILLED - filled)
        while gap > LEAST_GAP:
            piece = min(round(gap * SAMPLING_RATE), SAMPLING_RATE)
            filled, gap, count = filled + piece / SAMPLING_RATE, gap - piece / SAMPLING_RATE, count + piece
            yield np.zeros((len(frame.layout.channels), piece), np.float32)
        for resampled in resampler.resample(frame):
            count += resampled.samples
            yield resampled.to_ndarray()
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray()


def _is_mp3(file_or_path: str | IO[bytes]) -> bool:
    """Whether a file begins like an MP3 file."""
    try:
        if isinstance(file_or_path, str):
            with open(file_or_path, "rb") as file:
                header = file.read(3)
        else:
            header = file_or_path.read(3)
            file_or_path.seek(0)
    except OSError:
        return False
    return header == b"ID3" or (len(header) > 1 and header[0] == 0xFF and header[1] & 0xE6 == 0xE2)


def _decode_container(
    source: File, name: str, start: float | None, end: float | None, cause: Exception | None
) -> Decoded:
    """Decode with PyAV to mono at 16 kHz. `cause` is the error of soundfile, if any."""
    import av

    faults: list[Exception] = []
    try:
        with open_media(source, "sound") as container:
            if not container.streams.audio:
                raise MediaError(f"{name} has no sound track; give a file with sound")
            total = container.duration / av.time_base if container.duration else None
            samples = np.concatenate([np.zeros(0, np.float32), *_decoded_frames(container, end, faults)])
    except (av.FFmpegError, ValueError, OSError) as error:  # ValueError: the sound format changes midway
        if isinstance(error, EmoembedError):
            raise
        reasons = "; ".join(reason_of(part).rstrip(".") for part in (cause, error) if part is not None)
        raise MediaError(f"{name} cannot be read as sound: {reasons}") from error
    begin = int((start or 0) * SAMPLING_RATE)
    stop = None if end is None else int(end * SAMPLING_RATE)
    return Decoded(samples[begin:stop], SAMPLING_RATE, total, len(faults))


def _decoded_frames(container: Any, end: float | None, faults: list[Exception]) -> Iterator[np.ndarray]:
    """Yield mono samples at 16 kHz frame by frame, up to the frame that contains `end` (in seconds)."""
    count = 0
    for channels in _decoded_channels(container, faults, format="flt", layout="mono"):
        count += channels.shape[1]
        yield channels[0]
        if end is not None and count >= end * SAMPLING_RATE:
            return
