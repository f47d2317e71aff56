"""What rebuilds a model but its weights: modalities, encoders, the space of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.recurrent import RecurrentEncoder, WordEncoder
from emoembed.encoders.spectrogram import SpectrogramEncoder
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import CheckpointError, InputError
from emoembed.labels.emotion import Label, canonical
from emoembed.labels.projections import LabelParts
from emoembed.labels.space import CUE_DIM, VAD_DIM

MODALITIES = ("text", "audio", "video")
FORMER = {"similarity": "cosine", "fusion": "mean", "label_space": "meaning"}
"""Choices of checkpoints of version 3 that have one value by now."""
ENCODERS = {
    "recurrent": RecurrentEncoder,
    "spectrogram": SpectrogramEncoder,
    "face": FaceEncoder,
    "pooled": PooledEncoder,
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
        ready = VAD_DIM * (self.parts.vad_share > 0) + CUE_DIM * (self.parts.cue_share > 0)
        if self.embed_dim <= ready and self.parts.text_share > 0.0:
            raise InputError(f"embed_dim must exceed {ready} to hold words beside the rest; given {self.embed_dim}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModalityConfig:
        """The configuration `dataclasses.asdict` wrote, its tuples as JSON's lists."""
        _require_former(values, {"projection": "isometry"})
        parts = {**values["parts"], "vad_weights": tuple(values["parts"]["vad_weights"])}
        names = {key: tuple(values[key]) for key in ("columns", "seen")}
        kept = {key: value for key, value in values.items() if key != "projection"}
        return cls(**{**kept, **names, "parts": LabelParts(**parts)})


@dataclass(frozen=True)
class ModelConfig:
    """Everything that rebuilds a model but its weights. Nothing in it counts classes."""

    modalities: dict[str, ModalityConfig]
    phrase_dim: int  # size of the vectors labels come from
    phrases: str = "text"  # "text": the text modality's transformer embeds labels; "table": the word table does
    labels: tuple[str, ...] = ()  # what `predict` scores when the caller names none
    adapted: tuple[str, ...] = ()  # labels with few-shot vectors of their own
    provenance: dict[str, Any] = field(default_factory=dict)  # corpora, seeds, licence: for the card

    def __post_init__(self) -> None:
        unknown = [name for name in self.modalities if name not in MODALITIES]
        if unknown or not self.modalities:
            raise InputError(f"modalities are some of {', '.join(MODALITIES)}; given {list(self.modalities)}")
        if self.phrases not in ("text", "table"):
            raise InputError(f"phrases is 'text' or 'table'; given {self.phrases!r}")

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
        _require_former(values, FORMER)
        values = {key: value for key, value in values.items() if key not in FORMER}
        modalities = {name: ModalityConfig.from_dict(settings) for name, settings in values["modalities"].items()}
        names = {key: tuple(values[key]) for key in ("labels", "adapted")}
        made = cls(**{**values, **names, "modalities": modalities})
        dict(made.described)  # what describes no label is found here, and not at the first prediction
        return made


def _require_former(values: Mapping[str, Any], known: Mapping[str, str]) -> None:
    """Raise CheckpointError for a choice that an earlier release had and that is no more."""
    for name, value in known.items():
        if values.get(name, value) != value:
            raise CheckpointError(f"{name} {values[name]!r} is no more; train the model anew, or see evaluation.mtee")
