"""The model: points of items and labels in each modality's space, cosine scores, and fusion of whatever is present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from emoembed.cache import tensors_of, versions
from emoembed.encoders.transformer import TransformerEncoder
from emoembed.errors import CheckpointError
from emoembed.labels.emotion import Label, Labels, canonical, find, resolve
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder
from emoembed.labels.space import LabelSpace
from emoembed.model.calibration import LabelTrust
from emoembed.model.config import ModelConfig
from emoembed.model.modality import Modality
from emoembed.model.scorer import Batch, Scorer
from emoembed.model.state import State


class EmotionModel(Scorer):
    """Scores any labels for a batch of features: cosine of an item's point and a label's, per modality, then fused.

    ```python
    logits = model(batch, model.embed(["joy", "anger", "awe"]))  # (batch, 3)
    ```

    What someone holds is not changed: `with_state`, `with_seen`, `taught` give copies.

    Args:
        config: the architecture.
        phrases: what embeds labels.
        state: what was learned beside the weights.

    Attributes:
        modalities: name -> `Modality`.
        space: labels -> features of labels.
    """

    def __init__(self, config: ModelConfig, phrases: PhraseEncoder | None = None, state: State | None = None) -> None:
        super().__init__()
        self.config, self.state = config, state or State()
        self.phrases = phrases
        self.space = LabelSpace(config.phrase_dim)
        self.modalities = nn.ModuleDict(
            {
                name: Modality(
                    modality,
                    config.phrase_dim,
                    seen=len(self.state.seen_in(name)),
                    taught={label: counts.get(name, 0) for label, counts in self.state.taught.items()},
                )
                for name, modality in config.modalities.items()
            }
        )

    def modality(self, name: str) -> Modality:
        """One modality."""
        return cast(Modality, self.modalities[name])

    def each_modality(self) -> list[tuple[str, Modality]]:
        """Names and modalities."""
        return [(name, self.modality(name)) for name in self.modalities]

    def versions(self) -> tuple[Any, ...]:
        """What tells whether labels may lie elsewhere by now: equal if nothing they hang on changed.

        Encoders, but for the one that embeds names, do not move labels.
        """
        parts: list[nn.Module] = [self.space]
        buffers: list[Tensor] = []
        for _, modality in self.each_modality():
            parts += [modality.projection, modality.calibration]
            buffers += [*modality.buffers(recurse=False), *modality.parameters(recurse=False)]
        if isinstance(self.phrases, SentenceEncoder):
            parts.append(self.phrases.encoder.trunk)
        return (self.config, self.state, self.phrases, versions((*buffers, *tensors_of(*parts))))

    @property
    def phrase_encoder(self) -> PhraseEncoder:
        """What embeds labels. Raises CheckpointError where the model was built without one."""
        if self.phrases is None:
            raise CheckpointError("this model was built without a phrase encoder; load it with from_pretrained")
        return self.phrases

    def embed(self, labels: Labels) -> Tensor:
        """Features of labels, `(labels, label_dim)`. Raises LabelError as `labels.emotion.resolve` does."""
        return self.space.embed(self.meant(labels), self.phrase_encoder)

    def meant(self, labels: Labels) -> dict[str, Label]:
        """`emotion.resolve`, with the description a label was taught with where the caller gives its name alone."""
        described = self.state.described
        return {
            name: described.get(canonical(name), label) if label == find(name) else label
            for name, label in resolve(labels).items()
        }

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Each modality's points `(batch, point_dim)`; see `Modality.encode`."""
        return {name: self.modality(name).encode(*read) for name, read in batch.items()}

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Features of labels `(labels, label_dim)` -> each modality's points of labels `(labels, point_dim)`."""
        return {name: modality.project(features) for name, modality in self.each_modality()}

    def label_points(self, labels: Labels) -> dict[str, Tensor]:
        """Each modality's label points, with few-shot vectors in place of words where the model was adapted.

        A label stays where its examples put it, whatever description comes with its name; in modalities that were
        given no example of it, it lies where the description says.
        """
        names = [canonical(name) for name in resolve(labels)]
        points = self.project(self.embed(labels))
        return {name: self.modality(name).moved(matrix, names) for name, matrix in points.items()}

    def label_trust(self, label_points: Mapping[str, Tensor]) -> dict[str, LabelTrust]:
        """How far each modality's scores of labels can be trusted, of their points `(labels, point_dim)`."""
        return {name: self.modality(name).trust(points) for name, points in label_points.items()}

    def score(
        self,
        points: Mapping[str, Tensor],
        label_points: Mapping[str, Tensor],
        trust: Mapping[str, LabelTrust] | None = None,
    ) -> dict[str, Tensor]:
        """Each modality's logits `(batch, labels)`; see `Modality.score`."""
        return {
            name: self.modality(name).score(items, label_points[name], trust[name] if trust else None)
            for name, items in points.items()
        }

    def calibrated(
        self, logits: Mapping[str, Tensor], trust: Mapping[str, LabelTrust], *, multi_label: bool
    ) -> dict[str, Tensor]:
        """Logits whose softmax, or whose sigmoid when `multi_label`, is a probability.

        Slope and offset are smooth functions of the label's point, fitted on validation rows of seen labels, so that
        labels never seen have them too (see `calibration`; `training.calibrate` says why the softmax's are level).
        """
        return {
            name: trust[name].slopes[multi_label] * matrix + trust[name].offsets[multi_label]
            for name, matrix in logits.items()
        }

    def weights(self, logits: Mapping[str, Tensor], trust: Mapping[str, LabelTrust] | None = None) -> dict[str, Tensor]:
        """Each modality's share of each label's score, `(batch, labels)`, summing to one over those an item has.

        A modality counts by how reliable it is, and, given the labels' trust, by how reliable it is for each label.
        """
        here = torch.stack([~matrix.isnan() for matrix in logits.values()])
        raw = []
        for name in logits:
            by_label = trust[name].weight if trust else here.new_ones(1)
            raw.append(self.modality(name).log_weight.exp() * by_label)
        weighed = torch.stack(torch.broadcast_tensors(*raw))[:, None, :] * here
        return dict(zip(logits, weighed / weighed.sum(dim=0).clamp(min=1e-9), strict=True))

    def fuse(
        self, logits: Mapping[str, Tensor], trust: Mapping[str, LabelTrust] | None = None, *, among: bool = False
    ) -> Tensor:
        """Weighted mean of the modalities' logits over those present, `(batch, labels)`.

        Where they are to be told `among` each other (by a softmax), what a modality says of all labels alike is taken
        off first, each row's mean: it says nothing of which, but would count where modalities weigh labels differently.
        """
        weights = self.weights(logits, trust)
        if among:
            logits = {name: matrix - matrix.mean(dim=1, keepdim=True) for name, matrix in logits.items()}
        return torch.stack([weights[name] * matrix.nan_to_num(0.0) for name, matrix in logits.items()]).sum(0)

    def label_parameters(self) -> list[nn.Parameter]:
        """The projections of labels."""
        return [one for _, modality in self.each_modality() for one in modality.projection.parameters()]

    def departures(self) -> tuple[Tensor, Tensor]:
        """How far label projections lie from their start, and text adapters from nothing."""
        drift = torch.stack([modality.projection.drift() for _, modality in self.each_modality()]).sum()
        adapted = drift.new_zeros(())
        for _, modality in self.each_modality():
            if isinstance(modality.encoder, TransformerEncoder) and modality.encoder.adapters is not None:
                adapted = adapted + modality.encoder.adapters.size()
        return drift, adapted

    def with_state(self, state: State) -> EmotionModel:
        """A copy with another state of the same labels seen and taught; its weights are its own."""
        copy = deepcopy(self)
        copy.state = state
        return copy

    def with_seen(self, seen: Mapping[str, Sequence[str]]) -> EmotionModel:
        """A copy that knows which labels each modality's training saw, and is to be calibrated anew."""
        copy = self.with_state(self.state.with_seen(seen))
        for name, labels in seen.items():
            copy.modality(name).forget_calibration(len(labels))
        return copy

    def with_taught(
        self, anchors: Mapping[str, Mapping[str, Tensor]], examples: Mapping[str, Mapping[str, Tensor]]
    ) -> EmotionModel:
        """A copy in which labels have points of their own, and which keeps all the examples those come from.

        Args:
            anchors: label -> modality -> `(point_dim,)`.
            examples: label -> modality -> `(shots, point_dim)`.
        """
        order = tuple(dict.fromkeys((*self.state.taught, *anchors)))
        copy = deepcopy(self)
        for name, modality in copy.each_modality():
            modality.teach(
                {label: points[name] for label, points in anchors.items() if name in points},
                {label: points[name] for label, points in examples.items() if name in points},
                order,
            )
        counts = {
            label: {name: modality.taught[label] for name, modality in copy.each_modality() if modality.taught[label]}
            for label in order
        }
        copy.state = self.state.with_taught(counts)
        return copy.eval()
