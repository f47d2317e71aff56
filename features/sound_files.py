"""Decode sound files of any format: with soundfile, or else with PyAV (videos, m4a)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np

from emoembed.errors import EmoembedError, MediaError
from emoembed.features.limits import SOUND_SAMPLES
from emoembed.features.media_files import File, frames_of_track, name_of, open_media, openable, reason_of

SAMPLING_RATE = 16_000
RATES = (4_000, 400_000)  # Hz; any other rate is a mistake, such as a rate in kilohertz
LEAST_GAP, MOST_FILLED = 0.1, 3600.0
"""Seconds: a shorter gap in the times of a sound track is not filled, and no more than this is filled in a file."""
BEYOND = 0.1
"""Seconds that are decoded after the requested end, to see whether there is more. Codecs add less at the end."""
CANCELLED = 0.1  # times the level of the loudest channel: if the mix is quieter, the channels cancel each other

LOSSY = frozenset(
    {"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III", "GSM610", "MS_ADPCM", "IMA_ADPCM"}
)
"""The subtypes of soundfile that compress with loss."""


class Decoded(NamedTuple):
    """Sound of a file.

    Attributes:
        samples: `(samples,)` or `(samples, channels)`.
        rate: samples per second.
        seconds: length of the complete sound; None if it is longer than the decoded part by an unknown time.
        damaged: number of damaged packets that were left out.
        compressed: whether it was compressed with loss, or PyAV decoded it. Peaks that were clipped are then rounded.
    """

    samples: np.ndarray
    rate: int
    seconds: float | None
    damaged: int = 0
    compressed: bool = False


def decode(source: File, start: float | None, end: float | None) -> Decoded:
    """Decode the part of a file from `start` to `end`, in seconds.

    Raises:
        MissingFileError: the path is not a file.
        MediaError: the file has no sound or cannot be decoded.
    """
    import soundfile

    name = name_of(source)
    file_or_path = openable(source, "sound")
    if _holds_mp3(file_or_path):  # soundfile's MP3 decoder writes to stderr
        return _decode_container(source, name, start, end, None)
    try:
        with soundfile.SoundFile(file_or_path) as sound:
            rate = sound.samplerate
            if not RATES[0] <= rate <= RATES[1]:
                raise MediaError(f"{name} {_rate_fault(rate)}")
            length = sound.frames / rate if end is None else min(end, sound.frames / rate)
            if (length - (start or 0)) * rate * sound.channels > SOUND_SAMPLES:
                return _decode_container(source, name, start, end, None)
            sound.seek(min(int((start or 0) * rate), sound.frames))
            count = -1 if end is None else max(int((end - (start or 0)) * rate), 0)
            compressed = sound.subtype in LOSSY
            return Decoded(sound.read(count, dtype="float32"), rate, sound.frames / rate, compressed=compressed)
    except TypeError as error:  # a .raw file does not state its format
        raise MediaError(
            f"{name} has raw samples without a header; give (samples, sampling_rate), or a .wav"
        ) from error
    except (soundfile.LibsndfileError, ValueError, UnicodeError) as error:
        if isinstance(error, EmoembedError):
            raise
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


def _rate_fault(rate: int) -> str:
    """The reason to refuse a sound for its sampling rate."""
    return f"states a sampling rate of {rate} Hz; expected {RATES[0]} to {RATES[1]} Hz; save it with its true rate"


def _decoded_channels(container: Any, faults: list[Exception]) -> Iterator[np.ndarray]:
    """Yield samples at 16 kHz frame by frame, `(channels, samples)`, with silence in place of a gap in time.

    Damaged packets are left out, so they are gaps too. Their errors are added to `faults`.
    """
    import av

    resampler = av.AudioResampler(format="fltp", rate=SAMPLING_RATE)
    count, filled, begin = 0, 0.0, None
    for frame in frames_of_track(container, container.streams.audio[0], faults):
        if not RATES[0] <= frame.sample_rate <= RATES[1]:
            raise ValueError(f"it {_rate_fault(frame.sample_rate)}")
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


def _holds_mp3(file_or_path: str | IO[bytes]) -> bool:
    """Whether a file begins like an MP3 file or like a WAV file that contains MP3."""
    try:
        if isinstance(file_or_path, str):
            with open(file_or_path, "rb") as file:
                header = file.read(4096)
        else:
            header = file_or_path.read(4096)
            file_or_path.seek(0)
    except OSError:
        return False
    if header[:4] in (b"RIFF", b"RIFX"):
        form = header.find(b"fmt ")  # its size and the code of the codec follow
        return form > 0 and header[form + 8 : form + 10] in (b"\x55\0", b"\0\x55")
    return header[:3] == b"ID3" or (len(header) > 1 and header[0] == 0xFF and header[1] & 0xE6 == 0xE2)


def _decode_container(
    source: File, name: str, start: float | None, end: float | None, cause: Exception | None
) -> Decoded:
    """Decode with PyAV at 16 kHz. `cause` is the error of soundfile, if any."""
    import av

    faults: list[Exception] = []
    try:
        with open_media(source, "sound") as container:
            if not container.streams.audio:
                raise MediaError(f"{name} has no sound track; give a file with sound")
            total = container.duration / av.time_base if container.duration else None
            samples = _joined(_decoded_frames(container, end, faults))
    except (av.FFmpegError, ValueError, OSError) as error:  # ValueError: the sound format changes midway
        if isinstance(error, EmoembedError):
            raise
        reasons = "; ".join(reason_of(part).rstrip(".") for part in (cause, error) if part is not None)
        raise MediaError(f"{name} cannot be read as sound: {reasons}") from error
    begin = int((start or 0) * SAMPLING_RATE)
    stop = None if end is None else int(end * SAMPLING_RATE)
    length = len(samples) / SAMPLING_RATE
    if end is None or length <= end + BEYOND:  # the complete sound was decoded
        total = length if end is None else min(length, end)
    elif total is not None and total <= end:
        total = None  # the file states too short a length
    return Decoded(samples[begin:stop], SAMPLING_RATE, total, len(faults), compressed=True)


def _decoded_frames(container: Any, end: float | None, faults: list[Exception]) -> Iterator[np.ndarray]:
    """Yield samples at 16 kHz frame by frame, `(samples,)` or `(samples, channels)`, up to `BEYOND` after `end`."""
    count = 0
    for channels in _decoded_channels(container, faults):
        count += channels.shape[1]
        yield channels[0] if len(channels) == 1 else channels.T
        if end is not None and count > (end + BEYOND) * SAMPLING_RATE:
            return


def _joined(pieces: Iterator[np.ndarray]) -> np.ndarray:
    """Join pieces of sound. If they have more than `SOUND_SAMPLES`, their channels are mixed to one."""
    parts: list[np.ndarray] = []
    mixer, size, is_mixed = Mixer(), 0, False
    for piece in pieces:
        size += piece.size
        if size > SOUND_SAMPLES and not is_mixed:
            is_mixed, parts = True, [mixer.mono(np.atleast_2d(part.T)) for part in parts]
        parts.append(mixer.mono(np.atleast_2d(piece.T)) if is_mixed else piece)
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
