"""Everything that rebuilds a model except its weights: modalities, encoders and label vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from emoembed.encoders.base import Encoder, Settings
from emoembed.encoders.context import ContextSettings
from emoembed.encoders.faces import FaceEncoder
from emoembed.encoders.modular import ModularEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.recurrent import RecurrentEncoder, WordEncoder
from emoembed.encoders.transformer import TransformerEncoder, TransformerSettings
from emoembed.errors import CheckpointError, InputError
from emoembed.labels.projections import LabelParts
from emoembed.labels.space import VAD_DIM
from emoembed.model.typed import typed

USUAL = Settings()
"""Marks the default settings of any encoder."""
MODALITIES = ("text", "audio", "video")
ENCODERS: dict[str, type[Encoder]] = {
    "recurrent": RecurrentEncoder,
    "face": FaceEncoder,
    "pooled": PooledEncoder,
    "modular": ModularEncoder,
    "words": WordEncoder,
    "transformer": TransformerEncoder,
}


@dataclass(frozen=True)
class ModalityConfig:
    """One modality: its features, its encoder, and the size of its space."""

    features: str  # name of the feature set, as `features/` names it
    encoder: str  # a key of ENCODERS
    embed_dim: int
    columns: tuple[str, ...] = ()  # names of the input columns, in order; empty if single columns have no meaning
    settings: Settings = USUAL  # settings of the encoder; by default those of `settings_type()`
    parts: LabelParts = field(
        default_factory=LabelParts
    )  # shares of the label features in the label points of this modality
    residual: int = 0  # size of the residual item features, used only for few-shot labels; see `Residual`

    @property
    def point_dim(self) -> int:
        """Size of the points of items and labels: the embedding, then the residual features."""
        return self.embed_dim + self.residual

    @property
    def longest(self) -> int:
        """Maximum frames per item: 30 s of speech (samples or 100 frames/s), or 5 min of faces (10 frames/s)."""
        return 480_000 if self.features == "waveform" else 3000

    @property
    def trunk_config(self) -> dict[str, Any]:
        """Configuration of the transformer. Raises InputError if the encoder is not a transformer."""
        if not isinstance(self.settings, TransformerSettings):
            raise InputError(f"the encoder of this modality must be a transformer; it is the {self.encoder} encoder")
        return self.settings.trunk_config

    def with_settings(self, **changes: Any) -> ModalityConfig:
        """A copy with other settings of the encoder."""
        return replace(self, settings=replace(self.settings, **changes))

    def build(self) -> Encoder:
        """Build the encoder, untrained."""
        return ENCODERS[self.encoder](max(len(self.columns), 1), self.embed_dim, self.settings)

    def __post_init__(self) -> None:
        if self.encoder not in ENCODERS:
            raise CheckpointError(f"encoder {self.encoder!r} is unknown; choose from {', '.join(ENCODERS)}")
        kind = ENCODERS[self.encoder].settings_type
        if self.settings is USUAL:
            object.__setattr__(self, "settings", kind())
        if not isinstance(self.settings, kind):
            raise InputError(
                f"settings of the {self.encoder} encoder must be {kind.__name__}; given {self.settings!r:.80}"
            )
        reserved_dim = VAD_DIM * (self.parts.vad_share > 0) + self.parts.cue_dim
        if self.embed_dim <= reserved_dim and self.parts.text_share > 0.0:
            raise InputError(
                f"embed_dim must exceed {reserved_dim}, to leave room for the text vector; given {self.embed_dim}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModalityConfig:
        """The configuration from the values of `dataclasses.asdict`."""
        encoder = values["encoder"]
        if encoder not in ENCODERS:
            raise CheckpointError(f"encoder {encoder!r:.40} is unknown; choose from {', '.join(ENCODERS)}")
        settings = typed(ENCODERS[encoder].settings_type, values["settings"])
        return typed(cls, {**values, "settings": settings, "parts": typed(LabelParts, values["parts"])})


@dataclass(frozen=True)
class ModelConfig:
    """Everything that rebuilds a model except its weights. It contains no class count."""

    modalities: dict[str, ModalityConfig]
    phrase_dim: int  # size of the phrase vectors that label features are computed from
    phrases: str = "text"  # what embeds labels: "text", the text modality's transformer, or "table", the word table
    context: ContextSettings | None = None  # the context of dialogues, if it was trained

    def __post_init__(self) -> None:
        unknown = [name for name in self.modalities if name not in MODALITIES]
        if unknown or not self.modalities:
            raise InputError(
                f"modalities must be one or more of {', '.join(MODALITIES)}; given {list(self.modalities)}"
            )
        if self.phrases not in ("text", "table"):
            raise InputError(f"phrases must be 'text' or 'table'; given {self.phrases!r}")

    @property
    def embed_dims(self) -> dict[str, int]:
        """Modality -> size of its embedding."""
        return {name: modality.embed_dim for name, modality in self.modalities.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; without `context` if there is none."""
        values = asdict(self)
        return values if self.context else {key: value for key, value in values.items() if key != "context"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The configuration from the values of `to_dict`."""
        modalities = {name: ModalityConfig.from_dict(settings) for name, settings in values["modalities"].items()}
        context = typed(ContextSettings, values["context"]) if values.get("context") else None
        return typed(cls, {**values, "modalities": modalities, "context": context})
