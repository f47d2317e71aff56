"""The model: an encoder and a label projection per modality, cosine scores, and fusion of whatever is present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from emoembed.detail import Detail
from emoembed.encoders import (
    FaceEncoder,
    LastStepEncoder,
    PooledEncoder,
    RecurrentEncoder,
    SpectrogramEncoder,
    WordEncoder,
    point,
)
from emoembed.errors import CheckpointError, InputError
from emoembed.labels import Description, Label, canonical, resolve
from emoembed.projections import PROJECTIONS, LabelParts
from emoembed.reliability import LabelTrust, Reliability
from emoembed.transformer import TransformerEncoder
from emoembed.words import CUE_DIM, VAD_DIM, LabelSpace, PhraseEncoder, WordSpace

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

Batch = Mapping[str, tuple[Tensor, Tensor]]
"""Modality -> frames `(batch, time, feature_dim)` and lengths `(batch,)`; length 0 means the item lacks it."""


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
    def seen(self) -> tuple[str, ...]:
        """Labels that training saw examples of, in any modality."""
        return tuple(dict.fromkeys(label for one in self.modalities.values() for label in one.seen))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The configuration `to_dict` wrote."""
        modalities = {name: ModalityConfig.from_dict(settings) for name, settings in values["modalities"].items()}
        names = {key: tuple(values[key]) for key in ("labels", "adapted")}
        return cls(**{**values, **names, "modalities": modalities})


