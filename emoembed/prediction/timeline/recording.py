"""Score a long recording or film window by window, in the order of time and with a bounded amount of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import InputError, MediaError
from emoembed.features import frames, sound_files
from emoembed.features.audio import mono
from emoembed.features.media_files import File, name_of, openable, require_size, tracks_of
from emoembed.features.sound_files import SAMPLING_RATE
from emoembed.features.video import FACES
from emoembed.prediction.timeline.cutting import Part
from emoembed.prediction.timeline.stream import BATCH_SIZE, Stream
from emoembed.prediction.timeline.windows import WindowResult
from emoembed.reading import inputs
from emoembed.reading.turns import Turn

FORGET_EVERY = 30.0
"""After this many seconds of a recording, complete parts are scored, and sound and frames before them are discarded."""
UNENDED = 2.0
"""Seconds after the start of a turn that has no end, at which a transcript alone ends."""
Progress = Callable[[float], None]
"""Receives the seconds of a recording that were read. It may raise an error to stop."""


@dataclass(frozen=True)
class Recording:
    """The tracks of a recording: an iterator of sound pieces, one of frames with their times, and the length."""

    sound: Iterator[np.ndarray] | None
    film: Iterator[tuple[float, np.ndarray]] | None
    seconds: float | None


def open_recording(source: Any, modalities: tuple[str, ...], turns: Sequence[Turn] = ()) -> Recording:
    """Open the tracks of a recording that a model reads.

    Args:
        source: a sound file or a film (path, bytes or open file); `(samples, sampling_rate)`; or a dictionary with
            `audio` and `video`, each a file, for sound and film in two files; or None for a transcript alone.
        modalities: the modalities of the model. If it reads only text, the source is not opened.
        turns: of the transcript, with times.

    Raises:
        MissingFileError, MediaError: a file cannot be read.
        InputError: the source has another form, or no track that the model reads; or there is nothing to read.
    """
    if source is None or (turns and not {"audio", "video"} & set(modalities)):
        return _of_transcript(turns, modalities)
    if isinstance(source, Mapping) and set(source) <= {"audio", "video"} and source:
        unread = [name for name in source if name not in modalities]
        if unread or not any(part is not None for part in source.values()):
            raise InputError(f"give audio, video or both, which this model reads; given {', '.join(source)}")
        parts = {name: open_recording(part, (name,)) for name, part in source.items() if part is not None}
        lengths = [part.seconds for part in parts.values() if part.seconds]
        sound = parts["audio"].sound if "audio" in parts else None
        film = parts["video"].film if "video" in parts else None
        return Recording(sound, film, max(lengths, default=None))
    if isinstance(source, inputs.FILES) or hasattr(source, "read"):
        return _open_file(source, modalities)
    if "audio" not in modalities:
        raise InputError(f"a film is a file; given {type(source).__name__}")
    sound_source, rate = inputs.sound_of(source)
    if not isinstance(sound_source, np.ndarray):  # a dictionary with a file
        return _open_file(sound_source, modalities)
    samples = mono(sound_source, rate)
    pieces = (samples[i : i + SAMPLING_RATE] for i in range(0, len(samples), SAMPLING_RATE))
    return Recording(pieces, None, len(samples) / SAMPLING_RATE)


def _of_transcript(turns: Sequence[Turn], modalities: tuple[str, ...]) -> Recording:
    """A recording without tracks that lasts until the last turn ends."""
    if not turns or "text" not in modalities:
        raise InputError(
            "there is no recording; give one, or a transcript with times to a model that reads text; this model reads "
            f"{', '.join(modalities)}"
        )
    ends = [turn.start + UNENDED if turn.end is None else turn.end for turn in turns if turn.start is not None]
    return Recording(None, None, max(ends))


def _open_file(source: File, modalities: tuple[str, ...]) -> Recording:
    if not isinstance(source, str | Path | bytes | bytearray):
        opened = openable(source, "media")
        require_size(opened, name_of(source))
        source = Path(opened).read_bytes() if isinstance(opened, str) else opened.read()  # each decoder needs its own
    tracks = tracks_of(source)
    wanted = {"audio": tracks.sound and "audio" in modalities, "video": tracks.film and "video" in modalities}
    if not any(wanted.values()):
        held = " and ".join(name for name, has in (("sound", tracks.sound), ("film", tracks.film)) if has)
        raise InputError(f"the recording has {held}, but this call reads only {', '.join(modalities)}")
    sound = sound_files.blocks(source) if wanted["audio"] else None
    rate = FACES.rate or 10.0
    film = frames.frames_of(source, rate, None, None)[2] if wanted["video"] else None
    if sound is not None and film is not None and tracks.film_later < 0:
        silence = np.zeros(round(-tracks.film_later * SAMPLING_RATE), np.float32)
        sound = chain([silence], sound)
    elif sound is not None and film is not None and tracks.film_later > 0:
        film = ((time + tracks.film_later, grey) for time, grey in film)
    return Recording(sound, film, tracks.seconds)


def answer_recording(
    stream: Stream, recording: Recording, *, progress: bool | Progress = False
) -> Iterator[WindowResult]:
    """Yield the results of the windows in the order of time, computed in batches."""
    waiting: list[Part] = []
    answered_at, is_empty = 0.0, True
    with _bar(recording.seconds, progress is True) as bar:
        for _ in _play(stream, recording):
            bar.total = max(bar.total, stream.clock) if bar.total else None  # a file may state too short a length
            bar.update(stream.clock - bar.n)
            if callable(progress):
                progress(stream.clock)
            waiting += stream.complete()
            if len(waiting) >= BATCH_SIZE or stream.clock >= answered_at + FORGET_EVERY:
                is_empty = is_empty and not waiting
                yield from stream.answer(waiting)
                waiting, answered_at = [], stream.clock
        rest = stream.remaining(waiting)
        if is_empty and not rest:
            raise MediaError(f"the recording is too short, or has nothing to score; {stream.clock:.2f} s were read")
        yield from stream.answer(rest)


def _play(stream: Stream, recording: Recording) -> Iterator[None]:
    """Give the tracks to the stream side by side. A frame waits until the sound before it was given."""
    if recording.sound is None and recording.film is None:
        stream.let_pass(recording.seconds or 0.0)
        yield
    sound, film = recording.sound, recording.film or iter(())
    frame, heard = next(film, None), 0.0
    while sound is not None or frame is not None:
        if sound is not None and (frame is None or heard <= frame[0]):
            samples = next(sound, None)
            if samples is None:
                sound = None
                continue
            stream.add_sound(samples)
            heard += len(samples) / SAMPLING_RATE
        elif frame is not None:
            stream.add_frame(*frame)
            frame = next(film, None)
        yield


def _bar(seconds: float | None, progress: bool) -> Any:
    from tqdm import tqdm

    form = "{l_bar}{bar}| {n:.0f} of {total:.0f} s [{elapsed}<{remaining}]" if seconds else None
    return tqdm(total=seconds, disable=not progress, desc="timeline", bar_format=form, unit="s")
