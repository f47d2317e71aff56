"""The model: an encoder and a label projection per modality, cosine scores, and fusion of whatever is present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn

from emoembed.cache import tensors_of, versions
from emoembed.encoders.layers import point
from emoembed.errors import CheckpointError
from emoembed.labels.emotion import Label, canonical, find, resolve
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder
from emoembed.labels.projections import LabelProjection
from emoembed.labels.space import LabelSpace
from emoembed.model.calibration import LabelTrust, Reliability
from emoembed.model.config import ENCODERS, ModelConfig
from emoembed.model.residual import Detail
from emoembed.model.scorer import Batch, Labels, Scorer


class EmotionModel(Scorer):
    """Scores any labels for a batch of features: cosine of an item's point and a label's, per modality, then fused.

    ```python
    logits = model(batch, model.embed(["joy", "anger", "awe"]))  # (batch, 3)
    ```
    """

    def __init__(self, config: ModelConfig, phrases: PhraseEncoder | None = None) -> None:
        super().__init__()
        self.config = config
        self.phrases = phrases
        self.space = LabelSpace(config.phrase_dim)
        self.encoders, self.projections = nn.ModuleDict(), nn.ModuleDict()
        self.log_scale, self.bias, self.log_weight = nn.ParameterDict(), nn.ParameterDict(), nn.ParameterDict()
        self.reliability = nn.ModuleDict()
        self.details = nn.ModuleDict()
        for name, modality in config.modalities.items():
            arguments = dict(modality.settings)
            if modality.encoder in ("recurrent", "spectrogram", "pooled", "words"):
                arguments["feature_dim"] = len(modality.columns)
            self.encoders[name] = ENCODERS[modality.encoder](embed_dim=modality.embed_dim, **arguments)
            self.projections[name] = LabelProjection(config.phrase_dim, modality.embed_dim, modality.parts)
            self.log_scale[name] = nn.Parameter(torch.tensor(10.0).log())
            self.bias[name] = nn.Parameter(torch.tensor(-3.0))
            self.log_weight[name] = nn.Parameter(torch.zeros(()))
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

    def state(self) -> tuple[Any, ...]:
        """What tells whether labels may lie elsewhere by now: two states are equal if nothing they hang on changed.

        The encoders, but for the one that embeds names, do not move labels.
        """
        parts = [part for name, part in self.named_children() if name not in ("encoders", "details")]
        if isinstance(self.phrases, SentenceEncoder):
            parts.append(self.phrases.encoder.trunk)
        return (self.config, self.phrases, versions((*self.buffers(recurse=False), *tensors_of(*parts))))

    def embed(self, labels: Labels) -> Tensor:
        """Features of labels, `(labels, label_dim)`. Raises LabelError as `labels.emotion.resolve` does."""
        if self.phrases is None:
            raise CheckpointError("this model was built without a phrase encoder; load it with from_pretrained")
        return self.space.embed(self.meant(labels), self.phrases)

    def meant(self, labels: Labels) -> dict[str, Label]:
        """`emotion.resolve`, with the description a label was taught with where the caller gives its name alone."""
        described = self.config.described
        return {
            name: described.get(canonical(name), label) if label == find(name) else label
            for name, label in resolve(labels).items()
        }

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Each modality's points, `(batch, point_dim)`; in training `(batch, embed_dim)`, without what no word says.

        Their first `embed_dim` numbers are of length one, and so are the others. Rows are NaN where an item lacks the
        modality.
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

    def describe(self, labels: Mapping[str, Label]) -> None:
        """Note what names mean here, for when they alone are given."""
        said = {canonical(name): asdict(label) for name, label in labels.items()}
        if said:
            known = {**self.config.provenance.get("described", {}), **said}
            self.config = replace(self.config, provenance={**self.config.provenance, "described": known})

    def label_points(self, labels: Labels) -> dict[str, Tensor]:
        """Each modality's label points, with few-shot vectors in place of words where the model was adapted.

        A label stays where its examples put it, whatever description comes with its name; in modalities that were
        given no example of it, it lies where the description says.
        """
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
        labels never seen have them too (see `calibration`; `training.calibrate` says why the softmax's are level).
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
        return self.log_scale[modality].exp()

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
        """Each modality's logits `(batch, labels)`: scale * cosine + bias.

        Outside training the label's hubness is taken off where it was measured. Rows are NaN where an item lacks the
        modality. `known` is the labels' `label_trust`, where the caller has it.
        """
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
        """
        here = torch.stack([~matrix.isnan() for matrix in logits.values()])
        raw = []
        for name in logits:
            by_label = known[name].weight if known else here.new_ones(1)
            raw.append(self.log_weight[name].exp() * by_label)
        weighed = torch.stack(torch.broadcast_tensors(*raw))[:, None, :] * here
        return dict(zip(logits, weighed / weighed.sum(dim=0).clamp(min=1e-9), strict=True))

    def fuse(
        self, logits: Mapping[str, Tensor], known: Mapping[str, LabelTrust] | None = None, *, among: bool = False
    ) -> Tensor:
        """Weighted mean of the modalities' logits over those present, `(batch, labels)`.

        Where they are to be told `among` each other (by a softmax), what a modality says of all labels alike is taken
        off first, each row's mean: it says nothing of which, but would count where modalities weigh labels differently.
        """
        weights = self.weights(logits, known)
        if among:
            logits = {name: matrix - matrix.mean(dim=1, keepdim=True) for name, matrix in logits.items()}
        return torch.stack([weights[name] * matrix.nan_to_num(0.0) for name, matrix in logits.items()]).sum(0)

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
            size, device = self.config.modalities[modality].point_dim, self.space.centre.device
            rows = torch.full((len(names), size), torch.nan, device=device)
            rows[: len(self.config.adapted)] = self.anchors(modality)
            for label, vectors in anchors.items():
                if modality in vectors:
                    rows[names.index(label)] = vectors[modality]
            copy.register_buffer(f"anchors_{modality}", rows)
            known = [each[modality] for each in kept.values() if modality in each]
            copy.register_buffer(f"examples_{modality}", torch.cat([rows[:0], *known]))
        return copy.eval()