class EmotionModel(nn.Module):
    """Scores any labels for a batch of features: cosine of an item's point and a label's, per modality, then fused.

    ```python
    logits = model(batch, model.embed(["joy", "anger", "awe"]))  # (batch, 3)
    ```
    """

    def __init__(self, config: ModelConfig, phrases: PhraseEncoder | None = None) -> None:
        super().__init__()
        self.config = config
        self.phrases = phrases
        self.space: LabelSpace | WordSpace = LabelSpace(config.phrase_dim)
        if config.label_space == "words":
            self.space = WordSpace(config.phrase_dim)
        self.encoders, self.projections = nn.ModuleDict(), nn.ModuleDict()
        self.log_scale, self.bias, self.log_weight = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        self.share = nn.ParameterDict()  # of linear fusion alone
        self.reliability = nn.ModuleDict()
        self.details = nn.ModuleDict()
        for name, modality in config.modalities.items():
            arguments = dict(modality.settings)
            if modality.encoder in ("recurrent", "spectrogram", "pooled", "last-step", "words"):
                arguments["feature_dim"] = len(modality.columns)
            self.encoders[name] = ENCODERS[modality.encoder](embed_dim=modality.embed_dim, **arguments)
            self.projections[name] = PROJECTIONS[modality.projection](
                config.phrase_dim, modality.embed_dim, modality.parts
            )
            if config.similarity == "cosine":
                self.log_scale[name] = nn.Parameter(torch.tensor(10.0).log())
                self.bias[name] = nn.Parameter(torch.tensor(-3.0))
            if config.fusion == "mean":
                self.log_weight[name] = nn.Parameter(torch.zeros(()))
            else:
                self.share[name] = nn.Parameter(torch.tensor(1.0 / len(config.modalities)))
            if modality.detail:
                self.details[name] = Detail(self.encoders[name].features_dim, modality.detail)  # type: ignore[arg-type]
            self.reliability[name] = Reliability(modality.point_dim, len(modality.seen))
            self.register_buffer(f"background_{name}", torch.zeros(modality.point_dim))
            self.register_buffer(f"shift_{name}", torch.zeros(modality.embed_dim))
            self.register_buffer(f"anchors_{name}", torch.full((len(config.adapted), modality.point_dim), torch.nan))
            shots = sum(counts.get(name, 0) for counts in config.few_shot.values())
            self.register_buffer(f"examples_{name}", torch.zeros(shots, modality.point_dim))

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.config.modalities)

    def embed(self, labels: Sequence[str | Label] | Mapping[str, Description]) -> Tensor:
        """Features of labels, `(labels, label_dim)`. Raises LabelError as `labels.resolve` does."""
        if self.phrases is None:
            raise CheckpointError("this model was built without a phrase encoder; load it with from_pretrained")
        return self.space.embed(labels, self.phrases)

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Each modality's points, `(batch, point_dim)`; in training `(batch, embed_dim)`, without what no word says.

        Their first `embed_dim` numbers are of length one unless similarity is `dot`, and so are the others. Rows are
        NaN where an item lacks the modality.
        """
        points = {}
        for name, (frames, lengths) in batch.items():
            present = lengths > 0
            if bool(present.all()):
                points[name] = self._points(name, frames, lengths)
                continue
            rows = frames.new_full((len(frames), self._point_dim(name)), torch.nan)
            if bool(present.any()):
                rows[present] = self._points(name, frames[present], lengths[present])
            points[name] = rows
        return points

    def _points(self, name: str, frames: Tensor, lengths: Tensor) -> Tensor:
        encoder = self.encoders[name]
        if self.config.similarity == "dot":
            return encoder(frames, lengths).float()
        if self.training:
            return point(encoder(frames, lengths))
        if name not in self.details:
            return point(point(encoder(frames, lengths)) - self.shift(name))
        features = encoder.read(frames, lengths)  # type: ignore[operator]
        said = point(point(encoder.place(features)) - self.shift(name))  # type: ignore[operator]
        return torch.cat([said, self.details[name](features)], dim=1)

    def _point_dim(self, name: str) -> int:
        modality = self.config.modalities[name]
        return modality.embed_dim if self.training else modality.point_dim

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Label features `(labels, label_dim)` -> each modality's label points, of the size of items' points.

        What no word says is zero in them.
        """
        points = {}
        for name, projection in self.projections.items():
            said = projection(features)
            points[name] = torch.nn.functional.pad(said, (0, self._point_dim(name) - said.shape[1]))
        return points

    def label_points(self, labels: Sequence[str | Label] | Mapping[str, Description]) -> dict[str, Tensor]:
        """Each modality's label points, with few-shot vectors in place of words where the model was adapted."""
        points = self.project(self.embed(labels))
        names = [canonical(name) for name in resolve(labels)]
        for row, name in enumerate(names):
            if name not in self.config.adapted:
                continue
            for modality, matrix in points.items():
                anchor = self.anchors(modality)[self.config.adapted.index(name)]
                if not bool(anchor.isnan().any()):
                    matrix[row] = anchor
        return points

    def anchors(self, modality: str) -> Tensor:
        """Few-shot label points `(adapted, point_dim)` of a modality; NaN where a label had no such examples."""
        return self.get_buffer(f"anchors_{modality}")

    def examples(self, label: str, modality: str) -> Tensor:
        """The points of a label's examples `(shots, point_dim)`, which further ones join."""
        counts = [counts.get(modality, 0) for counts in self.config.few_shot.values()]
        if label not in self.config.few_shot:
            return self.get_buffer(f"examples_{modality}")[:0]
        at = list(self.config.few_shot).index(label)
        return self.get_buffer(f"examples_{modality}")[sum(counts[:at]) : sum(counts[: at + 1])]

    def background(self, modality: str) -> Tensor:
        """Mean point of a modality's training items, `(point_dim,)`: what examples of a label are compared with."""
        return self.get_buffer(f"background_{modality}")

    def shift(self, modality: str) -> Tensor:
        """How far a modality's items lie from those of training, `(embed_dim,)`: see `attune`; zero until then."""
        return self.get_buffer(f"shift_{modality}")

    def saw(self, seen: Mapping[str, Sequence[str]]) -> None:
        """Note which labels each modality's training saw.

        What was known of a modality's reliability is forgotten, but for what its items look like.
        """
        modalities = {
            name: replace(one, seen=tuple(seen.get(name, one.seen))) for name, one in self.config.modalities.items()
        }
        self.config = replace(self.config, modalities=modalities)
        for name in seen:
            fresh = Reliability(modalities[name].point_dim, len(modalities[name].seen))
            for kept in ("reference", "spread", "hub_share"):
                fresh.get_buffer(kept).copy_(self.trust(name).get_buffer(kept))
            self.reliability[name] = fresh.to(self.space.centre.device)

    def calibrated(
        self, logits: Mapping[str, Tensor], known: Mapping[str, LabelTrust], *, multi_label: bool
    ) -> dict[str, Tensor]:
        """Logits whose softmax, or whose sigmoid when `multi_label`, is a probability.

        Slope and offset are smooth functions of the label's point, fitted on validation rows of seen labels, so that
        labels never seen have them too (see `reliability`).
        """
        return {
            name: known[name].slopes[multi_label] * matrix + known[name].offsets[multi_label]
            for name, matrix in logits.items()
        }

    def label_trust(self, label_points: Mapping[str, Tensor]) -> dict[str, LabelTrust]:
        """What each modality knows of labels, of their points `(labels, point_dim)`."""
        return {name: self.trust(name).of(points, self.scale(name)) for name, points in label_points.items()}

    def scale(self, modality: str) -> Tensor:
        """What a modality's cosines are multiplied with."""
        return self.log_scale[modality].exp() if modality in self.log_scale else self.space.centre.new_ones(())

    def trust(self, modality: str) -> Reliability:
        """What is known of a modality's reliability."""
        known = self.reliability[modality]
        assert isinstance(known, Reliability)
        return known

    def score(
        self,
        points: Mapping[str, Tensor],
        label_points: Mapping[str, Tensor],
        known: Mapping[str, LabelTrust] | None = None,
    ) -> dict[str, Tensor]:
        """Each modality's logits `(batch, labels)`: scale * cosine + bias, or the raw dot product.

        Outside training the label's hubness is taken off where it was measured. Rows are NaN where an item lacks the
        modality. `known` is the labels' `label_trust`, where the caller has it.
        """
        if self.config.similarity == "dot":
            return {name: items @ label_points[name].T for name, items in points.items()}
        if known is None and not self.training:
            known = self.label_trust({name: label_points[name] for name in points})
        logits = {}
        for name, items in points.items():
            lacking = items.isnan().any(dim=1, keepdim=True)
            # NaN enters after the product: before it, its gradient would reach every label's vector
            cosine = items.masked_fill(lacking, 0.0) @ label_points[name].T
            raw = self.scale(name) * cosine + self.bias[name]
            raw = raw - known[name].hubness if known else raw
            logits[name] = raw.masked_fill(lacking, torch.nan)
        return logits

    def weights(self, logits: Mapping[str, Tensor], known: Mapping[str, LabelTrust] | None = None) -> dict[str, Tensor]:
        """Each modality's share of each label's score, `(batch, labels)`, summing to one over those an item has.

        A modality counts by how reliable it is, and, given the labels' trust, by how reliable it is for each label.
        With linear fusion the learned weights as they are, which need not sum to one.
        """
        here = torch.stack([~matrix.isnan() for matrix in logits.values()])
        if self.config.fusion == "linear":
            learned = torch.stack([self.share[name] for name in logits])[:, None, None] * here
            return dict(zip(logits, learned, strict=True))
        raw = []
        for name in logits:
            by_label = known[name].weight if known else here.new_ones(1)
            raw.append(self.log_weight[name].exp() * by_label)
        weighed = torch.stack(torch.broadcast_tensors(*raw))[:, None, :] * here
        return dict(zip(logits, weighed / weighed.sum(dim=0).clamp(min=1e-9), strict=True))

    def fuse(self, logits: Mapping[str, Tensor], known: Mapping[str, LabelTrust] | None = None) -> Tensor:
        """Weighted mean of the modalities' logits over those present, `(batch, labels)`."""
        weights = self.weights(logits, known)
        return torch.stack([weights[name] * matrix.nan_to_num(0.0) for name, matrix in logits.items()]).sum(0)

    def forward(self, batch: Batch, features: Tensor) -> Tensor:
        """A batch and label features `(labels, label_dim)` -> fused logits `(batch, labels)`."""
        return self.fuse(self.score(self.encode(batch), self.project(features)))

    def adapted(
        self, anchors: Mapping[str, Mapping[str, Tensor]], examples: Mapping[str, Mapping[str, Tensor]]
    ) -> EmotionModel:
        """A copy in which labels have vectors of their own, and know all the examples those come from.

        Args:
            anchors: label -> modality -> `(point_dim,)`.
            examples: label -> modality -> `(shots, point_dim)`.
        """
        names = tuple(dict.fromkeys((*self.config.adapted, *anchors)))
        kept = {
            label: {m: self.examples(label, m) for m in self.modalities if m in self.config.few_shot.get(label, {})}
            | dict(examples.get(label, {}))
            for label in names
        }
        counts = {label: {name: len(points) for name, points in each.items()} for label, each in kept.items()}
        copy = deepcopy(self)
        copy.config = replace(
            self.config,
            adapted=names,
            labels=tuple(dict.fromkeys((*self.config.labels, *names))) if self.config.labels else (),
            provenance={**self.config.provenance, "few_shot": counts},
        )
        for modality in self.modalities:
            rows = torch.full((len(names), self.config.modalities[modality].point_dim), torch.nan)
            rows[: len(self.config.adapted)] = self.anchors(modality)
            for label, vectors in anchors.items():
                if modality in vectors:
                    rows[names.index(label)] = vectors[modality]
            copy.register_buffer(f"anchors_{modality}", rows)
            known = [each[modality] for each in kept.values() if modality in each]
            copy.register_buffer(f"examples_{modality}", torch.cat([rows[:0], *known]))
        return copy.eval()
