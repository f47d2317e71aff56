"""Answer a long recording or film window by window, in the order of time and with a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import InputError
from emoembed.features import frames, sound_files
from emoembed.features.audio import read_audio
from emoembed.features.media_files import File, tracks_of
from emoembed.features.sound_files import SAMPLING_RATE
from emoembed.features.video import FACES
from emoembed.prediction.timeline.cutting import Part
from emoembed.prediction.timeline.result import WindowResult
from emoembed.prediction.timeline.stream import Stream
from emoembed.reading import inputs

BATCH_SIZE = 16
"""Windows per batch."""


@dataclass(frozen=True)
class Recording:
    """The tracks of a recording: an iterator of sound pieces, one of frames with their times, and the length."""

    sound: Iterator[np.ndarray] | None
    film: Iterator[tuple[float, np.ndarray]] | None
    seconds: float | None


def open_recording(source: Any, modalities: tuple[str, ...]) -> Recording:
    """Open the tracks of a recording that a model reads.

    Args:
        source: a sound file or a film (path, bytes or open file); `(samples, sampling_rate)`; or a dictionary with
            `audio` and `video`, each a file, for sound and film in two files.
        modalities: of the model.

    Raises:
        MissingFileError, MediaError: a file cannot be read.
        InputError: the source has another form, or no track that the model reads.
    """
    if isinstance(source, Mapping) and set(source) <= {"audio", "video"} and source:
        parts = {name: open_recording(part, (name,)) for name, part in source.items() if part is not None}
        lengths = [part.seconds for part in parts.values() if part.seconds]
        sound = parts["audio"].sound if "audio" in parts else None
        film = parts["video"].film if "video" in parts else None
        return Recording(sound, film, max(lengths, default=None))
    if isinstance(source, inputs.FILES) or hasattr(source, "read"):
        return _open_file(source, modalities)
    if "audio" not in modalities:
        raise InputError(f"a film is a file; given {type(source).__name__}")
    array, rate = inputs.sound_of(source)
    samples = read_audio(array, rate)
    return Recording(iter([samples]), None, len(samples) / SAMPLING_RATE)


def _open_file(source: File, modalities: tuple[str, ...]) -> Recording:
    if not isinstance(source, str | Path | bytes | bytearray):
        source.seek(0)
        source = source.read()  # two decoders cannot share one open file
    tracks = tracks_of(source)
    wanted = {"audio": tracks.sound and "audio" in modalities, "video": tracks.film and "video" in modalities}
    if not any(wanted.values()):
        held = " and ".join(name for name, has in (("sound", tracks.sound), ("film", tracks.film)) if has)
        raise InputError(f"the recording has {held}, which is not asked for; this call reads {', '.join(modalities)}")
    sound = sound_files.blocks(source) if wanted["audio"] else None
    rate = FACES.rate or 10.0
    film = frames.frames_of(source, rate, None, None)[2] if wanted["video"] else None
    return Recording(sound, film, tracks.seconds)


def answer_recording(stream: Stream, recording: Recording, *, progress: bool = False) -> Iterator[WindowResult]:
    """Yield the results of the windows in the order of time, computed in batches."""
    waiting: list[Part] = []
    with _bar(recording.seconds, progress) as bar:
        for _ in _play(stream, recording):
            bar.update(stream.clock - bar.n)
            waiting += stream.complete()
            if len(waiting) >= BATCH_SIZE:
                yield from stream.answer(waiting)
                waiting = []
        yield from stream.answer([*waiting, *stream.remaining()])


def _play(stream: Stream, recording: Recording) -> Iterator[None]:
    """Give the tracks to the stream side by side: always the next piece of the track that is behind."""
    sound, film = recording.sound, recording.film
    heard = seen = 0.0
    while sound is not None or film is not None:
        if sound is not None and (film is None or heard <= seen):
            samples = next(sound, None)
            if samples is None:
                sound = None
                continue
            stream.add_sound(samples)
            heard += len(samples) / SAMPLING_RATE
        elif film is not None:
            frame = next(film, None)
            if frame is None:
                film = None
                continue
            stream.add_frame(*frame)
            seen = frame[0]
        yield


def _bar(seconds: float | None, progress: bool) -> Any:
    from tqdm import tqdm

    form = "{l_bar}{bar}| {n:.0f} of {total:.0f} s [{elapsed}<{remaining}]" if seconds else None
    return tqdm(total=seconds, disable=not progress, desc="timeline", bar_format=form, unit="s")
