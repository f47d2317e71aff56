"""What rebuilds a model but its weights: modalities, encoders, the space of labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.recurrent import RecurrentEncoder, WordEncoder
from emoembed.encoders.spectrogram import SpectrogramEncoder
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import CheckpointError, InputError
from emoembed.labels.projections import LabelParts
from emoembed.labels.space import CUE_DIM, VAD_DIM

MODALITIES = ("text", "audio", "video")
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
    residual: int = 0  # directions of an item that no word says, for examples to be told by: see Residual

    @property
    def point_dim(self) -> int:
        """Size of an item's and of a label's point: what words say, and what only examples do."""
        return self.embed_dim + self.residual

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
        parts = {**values["parts"], "vad_weights": tuple(values["parts"]["vad_weights"])}
        return cls(**{**values, "columns": tuple(values["columns"]), "parts": LabelParts(**parts)})


@dataclass(frozen=True)
class ModelConfig:
    """Everything that rebuilds a model but its weights. Nothing in it counts classes."""

    modalities: dict[str, ModalityConfig]
    phrase_dim: int  # size of the vectors labels come from
    phrases: str = "text"  # "text": the text modality's transformer embeds labels; "table": the word table does

    def __post_init__(self) -> None:
        unknown = [name for name in self.modalities if name not in MODALITIES]
        if unknown or not self.modalities:
            raise InputError(f"modalities are some of {', '.join(MODALITIES)}; given {list(self.modalities)}")
        if self.phrases not in ("text", "table"):
            raise InputError(f"phrases is 'text' or 'table'; given {self.phrases!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The configuration `to_dict` wrote."""
        modalities = {name: ModalityConfig.from_dict(settings) for name, settings in values["modalities"].items()}
        return cls(**{**values, "modalities": modalities})
