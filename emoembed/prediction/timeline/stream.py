"""Score sound and frames while they arrive. The state has a fixed size, however long the stream is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any

import numpy as np
import torch

from emoembed.errors import InputError
from emoembed.features import frames as frame_reader
from emoembed.features import video
from emoembed.features.audio import checked_array
from emoembed.features.feature_set import Features
from emoembed.features.sound_files import SAMPLING_RATE, Mixer
from emoembed.model.model import EmotionModel
from emoembed.prediction.answer import answer_items
from emoembed.prediction.label_sets import LabelSet
from emoembed.prediction.result import Result
from emoembed.prediction.timeline.cutting import Cutter, Part
from emoembed.prediction.timeline.windows import WindowResult
from emoembed.reading.items import Item, read_what_can_be
from emoembed.reading.turns import Turn

LATE = 1.0
"""Seconds that sound may lag behind frames, or frames behind sound, before a part is scored without the rest."""
NO_FACE, NO_SOUND, NO_TEXT = "no face in this part", "no sound in this part", "no text in this part"
BATCH_SIZE = 16
"""Parts that are computed together."""
MOST_FRAMES = 3600
"""Frames that are kept: those of the longest turn, and more."""
LONGEST_JUMP = 300.0
"""Longest gap in seconds between a frame and everything before it. A longer gap is an error of the time stamp."""


@dataclass(frozen=True)
class Settings:
    """The settings of a stream: what is scored in each part, and how the stream is read.

    Attributes:
        labels: the labels.
        multi_label: each label gets its own probability.
        risk: the accepted share of wrong answers; None: the model never abstains.
        every_face: score every face, instead of the face that is largest when a track begins.
        turns: the turns of a transcript, with times. Their texts are part of the windows in which they are spoken.
    """

    labels: LabelSet
    multi_label: bool = False
    risk: float | None = None
    every_face: bool = False
    turns: Sequence[Turn] = ()


@dataclass
class _Sound:
    """The recent samples, mono at 16 kHz, and the number of the first sample."""

    pieces: list[np.ndarray] = field(default_factory=list)
    first: int = 0
    total: int = 0

    def add(self, samples: np.ndarray) -> None:
        self.pieces.append(samples)
        self.total += len(samples)

    def between(self, start: float, end: float) -> np.ndarray:
        """The samples of a part `(samples,)`."""
        self._join()
        begin, stop = (max(round(time * SAMPLING_RATE) - self.first, 0) for time in (start, end))
        return self.pieces[0][begin:stop]

    def forget(self, before: float) -> None:
        """Remove the samples before this time."""
        self._join()
        count = min(max(int(min(before, 1e9) * SAMPLING_RATE) - self.first, 0), len(self.pieces[0]))
        self.pieces = [self.pieces[0][count:].copy()]  # a copy, so that the removed samples are freed
        self.first += count

    def _join(self) -> None:
        self.pieces = [np.concatenate([np.zeros(0, np.float32), *self.pieces])]


class Stream:
    """Scores the parts of a stream when they are complete. `Recognizer.stream` returns a `Stream`.

    Args:
        model: the model that scores.
        cutter: decides which parts are scored.
        settings: what to score.

    Examples:
        A buzz whose pitch and loudness change stands in for a voice.

        >>> import emoembed, numpy as np
        >>> time = np.arange(3 * 16_000) / 16_000
        >>> voice = (150 * time + 10 * np.sin(3 * time)) % 1 * np.sin(9 * time) ** 2
        >>> stream = emoembed.load("base").stream(labels=["joy", "anger"], window=2.0, hop=2.0)
        >>> len(stream.push(voice[:16_000], 16_000)), len(stream.push(voice[16_000:], 16_000))
        (0, 1)
        >>> [(result.start, result.end) for result in stream.finish()]  # what remains
        [(2.0, 3.0)]
    """

    def __init__(self, model: EmotionModel, cutter: Cutter, settings: Settings) -> None:
        self.model, self.cutter, self.settings = model, cutter, settings
        self._sound = _Sound()
        self._faces: list[tuple[float, dict[int, np.ndarray]]] = []
        self._frame_clock: float | None = None
        self._finder = video.FaceFinder("the stream", every=settings.every_face)
        self._slot = -1
        self._waiting: list[Part] = []
        self._last: Part | None = None  # the last part, once the end of the stream is known
        self._told_until = 0.0  # the texts of turns before this time were given to parts
        self._passed = 0.0  # seconds that passed without sound and frames
        self._mixer = Mixer()
        self._finished = False
        self._rate: int | None = None
        self._resampler: Any = None

    def push(
        self,
        audio: np.ndarray | None = None,
        sampling_rate: float | None = None,
        *,
        frame: np.ndarray | None = None,
        time: float | None = None,
    ) -> list[WindowResult]:
        """Add sound, a frame, or both. Returns the results of the parts that they complete.

        Args:
            audio: the next samples, `(samples,)` or `(samples, channels)`, of any length: float in -1..1 or int16.
                Sound has no gaps and begins with the stream: give zeros for a time without sound.
            sampling_rate: samples per second of `audio`. It must stay the same.
            frame: the next frame, RGB `(height, width, 3)` or grey `(height, width)`, uint8 or float 0..1. At most ten
                frames a second are looked at.
            time: the time of the frame, in seconds since the stream began, not before the frame before it.

        Raises:
            InputError: the model does not read sound or frames, the samples or the frame have a wrong shape or type,
                the sampling rate changes, the frame has no time, an earlier time than the one before it or one far
                ahead, or the stream is finished.
        """
        if self._finished:
            raise InputError("the stream is finished; start a new one with model.stream(...)")
        for name, given in (("audio", audio), ("video", frame)):
            if given is not None and name not in self.model.modalities:
                raise InputError(f"this model has no {name}; it reads {', '.join(self.model.modalities)}")
        if frame is not None:
            self._check_time(time)
            _check_frame(frame)
        if audio is not None and len(audio):
            self.add_sound(self._resampled(np.asarray(audio), sampling_rate))
        if frame is not None:
            self.add_frame(float(time or 0.0), frame_reader.grey(frame))
        return self.answer(self.complete())

    def finish(self) -> list[WindowResult]:
        """The results of what remains when the stream ends."""
        if self._finished:
            return []
        self._finished = True
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
            self.add_sound(np.asarray(rest, np.float32))
        return self.answer(self.remaining())

    def add_sound(self, samples: np.ndarray) -> None:
        """Add samples `(samples,)`, mono at 16 kHz."""
        if "audio" in self.model.modalities and len(samples):
            self._sound.add(samples)
            self.cutter.hear(samples)

    def add_frame(self, time: float, grey: np.ndarray) -> None:
        """Add a grey uint8 frame `(height, width)` at its time in seconds."""
        self._frame_clock = time
        slot = math.floor(time * (video.FACES.rate or 10.0) + 1e-3)
        if "video" in self.model.modalities and slot > self._slot:
            self._slot = slot
            if self.settings.every_face:
                faces = self._finder.find_all(grey, time)
            else:
                face = self._finder.find(grey, time)
                faces = {} if face is None else {0: face}
            self._faces.append((time, {number: face[0] for number, face in faces.items()}))
            del self._faces[:-MOST_FRAMES]

    def let_pass(self, seconds: float) -> None:
        """Let time pass without sound and frames, as for a transcript alone."""
        self._passed += seconds

    @property
    def clock(self) -> float:
        """The time of the latest sample or frame, in seconds."""
        return max([*self._clocks(), self._passed])

    def _clocks(self) -> list[float]:
        clocks = [self._sound.total / SAMPLING_RATE] if self._sound.total else []
        return clocks if self._frame_clock is None else [*clocks, self._frame_clock]

    def complete(self) -> list[Part]:
        """The parts that are complete and were not returned before."""
        clocks = self._clocks()
        if not clocks:
            return []
        self._waiting += self.cutter.complete(max(clocks))
        ready = max(min(clocks), max(clocks) - LATE)
        parts = [part for part in self._waiting if part.end <= ready + 1e-6]
        self._waiting = [part for part in self._waiting if part.end > ready + 1e-6]
        return parts

    def remaining(self, unanswered: Sequence[Part] = ()) -> list[Part]:
        """The parts that remain when the stream ends, after complete parts that were not scored yet."""
        parts = [*unanswered, *self._waiting, *self.cutter.complete(self.clock), *self.cutter.rest(self.clock)]
        self._waiting, self._last = [], parts[-1] if parts else None
        return parts

    @torch.inference_mode()
    def answer(self, parts: Sequence[Part]) -> list[WindowResult]:
        """Score parts in batches, and discard what no later part needs."""
        batches = [parts[i : i + BATCH_SIZE] for i in range(0, len(parts), BATCH_SIZE)]
        results = [result for batch in batches for result in self._answer_batch(batch)]
        self._forget()
        return results

    def _answer_batch(self, parts: Sequence[Part]) -> list[WindowResult]:
        places: list[tuple[Part, int | None, str | None]] = []
        items: list[Item] = []
        for part in parts:
            text = self._text(part)
            sources: dict[str, Any] = {"text": text, "audio": self._sound_of(part)}
            faces = self._faces_of(part)
            for number, track in faces.items() or [(None, None)]:
                present = {name: source for name, source in {**sources, "video": track}.items() if source is not None}
                item = read_what_can_be(self.model, present)
                places.append((part, number, text))
                items.append(Item(item.readings, {**self._not_there(present), **item.absent}))
        settings = self.settings
        results = answer_items(self.model, items, settings.labels, multi_label=settings.multi_label, risk=settings.risk)
        return [
            _window_result(result, part, number or None, text)
            for result, (part, number, text) in zip(results, places, strict=True)
        ]

    def _text(self, part: Part) -> str | None:
        """What is said in a part: its own text, or the texts of the turns whose middle is in it.

        A turn whose middle is between two parts belongs to the second, and one after the last part to the last.
        """
        if "text" not in self.model.modalities or part.text is not None:
            return part.text if "text" in self.model.modalities else None
        start, end = min(part.start, self._told_until), math.inf if part is self._last else part.end
        self._told_until = max(self._told_until, part.end)
        texts = [
            turn.text
            for turn in self.settings.turns
            if turn.text and turn.start is not None and start <= (turn.start + (turn.end or turn.start)) / 2 < end
        ]
        return " ".join(texts) or None

    def _sound_of(self, part: Part) -> tuple[np.ndarray, int] | None:
        samples = self._sound.between(part.start, part.end)
        return (samples, SAMPLING_RATE) if len(samples) else None

    def _faces_of(self, part: Part) -> dict[int, Features]:
        """The faces of a part by number, as features `(time, 48 * 48)`."""
        start, end = part.start, part.end
        seen: dict[int, list[np.ndarray]] = {}
        for time, faces in self._faces:
            for number, pixels in faces.items() if start - 1e-6 <= time < end else ():
                seen.setdefault(number, []).append(pixels.reshape(-1))
        return {number: Features(np.stack(rows), video.FACES) for number, rows in sorted(seen.items())}

    def _not_there(self, sources: Mapping[str, Any]) -> dict[str, str]:
        """Why a part lacks sound or a face, if the stream has had sound or frames."""
        silent = "audio" not in sources and self._sound.total > 0
        faceless = "video" not in sources and self._frame_clock is not None and "video" in self.model.modalities
        untold = not sources and not self._clocks()
        absent = {
            "audio": NO_SOUND if silent else "",
            "video": NO_FACE if faceless else "",
            "text": NO_TEXT if untold else "",
        }
        return {name: reason for name, reason in absent.items() if reason}

    def _forget(self) -> None:
        needed = min([self.cutter.needed_from(), *(part.start for part in self._waiting)])
        self._sound.forget(needed)
        self._faces = [(time, faces) for time, faces in self._faces if time >= needed - 1e-6]

    def _resampled(self, samples: np.ndarray, sampling_rate: float | None) -> np.ndarray:
        """Samples as mono at 16 kHz. The resampler keeps its state from one piece to the next."""
        import soxr

        samples, rate = checked_array(samples, sampling_rate)
        if not np.isfinite(samples).all():
            raise InputError("the sound has NaN or infinite samples; replace them with finite values")
        if self._rate is None:
            self._rate = rate
            if rate != SAMPLING_RATE:
                self._resampler = soxr.ResampleStream(rate, SAMPLING_RATE, 1, dtype="float32")
        if rate != self._rate:
            raise InputError(f"the sampling rate of a stream must stay {self._rate} Hz; given {rate}")
        mono = samples if samples.ndim == 1 else self._mixer.mono(samples.T)
        return mono if self._resampler is None else np.asarray(self._resampler.resample_chunk(mono), np.float32)

    def _check_time(self, time: float | None) -> None:
        """Raise InputError unless a frame has a time that is not before the time of the frame before it."""
        if not isinstance(time, Real) or not math.isfinite(float(time)) or float(time) < 0:
            raise InputError(f"a frame needs its time in seconds, at least 0; given {time!r:.40}")
        if self._frame_clock is not None and float(time) < self._frame_clock:
            raise InputError(f"frames come in the order of time; given {time:g} s after {self._frame_clock:g} s")
        if float(time) > self.clock + LONGEST_JUMP:
            raise InputError(
                f"times count from the beginning of the stream, now at {self.clock:g} s; given {time:g} s, more than "
                f"{LONGEST_JUMP:g} s ahead"
            )


def _check_frame(frame: Any) -> None:
    """Raise InputError unless a frame is an RGB or grey picture."""
    if not isinstance(frame, np.ndarray) or frame.ndim not in (2, 3):
        shape = getattr(frame, "shape", type(frame).__name__)
        raise InputError(f"a frame is an array (height, width, 3) or (height, width); given {shape}")
    frame_reader.check_array(frame, frame[None])


def _window_result(result: Result, part: Part, face: int | None, text: str | None) -> WindowResult:
    values = {field.name: getattr(result, field.name) for field in fields(Result)}
    return WindowResult(**values, start=part.start, end=part.end, face=face, text=text)
