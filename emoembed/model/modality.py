"""One modality of a model: encoder, label projection, scale, calibration and few-shot examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from emoembed.encoders.layers import point
from emoembed.labels.projections import LabelProjection
from emoembed.model.calibration import LabelTrust, Reliability
from emoembed.model.config import ModalityConfig
from emoembed.model.residual import Residual


@dataclass(frozen=True)
class Taught:
    """A few-shot label in one modality: its point and the point of its word `(point_dim,)`, and its level `()`."""

    anchor: Tensor
    word: Tensor
    level: Tensor


class Modality(nn.Module):
    """Items and labels as points of one space, with logits scale * cosine + bias.

    Args:
        config: features and encoder.
        phrase_dim: size of the phrase vectors that label features are computed from.
        seen: number of labels that its training saw.
        taught: each few-shot label, in order -> its number of examples in this modality.

    Attributes:
        background: mean point of training items `(point_dim,)`, with which few-shot examples are compared.
        shift: mean difference from the training items `(embed_dim,)`, see `transfer.attune`; zero before attuning.
        anchors: points of few-shot labels `(taught, point_dim)`; NaN for a label without examples in this modality.
        words: points of the words of these labels `(taught, point_dim)`. They decide the calibration.
        levels: numbers that are added to the logits of these labels `(taught,)`.
        examples: points of these examples `(shots, point_dim)`, label by label. Later examples are added to them.
    """

    background: Tensor
    shift: Tensor
    anchors: Tensor
    words: Tensor
    levels: Tensor
    examples: Tensor

    def __init__(
        self, config: ModalityConfig, phrase_dim: int, *, seen: int = 0, taught: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.taught = dict(taught or {})
        self.encoder = config.build()
        self.projection = LabelProjection(phrase_dim, config.embed_dim, config.parts)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-3.0))
        self.log_weight = nn.Parameter(torch.zeros(()))
        self.residual = Residual(self.encoder.features_dim, config.residual) if config.residual else None
        self.calibration = Reliability(config.point_dim, seen)
        self.register_buffer("background", torch.zeros(config.point_dim))
        self.register_buffer("shift", torch.zeros(config.embed_dim))
        self.register_buffer("anchors", torch.full((len(self.taught), config.point_dim), torch.nan))
        self.register_buffer("words", torch.full((len(self.taught), config.point_dim), torch.nan))
        self.register_buffer("levels", torch.zeros(len(self.taught)))
        self.register_buffer("examples", torch.zeros(sum(self.taught.values()), config.point_dim))

    @property
    def point_dim(self) -> int:
        """Size of points. In training they have no residual features."""
        return self.config.embed_dim if self.training else self.config.point_dim

    @property
    def scale(self) -> Tensor:
        """Factor from cosine to logit."""
        return self.log_scale.exp()

    def encode(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Points of items, `(batch, point_dim)`; NaN where an item lacks the modality.

        The first `embed_dim` columns have norm 1, and so do the residual columns.
        """
        present = lengths > 0
        if bool(present.all()):
            return self._points(frames, lengths)
        rows = frames.new_full((len(frames), self.point_dim), torch.nan)
        if bool(present.any()):
            rows[present] = self._points(frames[present], lengths[present])
        return rows

    def _points(self, frames: Tensor, lengths: Tensor) -> Tensor:
        if self.training:
            return point(self.encoder(frames, lengths))
        if self.residual is None:
            return point(point(self.encoder(frames, lengths)) - self.shift)
        features = self.encoder.read(frames, lengths)
        embedding = point(point(self.encoder.embed(features)) - self.shift)
        return torch.cat([embedding, self.residual(features)], dim=1)

    def project(self, features: Tensor) -> Tensor:
        """Label features `(labels, label_dim)` -> points `(labels, point_dim)`. The residual columns are zero."""
        points = self.projection(features)
        return nn.functional.pad(points, (0, self.point_dim - points.shape[1]))

    def apply_examples(self, points: Tensor, names: Sequence[str]) -> Tensor:
        """Points of labels `(labels, point_dim)`. A few-shot label gets the point from its examples.

        Args:
            points: points from `project`.
            names: canonical names of the labels.
        """
        order = list(self.taught)
        points = points.clone() if set(names) & set(order) else points
        for row, name in enumerate(names):
            if name in self.taught and not bool((anchor := self.anchors[order.index(name)]).isnan().any()):
                points[row] = anchor
        return points

    def examples_of(self, label: str) -> Tensor:
        """Points of the few-shot examples of a label `(shots, point_dim)`."""
        if label not in self.taught:
            return self.examples[:0]
        counts = list(self.taught.values())
        index = list(self.taught).index(label)
        return self.examples[sum(counts[:index]) : sum(counts[: index + 1])]

    def trust(self, label_points: Tensor, calibration: Reliability | None = None) -> LabelTrust:
        """Calibration of labels, from their points `(labels, point_dim)`.

        A few-shot label has the calibration of its word, and its level is added to its logits. `calibration`
        replaces the calibration of single items.
        """
        words, levels = label_points.clone(), label_points.new_zeros(len(label_points))
        for anchor, word, level in zip(self.anchors, self.words, self.levels, strict=True):
            is_taught = (label_points == anchor).all(dim=1)
            words[is_taught], levels[is_taught] = word, level
        trust = (calibration or self.calibration).of(words, self.scale)
        return replace(trust, hubness=trust.hubness - levels)

    def score(self, points: Tensor, label_points: Tensor, trust: LabelTrust | None = None) -> Tensor:
        """Logits `(batch, labels)`; NaN where an item lacks the modality.

        Outside training, the hubness of each label is subtracted if it was measured. `trust` is the calibration of the
        labels; by default it is computed from `label_points`.
        """
        if trust is None and not self.training:
            trust = self.trust(label_points)
        absence_mask = points.isnan().any(dim=1, keepdim=True)
        # NaN is set after the product; before it, the gradient of every label point would become NaN
        cosine = points.masked_fill(absence_mask, 0.0) @ label_points.T
        logits = self.scale * cosine + self.bias
        logits = logits - trust.hubness if trust else logits
        return logits.masked_fill(absence_mask, torch.nan)

    def forget_calibration(self, seen: int) -> None:
        """Reset the calibration, for a number of seen labels. The reference items stay."""
        calibration = Reliability(self.config.point_dim, seen)
        for name in ("reference", "spread", "hub_share"):
            calibration.get_buffer(name).copy_(self.calibration.get_buffer(name))
        self.calibration = calibration.to(self.shift.device)

    def teach(self, taught: Mapping[str, Taught], examples: Mapping[str, Tensor], order: Sequence[str]) -> None:
        """Set the points and levels of few-shot labels and store their examples.

        Args:
            taught: label -> what was learned. Other labels stay as they are.
            examples: label -> all its examples `(shots, point_dim)`, for the labels in `taught`.
            order: all labels that have examples in any modality.
        """
        nothing = torch.full_like(self.background, torch.nan)
        old = {
            label: Taught(*row) for label, *row in zip(self.taught, self.anchors, self.words, self.levels, strict=True)
        }
        rows = [
            taught.get(label) or old.get(label) or Taught(nothing, nothing, nothing.new_zeros(())) for label in order
        ]
        label_examples = {label: examples.get(label, self.examples_of(label)) for label in order}
        self.taught = {label: len(points) for label, points in label_examples.items()}
        if rows:
            self.anchors = torch.stack([row.anchor for row in rows])
            self.words = torch.stack([row.word for row in rows])
            self.levels = torch.stack([row.level for row in rows])
        self.examples = torch.cat([self.examples[:0], *label_examples.values()])
