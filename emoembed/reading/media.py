"""From what a caller hands in - a sentence, a path, an array - to the float32 array a modality's encoder reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emoembed.errors import CheckpointError, InputError, MediaError
from emoembed.features import audio as sound
from emoembed.features import media_files, speech_check
from emoembed.features.audio import WAVEFORM
from emoembed.features.feature_set import Features
from emoembed.features.limits import TEXT_CHARACTERS
from emoembed.features.notes import Note
from emoembed.features.readable import readable
from emoembed.features.sound_files import SAMPLING_RATE
from emoembed.labels.phrases import SentenceEncoder, WordTable
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import inputs
from emoembed.reading.cache import LOOKED_AT
from emoembed.reading.understanding import ENOUGH, understood

FACES_SHOWN = 16
"""Faces of a clip that an image transformer reads, evenly spaced: each takes 0.6 MB of pixels, and long to read."""


@dataclass(frozen=True)
class Reading:
    """What was read of one item for one modality: float32 `(time, feature_dim)`, and what should be known of it.

    `understood` is False where much of a text is in no word that is known.
    """

    values: np.ndarray
    notes: tuple[Note, ...] = ()
    understood: bool = True


def read(model: EmotionModel, modality: str, source: Any, *, any_sound: bool = False) -> Reading:
    """One item's features `(time, feature_dim)` for one modality of a model.

    Args:
        model: whose configuration says which features to extract.
        modality: `text`, `audio` or `video`.
        source: a sentence; sound or a face in any form of `inputs`; or ready `Features`, of sound also a `waveform`.
        any_sound: sound need not be speech, as in training, where its labels say what it is.

    Raises:
        InputError: of the wrong type or shape, NaN, empty text.
        MissingFileError, MediaError: from reading media, or sound without speech.
    """
    config = model.config.modalities[modality]
    if isinstance(source, Features) and not (source.feature_set == WAVEFORM and config.features == "speech"):
        return _ready(source, config, modality)
    if modality == "text":
        return _text(model, config, source)
    return _audio(config, source, any_sound) if modality == "audio" else _video(config, source)


def _text(model: EmotionModel, config: ModalityConfig, source: Any) -> Reading:
    if not isinstance(source, str):
        raise InputError(f"text is a string; given {type(source).__name__}")
    text = readable(source)
    if not text.strip():
        raise InputError("text is empty; leave it out (None) where there is none")
    if config.features == "wordpieces" and isinstance(model.phrases, SentenceEncoder):
        return _word_pieces(model.phrases, text, len(source) > TEXT_CHARACTERS)
    if config.features == "words" and isinstance(model.phrases, WordTable):
        from emoembed.features.text import tokenize, words

        values = words(text, model.phrases).values
        known, given = len(values), len(tokenize(text))
        if known >= ENOUGH * given:
            return Reading(values)
        said = f"{known} of {given} words are known; confidence is set to 0"
        return Reading(values, (Note("not-understood", "text", said),), understood=False)
    raise CheckpointError(f"this model reads {config.features} features as text; hand them in as Features")


def _word_pieces(phrases: SentenceEncoder, text: str, longer: bool) -> Reading:
    ids, pieces = phrases.pieces(text)
    if ids is None:
        raise InputError(f"nothing in the text {text[:40]!r} is known to this model, which reads English")
    notes = []
    if pieces > len(ids) or longer:
        said = f"the first {len(ids)} of {'more than ' if longer else ''}{pieces} word pieces were read"
        notes.append(Note("cut", "text", said))
    share = understood(text, phrases.tokenizer)
    if share < ENOUGH:
        said = f"too few words of {text[:40]!r} are English words that the model knows; confidence is set to 0"
        notes.append(Note("not-understood", "text", said))
    return Reading(np.array(ids, dtype=np.float32)[:, None], tuple(notes), share >= ENOUGH)


def _audio(config: ModalityConfig, source: Any, any_sound: bool) -> Reading:
    if config.features not in ("speech", "waveform"):
        raise _needs_features("audio", config)
    samples = isinstance(source, Features)  # a waveform, with the notes of its reading
    given, rate = (source.values[:, 0], SAMPLING_RATE) if samples else inputs.sound_of(source)
    spoken = sound.speech(given, rate, limit=LOOKED_AT)
    silent = speech_check.no_speech(spoken.values)
    if silent and not any_sound:
        name = media_files.name_of(given) if not isinstance(given, np.ndarray) else "the recording"
        raise MediaError(f"no speech found in {name}: {silent}")
    features = spoken if config.features == "speech" else sound.waveform(given, rate, limit=LOOKED_AT)
    values = features.values[: config.longest].copy()  # the rest of a long recording is let go
    notes = tuple({note.code: note for note in ((*source.notes, *spoken.notes) if samples else spoken.notes)}.values())
    if len(values) < len(features.values):
        per_second = features.feature_set.rate or 1.0
        read, there = (f"{len(rows) / per_second:.0f}" for rows in (values, features.values))
        notes = (*notes, Note("cut", "audio", f"the first {read} of {there} s of speech were read"))
    return Reading(_waveform(values, config) if config.features == "waveform" else values, notes)


def _waveform(values: np.ndarray, config: ModalityConfig) -> np.ndarray:
    """Samples as a speech transformer wants them: as they are, or of mean 0 and deviation 1."""
    if not config.trunk_config.get("do_normalize"):
        return values
    scaled: np.ndarray = (values - values.mean()) / max(values.std(), 1e-4)
    return scaled


def _video(config: ModalityConfig, source: Any) -> Reading:
    from emoembed.features import tables, video

    if config.features == "action_units" and isinstance(source, (str, Path)):
        return _ready(tables.read_openface(source), config, "video")
    if config.features not in ("faces", "pixels"):
        raise _needs_features("video", config)
    given, face_itself = inputs.frames_of(source)
    track = video.read_faces(given, limit=config.longest, detector="none" if face_itself else "haar")
    faces, notes = track.features.values, track.features.notes
    if len(faces) == config.longest:
        said = f"the first {len(faces)} faces were read, up to {track.times[-1]:.0f} s"
        notes = (*notes, Note("cut", "video", said))
    return Reading(faces if config.features == "faces" else _pixels(faces, config), notes)


class Pixels(Mapping[str, np.ndarray]):
    """Faces by id, `(time, 48 * 48)`, made ready for an image transformer at each reading: too large to keep."""

    def __init__(self, faces: Mapping[str, np.ndarray], config: ModalityConfig) -> None:
        self.faces, self.config = faces, config

    def __getitem__(self, item: str) -> np.ndarray:
        return _pixels(self.faces[item], self.config)

    def __contains__(self, item: object) -> bool:
        return item in self.faces

    def __iter__(self) -> Iterator[str]:
        return iter(self.faces)

    def __len__(self) -> int:
        return len(self.faces)


def _pixels(faces: np.ndarray, config: ModalityConfig) -> np.ndarray:
    """Faces from all over a clip as an image transformer wants: its size, mean and spread; grey in all channels."""
    import cv2

    faces = faces[: config.longest]
    trunk = config.trunk_config
    side, channels = int(trunk.get("image_size", 224)), int(trunk.get("num_channels", 3))
    mean, spread = (np.array(trunk.get(key, [0.5] * channels), np.float32) for key in ("image_mean", "image_std"))
    small = int(faces.shape[1] ** 0.5)
    chosen = faces[np.linspace(0, len(faces) - 1, min(len(faces), FACES_SHOWN)).round().astype(int)]
    resized = [cv2.resize(face.astype(np.float32).reshape(small, small), (side, side)).ravel() for face in chosen]
    shown = (np.stack(resized)[:, None] - mean[:, None]) / spread[:, None]
    return np.ascontiguousarray(shown.reshape(len(chosen), -1), dtype=np.float32)


def _ready(source: Features, config: ModalityConfig, modality: str) -> Reading:
    """Ready features, their columns put in the order the encoder was trained on."""
    if config.features == "pixels" and source.feature_set.name == "faces":
        return Reading(_pixels(source.values, config), (*source.notes, *_cut_rows(source, config, modality)))
    have = source.feature_set.columns
    missing = [column for column in config.columns if column not in have]
    if missing:
        raise InputError(
            f"{modality} features {source.feature_set.name!r} lack {len(missing)} columns this model reads, "
            f"{missing[0]!r} first; it reads {config.features} with {len(config.columns)} columns"
        )
    values = source.values[:, [have.index(column) for column in config.columns]] if config.columns else source.values
    if not len(values):
        raise InputError(f"{modality} features {source.feature_set.name!r} have no rows")
    if not np.isfinite(values).all():
        raise InputError(f"{modality} features {source.feature_set.name!r} hold NaN or infinite values")
    values = values[: config.longest].astype(np.float32)
    values = _waveform(values, config) if config.features == "waveform" else values
    return Reading(values, (*source.notes, *_cut_rows(source, config, modality)))


def _cut_rows(source: Features, config: ModalityConfig, modality: str) -> tuple[Note, ...]:
    rows = len(source.values)
    if rows <= config.longest:
        return ()
    return (Note("cut", modality, f"the first {config.longest} of {rows} rows of features were read"),)


def _needs_features(modality: str, config: ModalityConfig) -> InputError:
    return InputError(
        f"this model reads {config.features} as {modality}, which are not extracted from files here; hand them in as "
        f"emoembed.features.feature_set.Features with columns {', '.join(config.columns[:4])}, ..."
    )
