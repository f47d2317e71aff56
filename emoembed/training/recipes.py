"""How each modality is read and trained: one place for the shipped checkpoints and for every experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from torch import Tensor

from emoembed.encoders.faces import FaceSettings
from emoembed.encoders.pooled import PooledSettings
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.encoders.spectrogram import SpectrogramSettings
from emoembed.encoders.transformer import TransformerSettings
from emoembed.features import audio
from emoembed.labels.phrases import PhraseEncoder
from emoembed.labels.projections import LabelParts
from emoembed.labels.space import VAD_DIM
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.training import augment
from emoembed.training.config import TrainConfig
from emoembed.training.loop import Augment


@dataclass(frozen=True)
class Recipe:
    """What makes a model what it is, beside its rows: what it reads, what embeds labels, how it is trained.

    Whatever is trained, whether a manifest, a corpus with emotions held out, or a checkpoint that ships, differs in
    this alone; `fit.train` does the same with each.
    """

    modalities: Mapping[str, ModalityConfig]
    phrases: PhraseEncoder  # embeds labels; where it is a sentence encoder, text starts from its transformer
    config: TrainConfig
    like: EmotionModel | None = None  # over the same phrase encoder: its label space is taken
    weights: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Modality -> the weights of a published transformer that it starts from."""
    augmentation: str = "usual"  # how training batches are changed, a key of `AUGMENTATIONS`
    strength: float | None = None  # of text adapters after training; None leaves it as the modality's settings say


TEXT_RANK = 16
TEXT_STRENGTH = 0.8
"""Of the trained adapters in `base`, between the untouched encoder (0) and the trained one (1); chosen on validation
rows of semeval2018, six emotions by name, a corpus that is not trained on: `docs/ablation/by-name`."""
TEXT_RESIDUAL, RESIDUAL = 128, 64
"""Directions of texts, and of sounds and faces, that no word says, for examples to be told by."""
SPACE_DIM = 68
"""Of the spaces of sound and faces: valence, arousal and dominance 4, a cue 32, words 32."""
TEXT_PARTS = LabelParts(vad_share=0.1)
SPEECH_PARTS = LabelParts(vad_share=0.5, cue_share=0.4, cue="sounds", vad_weights=(0.6, 1.0, 1.0, 0.8))
FACE_PARTS = LabelParts(vad_share=0.5, cue_share=0.4, cue="looks")
"""Chosen on validation actors of RAVDESS, emotions held out: `docs/ablation/label-parts`."""
FACE_OVERVIEW = 0.5
"""Share of the map in closed form beside the face network; see `encoders.layers.joined`."""
FEW_RECORDINGS = 2000
"""Below so many training rows speech is read by its statistics alone."""
MODALITY_DROPOUT = 0.3
"""Chance that a clip of sound and face loses one of them in training, so that either stands alone."""
REVISION = {"text": 5, "audio": 6, "video": 5}
"""Raised when a change to a modality's features, encoders or training makes models kept in the cache stale."""
AUGMENTATIONS: dict[str, dict[str, Any] | None] = {
    "usual": {},
    "none": None,
    "with noise": {"noise": True},
    "without noise": {"noise": False},
    "with tempo": {"tempo": 0.1},
    "no throat": {"throat": 0.0},
}
"""Ways to change training batches: what departs from the usual settings of `augment.speech`; None leaves them alone."""
TRAINING = {
    "text": TrainConfig(
        epochs=2,
        batch_size=64,
        learning_rate=1e-3,
        weight_decay=0.0,
        patience=3,
        stay_close=1.0,
        stay_close_text=100.0,
        max_frames=64,
    ),
    "audio": TrainConfig(
        epochs=36,
        batch_size=32,
        learning_rate=1e-3,
        patience=12,
        pull=1.0,
        balance=0.5,
        label_smoothing=0.1,
        max_frames=400,
    ),
    "functionals": TrainConfig(
        epochs=25, batch_size=32, learning_rate=2e-3, patience=25, pull=1.0, label_smoothing=0.1, max_frames=400
    ),
    "video": TrainConfig(
        epochs=60,
        batch_size=128,
        learning_rate=2e-3,
        patience=20,
        pull=0.1,
        balance=0.25,
        label_smoothing=0.1,
        weight_decay=0.05,
    ),
    "sequence": TrainConfig(
        epochs=30, batch_size=64, learning_rate=1e-3, patience=8, positive_weight=True, modality_dropout=0.2, bf16=False
    ),
    # Dai et al. 2020: Adam 1e-3, batches of 64, weighted BCE; there the rate falls on plateaus, here as a cosine
    "mtee": TrainConfig(
        epochs=100, batch_size=64, learning_rate=1e-3, weight_decay=0.0, patience=8, positive_weight=True, bf16=False
    ),
    "action_units": TrainConfig(
        epochs=60, batch_size=32, learning_rate=2e-3, patience=20, pull=1.0, balance=0.5, bf16=False
    ),
}
TRAINING["pixels"] = replace(TRAINING["video"], batch_size=16)  # a step of a transformer takes much memory


