"""What rebuilds a model but its weights: modalities, encoders, the space of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.recurrent import LastStepEncoder, RecurrentEncoder, WordEncoder
from emoembed.encoders.spectrogram import SpectrogramEncoder
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import CheckpointError, InputError
from emoembed.labels.emotion import Label, canonical
from emoembed.labels.projections import PROJECTIONS, LabelParts
from emoembed.labels.space import CUE_DIM, VAD_DIM

MODALITIES = ("text", "audio", "video")
ENCODERS = {
    "recurrent": RecurrentEncoder,
    "spectrogram": SpectrogramEncoder,
    "face": FaceEncoder,
    "pooled": PooledEncoder,
    "last-step": LastStepEncoder,
    "words": WordEncoder,
    "transformer": TransformerEncoder,
}


@dataclass(frozen=True)
class ModalityConfig:
    """One modality: what it reads, with which encoder, into a space of what size."""

    features: str  # name of the feature set, as `features/` names it
    encoder: str  # a key of ENCODERS
    embed_dim: int
    columns: tuple[
        str, ...
    ] = ()  # names of the input's columns, in order; empty where they have no meaning of their own
    settings: dict[str, Any] = field(default_factory=dict)  # further arguments of the encoder
    parts: LabelParts = field(
        default_factory=LabelParts
    )  # what of a label's features its point in this modality is made of
    seen: tuple[str, ...] = ()  # labels this modality's training saw examples of
    projection: str = "isometry"  # of labels: see LabelProjection; "linear" or "none", without scaling, as in mtee
    detail: int = 0  # directions of an item that no word says, for examples to be told by: see Detail

    @property
    def point_dim(self) -> int:
        """Size of an item's and of a label's point: what words say, and what only examples do."""
        return self.embed_dim + self.detail

    @property
    def longest(self) -> int:
        """How many frames of an item are read: 30 s of speech, as samples or at 100 a second; 5 min of faces at 10."""
        return 480_000 if self.features == "waveform" else 3000

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise CheckpointError(f"encoder {self.encoder!r} is unknown; there are {', '.join(ENCODERS)}")
        if self.projection not in PROJECTIONS:
            raise CheckpointError(f"projection {self.projection!r} is unknown; there are {', '.join(PROJECTIONS)}")
        ready = VAD_DIM * (self.parts.vad_share > 0) + CUE_DIM * (self.parts.cue_share > 0)
        if self.embed_dim <= ready and self.parts.text_share > 0.0:
            raise InputError(f"embed_dim must exceed {ready} to hold words beside the rest; given {self.embed_dim}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModalityConfig:
        """The configuration `dataclasses.asdict` wrote, its tuples as JSON's lists."""
        parts = {**values["parts"], "vad_weights": tuple(values["parts"]["vad_weights"])}
        names = {key: tuple(values[key]) for key in ("columns", "seen")}
        return cls(**{**values, **names, "parts": LabelParts(**parts)})


@dataclass(frozen=True)
class ModelConfig:
    """Everything that rebuilds a model but its weights. Nothing in it counts classes."""

    modalities: dict[str, ModalityConfig]
    phrase_dim: int  # size of the vectors labels come from
    phrases: str = "text"  # "text": the text modality's transformer embeds labels; "table": the word table does
    similarity: str = "cosine"  # with a learned scale and bias; "dot": the raw product, as in mtee
    fusion: str = "mean"  # weighted, over the modalities an item has; "linear": a learned sum, as in mtee
    label_space: str = "meaning"  # LabelSpace: prompts, centred, and valence-arousal-dominance; "words": WordSpace
    labels: tuple[str, ...] = ()  # what `predict` scores when the caller names none
    adapted: tuple[str, ...] = ()  # labels with few-shot vectors of their own
    provenance: dict[str, Any] = field(default_factory=dict)  # corpora, seeds, licence: for the card

    def __post_init__(self) -> None:
        unknown = [name for name in self.modalities if name not in MODALITIES]
        if unknown or not self.modalities:
            raise InputError(f"modalities are some of {', '.join(MODALITIES)}; given {list(self.modalities)}")
        choices = {
            "phrases": ("text", "table"),
            "similarity": ("cosine", "dot"),
            "fusion": ("mean", "linear"),
            "label_space": ("meaning", "words"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {' or '.join(map(repr, known))}; given {getattr(self, name)!r}")

    @classmethod
    def mtee(
        cls, columns: Mapping[str, tuple[str, ...]], phrase_dim: int = 300, audio_dim: int = 200, video_dim: int = 100
    ) -> ModelConfig:
        """The model of Dai et al. 2020 as their code has it: modality-transferable emotion embeddings.

        A two-layer BiLSTM a modality (300, 200 and 100 units for text, audio, video), directions summed, read at the
        last step; frozen word vectors as labels, mapped linearly into the acoustic and the visual space; raw dot
        products; one linear layer over the modalities, started at equal weights.

        This project's own default departs where that is at fault: every step is read by attention (the last one
        holds a backward state that has seen one frame), padding is masked, features are standardised, label
        projections start from and are held near an isometry (with few seen labels a free linear map lands unseen ones
        anywhere), similarity is a scaled cosine, and fusion passes over modalities an item lacks.

        Args:
            columns: modality -> names of its features' columns; text are word vectors of the labels' own table.
            phrase_dim: size of the word vectors, and of the text space.
            audio_dim, video_dim: sizes of the other spaces.
        """
        sizes = {"text": phrase_dim, "audio": audio_dim, "video": video_dim}
        modalities = {
            name: ModalityConfig(
                "sequence", "last-step", sizes[name], tuple(there), projection="none" if name == "text" else "linear"
            )
            for name, there in columns.items()
        }
        return cls(modalities, phrase_dim, "table", similarity="dot", fusion="linear", label_space="words")

    @property
    def few_shot(self) -> dict[str, dict[str, int]]:
        """Of each label moved by examples, how many there were by modality."""
        counts: dict[str, dict[str, int]] = self.provenance.get("few_shot", {})
        return counts

    @property
    def described(self) -> dict[str, Label]:
        """Labels that were taught with a description, which holds wherever their name alone is given."""
        known: dict[str, dict[str, Any]] = self.provenance.get("described", {})
        return {name: Label(**said) for name, said in known.items()}

    @property
    def seen(self) -> tuple[str, ...]:
        """Labels that training saw examples of, in any modality."""
        return tuple(dict.fromkeys(label for one in self.modalities.values() for label in one.seen))

    @property
    def known(self) -> tuple[str, ...]:
        """Labels that training saw, and those taught since, each once."""
        return tuple({canonical(label): label for label in (*self.seen, *self.adapted)}.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The configuration `to_dict` wrote."""
        modalities = {name: ModalityConfig.from_dict(settings) for name, settings in values["modalities"].items()}
        names = {key: tuple(values[key]) for key in ("labels", "adapted")}
        made = cls(**{**values, **names, "modalities": modalities})
        dict(made.described)  # what describes no label is found here, and not at the first prediction
        return made
