"""Encoders and training settings of each modality, for the shipped checkpoints and for all experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from emoembed.encoders import whisper
from emoembed.encoders.faces import FaceSettings
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.encoders.modular import ModularSettings, Path
from emoembed.encoders.pooled import PooledSettings, StatisticsSettings
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.encoders.transformer import TransformerSettings
from emoembed.errors import InputError
from emoembed.features import audio
from emoembed.labels.phrases import PhraseEncoder
from emoembed.labels.projections import LabelParts
from emoembed.labels.space import VAD_DIM
from emoembed.model.config import ModalityConfig
from emoembed.model.model import EmotionModel
from emoembed.training import augment
from emoembed.training.config import TrainConfig
from emoembed.training.loop import Augment
from emoembed.training.objective import Teacher


@dataclass(frozen=True)
class Stage:
    """A stage of training: some weights are trained, with separate settings."""

    trained: tuple[str, ...]
    """Patterns of the names of the weights that are trained, such as `modalities.audio.encoder.last.*`."""
    config: TrainConfig


@dataclass(frozen=True)
class Recipe:
    """All settings of a model except its rows: its modalities, its phrase encoder and its training.

    `fit.train` treats all recipes in the same way, for a manifest, a corpus with held-out emotions or a shipped
    checkpoint.
    """

    modalities: Mapping[str, ModalityConfig]
    phrases: PhraseEncoder  # embeds labels; a text transformer starts from a sentence encoder's weights
    config: TrainConfig
    base: EmotionModel | None = None  # a model over the same phrase encoder, whose label space is copied
    weights: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Modality -> the weights of the pretrained transformer that training starts from."""
    start: Mapping[str, Tensor] = field(default_factory=dict)
    """Name in the model -> weight that training starts from, instead of a random one."""
    stages: tuple[Stage, ...] = ()
    """Stages of training, in order; by default all weights are trained with `config`."""
    augmented: bool = True  # change training batches of faces at random
    teacher: Teacher | None = None  # a larger model's answers for the training rows, which are learned as well
    facial_actions: FacialActionReader | None = None
    """Face networks start from its weights, and their ridge maps learn the actions that it reads."""
    strength: float | None = None  # of text adapters after training; None: as in the modality's settings


TEXT_RANK = 16
TEXT_STRENGTH = 0.6
"""Strength of text adapters that were trained on labels alone: 0 is the pretrained encoder, 1 the trained one."""
TEXT_RESIDUAL, RESIDUAL = 128, 64
"""Number of residual item features of texts, and of sounds and faces. They are used only for few-shot labels."""
SEQUENCE_DIM = 68
"""Dimension of the spaces of ready feature sequences, which have no cue: 4 for valence, arousal, dominance and a
constant, 64 for text."""
TEXT_DIRECTIONS = 32
"""Number of directions of the text vector in the spaces of sound and faces."""
TEXT_PARTS = LabelParts(vad_share=0.1)
SPEECH_PARTS = LabelParts(vad_share=0.5, cue_share=0.4, cue="sounds", vad_weights=(0.6, 1.0, 1.0, 0.8))
FACE_PARTS = LabelParts(vad_share=0.5, cue_share=0.4, cue="looks")
"""Shares of the label parts, chosen on validation actors of RAVDESS with held-out emotions:
`docs/ablation/label-parts`."""
FACE_OVERVIEW = 0.5
"""Weight of the ridge map, which is added to the output of the face network; see `encoders.layers.joined`."""
MODALITY_DROPOUT = 0.3
"""Probability that training removes sound or face from a clip, so that the model can also use only one of them."""
LONGEST_SPEECH = 3000
"""Frames of speech that Whisper reads: 30 s."""
REVISION = {"text": 7, "audio": 8, "video": 6}
"""Increase a number when a change of features, encoders or training makes the cached models of a modality stale."""
TRAINING = {
    "text": TrainConfig(
        epochs=2,
        batch_size=64,
        learning_rate=1e-3,
        weight_decay=0.0,
        patience=3,
        lock_labels=True,
        max_frames=64,
    ),
    "audio": TrainConfig(
        epochs=25,
        batch_size=32,
        learning_rate=2e-3,
        patience=25,
        pull=1.0,
        label_smoothing=0.1,
        max_frames=LONGEST_SPEECH,
    ),
    "video": TrainConfig(
        epochs=30,
        batch_size=128,
        learning_rate=2e-3,
        patience=30,
        pull=0.1,
        adjust=True,
        label_smoothing=0.1,
        weight_decay=0.05,
        lock_labels=True,
    ),
    "sequence": TrainConfig(
        epochs=30, batch_size=64, learning_rate=1e-3, patience=8, positive_weight=True, modality_dropout=0.2, bf16=False
    ),
    # Dai et al. 2020: Adam 1e-3, batches of 64, weighted BCE; they lower the rate on plateaus, we use a cosine
    "mtee": TrainConfig(
        epochs=100, batch_size=64, learning_rate=1e-3, weight_decay=0.0, patience=8, positive_weight=True, bf16=False
    ),
    "action_units": TrainConfig(
        epochs=60, batch_size=32, learning_rate=2e-3, patience=20, pull=1.0, balance=0.5, bf16=False
    ),
}
# many corpora together; a larger encoder is trained first, and the model learns its answers
TRAINING["teacher"] = replace(
    TRAINING["text"], one_question=True, adjust=True, epochs=1, batch_size=48, learning_rate=5e-4
)
TRAINING["texts"] = replace(TRAINING["text"], one_question=True, adjust=True, epochs=4, imitate=5.0)
TRAINING["pixels"] = replace(TRAINING["video"], batch_size=16)  # a training step of a transformer needs much memory