def training(kind: str, seed: int = 0, **changes: Any) -> TrainConfig:
    """The training settings of a kind of model (a key of `TRAINING`), with a seed and any changes."""
    return replace(TRAINING[kind], seed=seed, **changes)


def kind_of(modality: str, config: ModalityConfig) -> str:
    """The key of `TRAINING` for a modality that is read so."""
    if config.features == "speech" and config.encoder == "pooled":
        return "functionals"
    if config.features == "pixels":
        return "pixels"
    return "audio" if config.features == "words" else modality


def text_modality(trunk_config: dict[str, Any], rank: int = TEXT_RANK) -> ModalityConfig:
    """Sentences: a transformer whose untouched half embeds labels and whose low-rank adapters are trained."""
    hidden = int(trunk_config["hidden_size"])
    settings = TransformerSettings(trunk_config, rank, vad_share=TEXT_PARTS.vad_share)
    return ModalityConfig(
        "wordpieces", "transformer", hidden + VAD_DIM, ("token",), settings, parts=TEXT_PARTS, residual=TEXT_RESIDUAL
    )


def audio_modality() -> ModalityConfig:
    """Speech: log-mel bands and prosody through convolutions and a BiGRU."""
    return ModalityConfig(
        "speech",
        "spectrogram",
        SPACE_DIM,
        audio.SPEECH.columns,
        SpectrogramSettings(overview=0.5),
        parts=SPEECH_PARTS,
        residual=RESIDUAL,
    )


def speech_modality(recordings: int) -> ModalityConfig:
    """What reads speech, given how many recordings there are to train on."""
    return functionals_modality() if recordings < FEW_RECORDINGS else audio_modality()


def functionals_modality() -> ModalityConfig:
    """Speech by its statistics alone: with a thousand recordings a network over their frames learns less."""
    settings = PooledSettings(summary="functionals", overview=0.5)
    return ModalityConfig(
        "speech", "pooled", SPACE_DIM, audio.SPEECH.columns, settings, parts=SPEECH_PARTS, residual=RESIDUAL
    )


def video_modality() -> ModalityConfig:
    """Faces: a small CNN over each 48x48 face, joined by a map in closed form of what it has learned to see."""
    return ModalityConfig(
        "faces", "face", SPACE_DIM, settings=FaceSettings(overview=FACE_OVERVIEW), parts=FACE_PARTS, residual=RESIDUAL
    )


def action_unit_modality(columns: Sequence[str]) -> ModalityConfig:
    """Facial action units, one row a clip or frame by frame, through a perceptron."""
    return ModalityConfig(
        "action_units", "pooled", SPACE_DIM, tuple(columns), PooledSettings(overview=0.5), parts=FACE_PARTS
    )


def sequence_modality(columns: Sequence[str]) -> ModalityConfig:
    """Ready features in time order, such as word-aligned COVAREP or FACET, through a BiGRU with attention pooling."""
    return ModalityConfig(
        "sequence",
        "recurrent",
        68,
        tuple(columns),
        RecurrentSettings(hidden=96),
        parts=LabelParts(vad_share=0.3),
        residual=RESIDUAL,
    )


def word_modality(columns: Sequence[str]) -> ModalityConfig:
    """Word vectors of the table that embeds the labels: their mean with a recurrent correction."""
    return ModalityConfig("words", "words", len(columns), tuple(columns), RecurrentSettings(hidden=96))


def augment_of(modalities: Mapping[str, ModalityConfig], way: str = "usual") -> dict[str, Augment]:
    """What to do to training batches: only this package's own features of sound and faces are augmented.

    Where a recording is read by its statistics no noise is added: its floor would hide how quiet quiet moments are,
    which is among them, and on validation actors of RAVDESS that costs recall of emotions seen and held out. Neither
    is the tempo changed, which costs some recall of seen ones (`docs/ablation/audio` has both).

    Args:
        modalities: of the model.
        way: a key of `AUGMENTATIONS`.
    """
    departs = AUGMENTATIONS[way]
    if departs is None:
        return {}
    changes: dict[str, Augment] = {}
    for name, one in modalities.items():
        if one.features == "speech":
            settings = {"noise": one.encoder != "pooled", **departs}
            changes[name] = partial(augment.speech, **settings)
        elif one.features == "faces":
            changes[name] = augment.faces
    return changes


def voice_and_face_modalities(columns: Sequence[str]) -> dict[str, ModalityConfig]:
    """What reads a clip's speech and its action units, which are called so."""
    return {"audio": functionals_modality(), "video": action_unit_modality(columns)}


def voice_and_face(modalities: Mapping[str, ModalityConfig], phrases: PhraseEncoder, seed: int = 0) -> Recipe:
    """Speech and action units of one clip, trained jointly; or one of them alone."""
    kind = "functionals" if "audio" in modalities else "action_units"
    dropout = MODALITY_DROPOUT if len(modalities) > 1 else 0.0
    return Recipe(modalities, phrases, training(kind, seed, modality_dropout=dropout))
