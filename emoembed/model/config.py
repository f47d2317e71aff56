"""What rebuilds a model but its weights: modalities, encoders, the space of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.recurrent import RecurrentEncoder, WordEncoder
from emoembed.encoders.spectrogram import SpectrogramEncoder
from emoembed.encoders.transformer import TransformerEncoder, TransformerSettings
from emoembed.errors import CheckpointError, InputError
from emoembed.labels.projections import LabelParts
from emoembed.labels.space import CUE_DIM, VAD_DIM
from emoembed.model.typed import typed

USUAL = Settings()
"""The usual settings of whatever encoder."""
MODALITIES = ("text", "audio", "video")
ENCODERS: dict[str, type[Encoder]] = {
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
    settings: Settings = USUAL  # of the encoder, of its own type; by default its usual ones
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

    @property
    def trunk_config(self) -> dict[str, Any]:
        """The configuration of its transformer. Raises InputError where it has none."""
        if not isinstance(self.settings, TransformerSettings):
            raise InputError(f"a transformer is needed; this modality is read by the {self.encoder} encoder")
        return self.settings.trunk_config

    def with_settings(self, **changes: Any) -> ModalityConfig:
        """The same with other settings of its encoder."""
        return replace(self, settings=replace(self.settings, **changes))

    def build(self) -> Encoder:
        """The encoder, untrained."""
        return ENCODERS[self.encoder](max(len(self.columns), 1), self.embed_dim, self.settings)

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise CheckpointError(f"encoder {self.encoder!r} is unknown; there are {', '.join(ENCODERS)}")
        kind = ENCODERS[self.encoder].settings_type
        if self.settings is USUAL:
            object.__setattr__(self, "settings", kind())
        if not isinstance(self.settings, kind):
            raise InputError(f"settings of the {self.encoder} encoder are {kind.__name__}; given {self.settings!r:.80}")
        ready = VAD_DIM * (self.parts.vad_share > 0) + CUE_DIM * (self.parts.cue_share > 0)
        if self.embed_dim <= ready and self.parts.text_share > 0.0:
            raise InputError(f"embed_dim must exceed {ready} to hold words beside the rest; given {self.embed_dim}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModalityConfig:
        """The configuration `dataclasses.asdict` wrote."""
        encoder = values["encoder"]
        if encoder not in ENCODERS:
            raise CheckpointError(f"encoder {encoder!r:.40} is unknown; there are {', '.join(ENCODERS)}")
        settings = typed(ENCODERS[encoder].settings_type, values["settings"])
        return typed(cls, {**values, "settings": settings, "parts": typed(LabelParts, values["parts"])})


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
        return typed(cls, {**values, "modalities": modalities})
