"""One modality of a model: its encoder, its map of labels, its scale, its calibration, its examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from emoembed.encoders.layers import point
from emoembed.labels.projections import LabelProjection
from emoembed.model.calibration import LabelTrust, Reliability
from emoembed.model.config import ModalityConfig
from emoembed.model.residual import Residual


class Modality(nn.Module):
    """Items and labels as points of one space, and logits between them: scale * cosine + bias.

    Args:
        config: what it reads, and how.
        phrase_dim: size of the vectors that labels come from.
        seen: how many labels its training saw.
        taught: each label moved by examples, in order -> how many examples it has in this modality.

    Attributes:
        background: mean point of training items `(point_dim,)`, with which examples of a label are compared.
        shift: how far items lie from those of training `(embed_dim,)`, see `transfer.attune`; zero until then.
        anchors: points of labels moved by examples `(taught, point_dim)`; NaN where a label has none here.
        examples: the points of those examples `(shots, point_dim)`, label after label, which further ones join.
    """

    background: Tensor
    shift: Tensor
    anchors: Tensor
    examples: Tensor

    def __init__(
        self, config: ModalityConfig, phrase_dim: int, *, seen: int = 0, taught: Mapping[str, int] | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.taught = dict(taught or {})
        self.encoder = config.build()
        self.projection = LabelProjection(phrase_dim, config.embed_dim, config.parts)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(-3.0))
        self.log_weight = nn.Parameter(torch.zeros(()))
        self.residual = Residual(self.encoder.features_dim, config.residual) if config.residual else None
        self.calibration = Reliability(config.point_dim, seen)
        self.register_buffer("background", torch.zeros(config.point_dim))
        self.register_buffer("shift", torch.zeros(config.embed_dim))
        self.register_buffer("anchors", torch.full((len(self.taught), config.point_dim), torch.nan))
        self.register_buffer("examples", torch.zeros(sum(self.taught.values()), config.point_dim))

    @property
    def point_dim(self) -> int:
        """Size of points: in training they lack what only examples say."""
        return self.config.embed_dim if self.training else self.config.point_dim

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied with."""
        return self.log_scale.exp()

    def encode(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Points of items, `(batch, point_dim)`; NaN where an item lacks the modality.

        Their first `embed_dim` numbers are of length one, and so are the others.
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
        said = point(point(self.encoder.place(features)) - self.shift)
        return torch.cat([said, self.residual(features)], dim=1)

    def project(self, features: Tensor) -> Tensor:
        """Features of labels `(labels, label_dim)` -> their points `(labels, point_dim)`; zero in what no word says."""
        points = self.projection(features)
        return nn.functional.pad(points, (0, self.point_dim - points.shape[1]))

    def moved(self, points: Tensor, names: Sequence[str]) -> Tensor:
        """Points of labels `(labels, point_dim)`, those of labels with examples put where these say.

        Args:
            points: as `project` gives them.
            names: canonical, of the labels.
        """
        order = list(self.taught)
        points = points.clone() if set(names) & set(order) else points
        for row, name in enumerate(names):
            if name in self.taught and not bool((anchor := self.anchors[order.index(name)]).isnan().any()):
                points[row] = anchor
        return points

    def examples_of(self, label: str) -> Tensor:
        """The points of a label's examples `(shots, point_dim)`."""
        if label not in self.taught:
            return self.examples[:0]
        counts = list(self.taught.values())
        at = list(self.taught).index(label)
        return self.examples[sum(counts[:at]) : sum(counts[: at + 1])]

    def trust(self, label_points: Tensor) -> LabelTrust:
        """How far scores of labels can be trusted, of their points `(labels, point_dim)`."""
        return self.calibration.of(label_points, self.scale)

    def score(self, points: Tensor, label_points: Tensor, trust: LabelTrust | None = None) -> Tensor:
        """Logits `(batch, labels)`; NaN where an item lacks the modality.

        Outside training a label's hubness is taken off where it was measured. `trust` is that of the labels, where the
        caller has it.
        """
        if trust is None and not self.training:
            trust = self.trust(label_points)
        lacking = points.isnan().any(dim=1, keepdim=True)
        # NaN enters after the product: before it, its gradient would reach every label's vector
        cosine = points.masked_fill(lacking, 0.0) @ label_points.T
        raw = self.scale * cosine + self.bias
        raw = raw - trust.hubness if trust else raw
        return raw.masked_fill(lacking, torch.nan)

    def forget_calibration(self, seen: int) -> None:
        """Reset the calibration to one of so many labels seen; it keeps the reference items."""
        fresh = Reliability(self.config.point_dim, seen)
        for kept in ("reference", "spread", "hub_share"):
            fresh.get_buffer(kept).copy_(self.calibration.get_buffer(kept))
        self.calibration = fresh.to(self.shift.device)

    def teach(self, anchors: Mapping[str, Tensor], examples: Mapping[str, Tensor], order: Sequence[str]) -> None:
        """Give labels points of their own, and keep the examples these come from.

        Args:
            anchors: label -> `(point_dim,)`, of those that move; others stay where they are.
            examples: label -> `(shots, point_dim)`, of those labels.
            order: all labels that have examples in any modality.
        """
        before = {label: self.anchors[i] for i, label in enumerate(self.taught)}
        absent = torch.full_like(self.background, torch.nan)
        kept = {label: examples.get(label, self.examples_of(label)) for label in order}
        rows = [anchors.get(label, before.get(label, absent)) for label in order]
        self.taught = {label: len(points) for label, points in kept.items()}
        self.anchors = torch.stack(rows) if rows else self.anchors[:0]
        self.examples = torch.cat([self.examples[:0], *kept.values()])