def training(kind: str, seed: int = 0, **changes: Any) -> TrainConfig:
    """Training settings of a kind of model (a key of `TRAINING`), with a seed and optional changes."""
    return replace(TRAINING[kind], seed=seed, **changes)


def kind_of(modality: str, config: ModalityConfig) -> str:
    """The key of `TRAINING` for a modality with this configuration."""
    if config.features == "pixels":
        return "pixels"
    return "audio" if config.features == "words" else modality


def space_dim(parts: LabelParts) -> int:
    """Dimension of a space of sound or faces: valence, arousal, dominance and 1; the cue; `TEXT_DIRECTIONS` of text."""
    return VAD_DIM + parts.cue_dim + TEXT_DIRECTIONS


def text_modality(trunk_config: dict[str, Any], rank: int = TEXT_RANK, *, rated: bool = True) -> ModalityConfig:
    """Text: a transformer with trained low-rank adapters. Without the adapters, it embeds labels.

    `rated` gives texts and labels valence, arousal and dominance, which need fitting on rated sentences.
    """
    hidden = int(trunk_config["hidden_size"])
    parts = TEXT_PARTS if rated else LabelParts()
    settings = TransformerSettings(trunk_config, rank, vad_share=parts.vad_share)
    size = hidden + VAD_DIM if rated else hidden
    return ModalityConfig("wordpieces", "transformer", size, ("token",), settings, parts=parts, residual=TEXT_RESIDUAL)


def audio_modality(layers: Mapping[str, Any] = whisper.DEFAULT) -> ModalityConfig:
    """Speech: mean and deviation over time of the states of Whisper's first layers, with a small perceptron.

    Args:
        layers: configuration of these layers; by default those of `base`.
    """
    return ModalityConfig(
        "speech",
        "pooled",
        space_dim(SPEECH_PARTS),
        audio.SPEECH.columns,
        PooledSettings(summary="whisper", whisper=dict(layers), overview=0.5),
        parts=SPEECH_PARTS,
        residual=RESIDUAL,
    )


def modular_modality(modality: ModalityConfig, path: Path = ()) -> ModalityConfig:
    """A modality of statistics, with an encoder of modules instead of its perceptron; see `encoders.modular`."""
    if not isinstance(modality.settings, StatisticsSettings):
        raise InputError(
            f"modules read statistics over time; the {modality.encoder} encoder reads frames. Use speech statistics, "
            "action units or ready features"
        )
    statistics = modality.settings
    settings = ModularSettings(dropout=0.0, summary=statistics.summary, whisper=statistics.whisper, path=path)
    return replace(modality, encoder="modular", settings=settings)


def video_modality() -> ModalityConfig:
    """Faces: a small CNN over each 48x48 face, plus a ridge map on the features that the CNN has learned."""
    return ModalityConfig(
        "faces",
        "face",
        space_dim(FACE_PARTS),
        settings=FaceSettings(overview=FACE_OVERVIEW),
        parts=FACE_PARTS,
        residual=RESIDUAL,
    )


def action_unit_modality(columns: Sequence[str]) -> ModalityConfig:
    """Facial action units, per clip or per frame, with a multilayer perceptron."""
    return ModalityConfig(
        "action_units",
        "pooled",
        space_dim(FACE_PARTS),
        tuple(columns),
        PooledSettings(overview=0.5),
        parts=FACE_PARTS,
    )


def sequence_modality(columns: Sequence[str]) -> ModalityConfig:
    """Precomputed feature sequences, such as word-aligned COVAREP or FACET: a BiGRU with attention pooling."""
    return ModalityConfig(
        "sequence",
        "recurrent",
        SEQUENCE_DIM,
        tuple(columns),
        RecurrentSettings(hidden=96),
        parts=LabelParts(vad_share=0.3),
        residual=RESIDUAL,
    )


def word_modality(columns: Sequence[str]) -> ModalityConfig:
    """Text as word vectors of the table that embeds the labels: their mean plus a recurrent correction."""
    return ModalityConfig("words", "words", len(columns), tuple(columns), RecurrentSettings(hidden=96))


def augment_of(modalities: Mapping[str, ModalityConfig]) -> dict[str, Augment]:
    """Modality -> augmentation of its training batches. Only the face images of this package are augmented.

    Speech has copies through other channels instead (`corpus_rows.audio_data`).
    """
    return {name: augment.faces for name, modality in modalities.items() if modality.features == "faces"}


def voice_and_face_modalities(
    columns: Sequence[str], layers: Mapping[str, Any] = whisper.DEFAULT
) -> dict[str, ModalityConfig]:
    """Modalities for the speech of a clip and for its action units in these columns."""
    return {"audio": audio_modality(layers), "video": action_unit_modality(columns)}


def voice_and_face(modalities: Mapping[str, ModalityConfig], phrases: PhraseEncoder, seed: int = 0) -> Recipe:
    """Recipe for speech and action units of a clip, trained jointly, or for one of them."""
    kind = "audio" if "audio" in modalities else "action_units"
    dropout = MODALITY_DROPOUT if len(modalities) > 1 else 0.0
    return Recipe(modalities, phrases, training(kind, seed, modality_dropout=dropout))
