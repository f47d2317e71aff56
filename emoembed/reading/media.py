"""Reads a caller's input (a sentence, a path, an array) into the float32 array that a modality's encoder reads.

`KINDS` has one entry for each kind of features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from emoembed.labels.phrases import SentenceEncoder, WordTable, tokens_of
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.reading import inputs
from emoembed.reading.cache import LOOKED_AT
from emoembed.reading.understanding import ENOUGH, understood

ALL_OF_IT = "; `timeline` scores a long recording in windows"
FACES_SHOWN = 16
"""Evenly spaced faces of a clip that an image transformer reads: each takes 0.6 MB of pixels and much computing."""


@dataclass(frozen=True)
class Reading:
    """The features of one item in one modality, float32 `(time, feature_dim)`, and notes for the user.

    `understood` is False if the model knows too few words of the text.
    """

    values: np.ndarray
    notes: tuple[Note, ...] = ()
    understood: bool = True


def read(model: EmotionModel, modality: str, source: Any, *, any_sound: bool = False) -> Reading:
    """One item's features `(time, feature_dim)` for one modality of a model.

    Args:
        model: its configuration says which features to extract.
        modality: `text`, `audio` or `video`.
        source: a sentence; sound or a face in any form of `inputs`; or ready `Features` (for sound, also a `waveform`).
        any_sound: accept sound without speech, as in training, where the labels say what the sound is.

    Raises:
        InputError: the source has a wrong type or shape, contains NaN, or is an empty text.
        MissingFileError, MediaError: a media file cannot be read, or the sound has no speech.
    """
    config = model.config.modalities[modality]
    if isinstance(source, Features) and not (source.feature_set == WAVEFORM and config.features == "speech"):
        return _read_features(source, config, modality)
    kind = KINDS.get(config.features)
    if kind is None:
        raise InputError(
            f"this model reads {modality} as {config.features} features, which cannot be extracted from files; give "
            f"emoembed.features.feature_set.Features with columns {', '.join(config.columns[:4])}, ..."
        )
    return kind.read(model, config, source, any_sound)


def prepared(inputs: Mapping[str, np.ndarray], config: ModalityConfig) -> Mapping[str, np.ndarray]:
    """Stored inputs by row id, as the encoder of a modality reads them; see `FeatureKind.prepare`."""
    kind = KINDS.get(config.features)
    return inputs if kind is None or kind.prepare is None else Prepared(inputs, config, kind.prepare)


class Prepared(Mapping[str, np.ndarray]):
    """Inputs by row id; each access prepares one for the encoder. All of them would be too large to store."""

    def __init__(
        self,
        stored: Mapping[str, np.ndarray],
        config: ModalityConfig,
        prepare: Callable[[np.ndarray, ModalityConfig], np.ndarray],
    ) -> None:
        self.stored, self.config, self.prepare = stored, config, prepare

    def __getitem__(self, row: str) -> np.ndarray:
        return self.prepare(self.stored[row], self.config)

    def __contains__(self, row: object) -> bool:
        return row in self.stored

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)


def _text_of(source: Any) -> str:
    if not isinstance(source, str):
        raise InputError(f"text is a string; given {type(source).__name__}")
    text: str = readable(source)
    if not text.strip():
        raise InputError("text is empty; give None for an item without text")
    return text


def _words(model: EmotionModel, config: ModalityConfig, source: Any, any_sound: bool) -> Reading:
    from emoembed.features.text import tokenize, words

    text = _text_of(source)
    if not isinstance(model.phrases, WordTable):
        raise CheckpointError("this model reads text as word vectors, but it has no word table; fetch it again")
    values = words(text, model.phrases).values
    known_count, word_count = len(values), len(tokenize(text))
    if known_count >= ENOUGH * word_count:
        return Reading(values)
    message = f"{known_count} of {word_count} words are known; confidence is set to 0"
    return Reading(values, (Note("not-understood", "text", message),), understood=False)


def _word_pieces(model: EmotionModel, config: ModalityConfig, source: Any, any_sound: bool) -> Reading:
    text, phrases = _text_of(source), model.phrases
    if not isinstance(phrases, SentenceEncoder):
        raise CheckpointError("this model reads text as word pieces, but it has no tokenizer; fetch it again")
    encoding = phrases.encode(text)
    ids, pieces = phrases.ids_of(encoding), tokens_of(encoding)
    if ids is None:
        raise InputError(f"nothing in the text {text[:40]!r} is known to this model, which reads English")
    notes, was_cut = [], len(source) > TEXT_CHARACTERS
    if pieces > len(ids) or was_cut:
        message = f"the first {len(ids)} of {'more than ' if was_cut else ''}{pieces} word pieces were read"
        notes.append(Note("cut", "text", message))
    share = understood(text, phrases.tokenizer, encoding)
    if share < ENOUGH:
        message = f"too few words of {text[:40]!r} are English words that the model knows; confidence is set to 0"
        notes.append(Note("not-understood", "text", message))
    return Reading(np.array(ids, dtype=np.float32)[:, None], tuple(notes), share >= ENOUGH)


def _sound(model: EmotionModel, config: ModalityConfig, source: Any, any_sound: bool) -> Reading:
    is_waveform = isinstance(source, Features)  # a waveform, with the notes of its reading
    recording, rate = (source.values[:, 0], SAMPLING_RATE) if is_waveform else inputs.sound_of(source)
    speech = sound.speech(recording, rate, limit=LOOKED_AT)
    reason = speech_check.no_speech(speech.values)
    if reason and not any_sound:
        name = media_files.name_of(recording) if not isinstance(recording, np.ndarray) else "the recording"
        raise MediaError(f"no speech found in {name}: {reason}")
    features = speech if config.features == "speech" else sound.waveform(recording, rate, limit=LOOKED_AT)
    values = features.values[: config.longest].copy()  # a copy, so that the rest of a long recording is freed
    all_notes = (*source.notes, *speech.notes) if is_waveform else speech.notes
    notes = tuple({note.code: note for note in all_notes}.values())
    if len(values) < len(features.values):
        per_second = features.feature_set.rate or 1.0
        seconds_read, seconds = (f"{len(rows) / per_second:.0f}" for rows in (values, features.values))
        notes = (
            *notes,
            Note("cut", "audio", f"the first {seconds_read} of {seconds} s of speech were read{ALL_OF_IT}"),
        )
    return Reading(_for_encoder(values, config), notes)


def _faces(model: EmotionModel, config: ModalityConfig, source: Any, any_sound: bool) -> Reading:
    from emoembed.features import video

    frames, is_face = inputs.frames_of(source)
    track = video.read_faces(frames, limit=config.longest, detector="none" if is_face else "haar")
    faces, notes = track.features.values, track.features.notes
    if len(faces) == config.longest:
        message = f"the first {len(faces)} faces were read, up to {track.times[-1]:.0f} s{ALL_OF_IT}"
        notes = (*notes, Note("cut", "video", message))
    return Reading(_for_encoder(faces, config), notes)


def _openface(model: EmotionModel, config: ModalityConfig, source: Any, any_sound: bool) -> Reading:
    from emoembed.features import tables

    if not isinstance(source, str | Path):
        raise InputError(
            f"this model reads video as action units; give a file of OpenFace; given {type(source).__name__}"
        )
    return _read_features(tables.read_openface(source), config, "video")


def standardise_samples(values: np.ndarray, config: ModalityConfig) -> np.ndarray:
    """Samples with mean 0 and standard deviation 1, if the speech transformer expects it."""
    if not config.trunk_config.get("do_normalize"):
        return values
    scaled: np.ndarray = (values - values.mean()) / max(values.std(), 1e-4)
    return scaled


def pixels(faces: np.ndarray, config: ModalityConfig) -> np.ndarray:
    """Evenly spaced faces of a clip, with the size, mean and standard deviation that the image transformer expects.

    All channels have the same grey values.
    """
    import cv2

    faces = faces[: config.longest]
    trunk = config.trunk_config
    side, channels = int(trunk.get("image_size", 224)), int(trunk.get("num_channels", 3))
    mean, deviation = (np.array(trunk.get(key, [0.5] * channels), np.float32) for key in ("image_mean", "image_std"))
    face_side = int(faces.shape[1] ** 0.5)
    clip_faces = faces[np.linspace(0, len(faces) - 1, min(len(faces), FACES_SHOWN)).round().astype(int)]
    resized = [
        cv2.resize(face.astype(np.float32).reshape(face_side, face_side), (side, side)).ravel() for face in clip_faces
    ]
    values = (np.stack(resized)[:, None] - mean[:, None]) / deviation[:, None]
    return np.ascontiguousarray(values.reshape(len(clip_faces), -1), dtype=np.float32)


def _for_encoder(values: np.ndarray, config: ModalityConfig) -> np.ndarray:
    kind = KINDS.get(config.features)
    return values if kind is None or kind.prepare is None else kind.prepare(values, config)


def _read_features(source: Features, config: ModalityConfig, modality: str) -> Reading:
    """Convert ready features: put their columns in the order that the encoder was trained on."""
    kind = KINDS.get(config.features)
    if kind is not None and source.feature_set.name == kind.stored:
        return Reading(_for_encoder(source.values, config), (*source.notes, *_note_cut_rows(source, config, modality)))
    source_columns = source.feature_set.columns
    missing_columns = [column for column in config.columns if column not in source_columns]
    if missing_columns:
        raise InputError(
            f"{modality} features {source.feature_set.name!r} lack {len(missing_columns)} columns this model reads, "
            f"{missing_columns[0]!r} first; it reads {config.features} with {len(config.columns)} columns"
        )
    values = (
        source.values[:, [source_columns.index(column) for column in config.columns]]
        if config.columns
        else source.values
    )
    if not len(values):
        raise InputError(f"{modality} features {source.feature_set.name!r} have no rows")
    if not np.isfinite(values).all():
        raise InputError(
            f"{modality} features {source.feature_set.name!r} contain NaN or infinite values; replace or remove them"
        )
    values = _for_encoder(values[: config.longest].astype(np.float32), config)
    return Reading(values, (*source.notes, *_note_cut_rows(source, config, modality)))


def _note_cut_rows(source: Features, config: ModalityConfig, modality: str) -> tuple[Note, ...]:
    rows = len(source.values)
    if rows <= config.longest:
        return ()
    return (Note("cut", modality, f"the first {config.longest} of {rows} rows of features were read"),)


@dataclass(frozen=True)
class FeatureKind:
    """How the inputs of one kind of features are read. A new kind is one more entry of `KINDS`.

    Args:
        read: reads a source in a form of `inputs`, for a model and one of its modalities; raises as `read` does.
        prepare: changes stored inputs `(time, feature_dim)` to what the encoder reads; None if they are the same.
        stored: name of the feature set of stored inputs, if it differs from the kind.
    """

    read: Callable[[EmotionModel, ModalityConfig, Any, bool], Reading]
    prepare: Callable[[np.ndarray, ModalityConfig], np.ndarray] | None = None
    stored: str = ""


KINDS = {
    "wordpieces": FeatureKind(_word_pieces),
    "words": FeatureKind(_words),
    "speech": FeatureKind(_sound),
    "waveform": FeatureKind(_sound, standardise_samples),
    "faces": FeatureKind(_faces),
    "pixels": FeatureKind(_faces, pixels, stored="faces"),
    "action_units": FeatureKind(_openface),
}
"""`ModalityConfig.features` -> how it is read. Other kinds are ready features, which no file is turned into."""
