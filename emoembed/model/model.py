"""The model: points of items and labels in each modality, cosine scores, and fusion of the modalities present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

import torch
from torch import Tensor, nn

from emoembed.cache import tensors_of, versions
from emoembed.encoders.context import ContextEncoder, ContextSettings
from emoembed.errors import CheckpointError
from emoembed.labels.emotion import Label, Labels, canonical, find, resolve
from emoembed.labels.phrases import PhraseEncoder, SentenceEncoder
from emoembed.labels.space import LabelSpace
from emoembed.model.calibration import ContextCalibration, LabelTrust, Reliability
from emoembed.model.config import ModelConfig
from emoembed.model.device import require_no_fork
from emoembed.model.modality import Modality, Taught
from emoembed.model.scorer import Batch, Scorer
from emoembed.model.state import State


class Context(nn.Module):
    """The trained context of a model.

    Args:
        dims: modality -> `embed_dim`.
        settings: the size of the recurrence.

    Attributes:
        encoder: moves the points of turns.
        calibration: modality -> calibration of turns in context, fitted on validation dialogues.
    """

    def __init__(self, dims: Mapping[str, int], settings: ContextSettings) -> None:
        super().__init__()
        self.encoder = ContextEncoder(dims, settings)
        self.calibration = nn.ModuleDict({name: ContextCalibration() for name in dims})


class EmotionModel(Scorer):
    """Scores any labels for a batch of features: cosine of item and label points per modality, then fusion.

    ```python
    logits = model(batch, model.embed(["joy", "anger", "awe"]))  # (batch, 3)
    ```

    These methods return a copy and leave the model unchanged: `with_state`, `with_seen`, `with_taught`. `Recognizer`
    reads raw items and holds such a model in its attribute `model`.

    Args:
        config: the architecture.
        phrases: the phrase encoder that embeds labels.
        state: what was learned besides the weights.

    Attributes:
        modalities: name -> `Modality`.
        space: labels -> label features.
        context: the trained context of dialogues; None if the model was not trained on dialogues.

    Examples:
        >>> import emoembed, torch
        >>> from emoembed.reading.items import batch_of, read_item
        >>> model = emoembed.load("base").model
        >>> item = read_item(model, {"text": "We made it home before the storm!"})
        >>> with torch.inference_mode():
        ...     logits = model(batch_of(model, [item.readings]), model.embed(["relief", "boredom"]))
        >>> logits.shape, bool(logits[0, 0] > logits[0, 1])
        (torch.Size([1, 2]), True)
    """

    def __init__(self, config: ModelConfig, phrases: PhraseEncoder | None = None, state: State | None = None) -> None:
        super().__init__()
        self.config, self.state = config, state or State()
        self.bf16 = False  # whether `encode` computes in bfloat16; set by `load(precision="bf16")`
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

        self.context = Context(config.embed_dims, config.context) if config.context else None

    def context_encoder(self) -> ContextEncoder:
        """The trained context of dialogues, or else the mean of earlier turns with the default weight."""
        if self.context is not None:
            return self.context.encoder
        return ContextEncoder(self.config.embed_dims, ContextSettings(0)).to(self.space.centre.device).eval()

    def calibrations(self, *, context: bool = False) -> dict[str, Reliability]:
        """Each modality's calibration. With `context`, it is the calibration of turns in context, if that was fitted;
        otherwise it is the calibration of single items.
        """
        calibrations = {name: modality.calibration for name, modality in self.each_modality()}
        if not context or self.context is None:
            return calibrations
        return {
            name: cast(ContextCalibration, self.context.calibration[name]).applied_to(calibration)
            for name, calibration in calibrations.items()
        }

    def modality(self, name: str) -> Modality:
        """One modality."""
        return cast(Modality, self.modalities[name])

    def each_modality(self) -> list[tuple[str, Modality]]:
        """Names and modalities."""
        return [(name, self.modality(name)) for name in self.modalities]

    def versions(self) -> tuple[Any, ...]:
        """Versions of everything that label points depend on. If they are equal, no label point has changed.

        Label points do not depend on the encoders, except the one that embeds names.
        """
        parts: list[nn.Module] = [self.space]
        buffers: list[Tensor] = []
        for _, modality in self.each_modality():
            parts += [modality.projection, modality.calibration]
            buffers += [*modality.buffers(recurse=False), *modality.parameters(recurse=False)]
        if self.context is not None:
            parts.append(self.context.calibration)
        if isinstance(self.phrases, SentenceEncoder):
            parts.append(self.phrases.encoder.trunk)
        return (self.config, self.state, self.phrases, versions((*buffers, *tensors_of(*parts))))

    @property
    def phrase_encoder(self) -> PhraseEncoder:
        """The phrase encoder that embeds labels. Raises CheckpointError if the model was built without one."""
        if self.phrases is None:
            raise CheckpointError("this model was built without a phrase encoder; load it with from_pretrained")
        return self.phrases

    def embed(self, labels: Labels) -> Tensor:
        """Features of labels, `(labels, label_dim)`. Raises LabelError as `labels.emotion.resolve` does."""
        require_no_fork()
        return self.space.embed(self.resolve_labels(labels), self.phrase_encoder)

    def resolve_labels(self, labels: Labels) -> dict[str, Label]:
        """`emotion.resolve`, with the description from `adapt` for a label that the caller gives only by name."""
        described = self.state.described
        return {
            name: described.get(canonical(name), label) if label == find(name) else label
            for name, label in resolve(labels).items()
        }

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Each modality's points `(batch, point_dim)`; see `Modality.encode`."""
        require_no_fork()
        if not self.bf16:
            return {name: self.modality(name).encode(*read) for name, read in batch.items()}
        with torch.autocast(self.space.centre.device.type, torch.bfloat16):
            return {name: self.modality(name).encode(*read).float() for name, read in batch.items()}

    def project(self, features: Tensor) -> dict[str, Tensor]:
        """Label features `(labels, label_dim)` -> each modality's label points `(labels, point_dim)`."""
        return {name: modality.project(features) for name, modality in self.each_modality()}

    def label_points(self, labels: Labels) -> dict[str, Tensor]:
        """Each modality's label points. The point of a few-shot label comes from its examples.

        A description that the caller gives for a few-shot label does not change that point. It does set the point in
        modalities without examples of the label.
        """
        names = [canonical(name) for name in resolve(labels)]
        features = self.embed(labels)
        return {
            name: modality.apply_examples(modality.project(features), names) for name, modality in self.each_modality()
        }

    def label_trust(self, label_points: Mapping[str, Tensor]) -> dict[str, LabelTrust]:
        """Each modality's calibration of labels, from their points `(labels, point_dim)`."""
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
        """Calibrated logits: their softmax is a probability. With `multi_label`, their sigmoid is a probability.

        `training.calibrate` fits the scaling on validation rows of seen labels.
        """
        return {
            name: (trust[name].sigmoid if multi_label else trust[name].softmax)(matrix)
            for name, matrix in logits.items()
        }

    def weights(self, logits: Mapping[str, Tensor], trust: Mapping[str, LabelTrust] | None = None) -> dict[str, Tensor]:
        """Each modality's weight in each label's score, `(batch, labels)`. They sum to one over the item's modalities.

        The weight is the reliability of the modality, times its reliability for the label if `trust` is given.
        """
        presence_mask = torch.stack([~matrix.isnan() for matrix in logits.values()])
        reliabilities = []
        for name in logits:
            label_weight = trust[name].weight if trust else presence_mask.new_ones(1)
            reliabilities.append(self.modality(name).log_weight.exp() * label_weight)
        weights = torch.stack(torch.broadcast_tensors(*reliabilities))[:, None, :] * presence_mask
        return dict(zip(logits, weights / weights.sum(dim=0).clamp(min=1e-9), strict=True))

    def fuse(
        self, logits: Mapping[str, Tensor], trust: Mapping[str, LabelTrust] | None = None, *, among: bool = False
    ) -> Tensor:
        """Weighted mean of the logits over the modalities that are present, `(batch, labels)`.

        Set `among` if a softmax among the labels follows. Each modality's mean over the labels is then subtracted
        first. The softmax of one modality does not depend on this mean. The fused softmax would, because the weights
        differ between labels.
        """
        weights = self.weights(logits, trust)
        if among:
            logits = {name: matrix - matrix.mean(dim=1, keepdim=True) for name, matrix in logits.items()}
        return torch.stack([weights[name] * matrix.nan_to_num(0.0) for name, matrix in logits.items()]).sum(0)

    def label_parameters(self) -> list[nn.Parameter]:
        """Parameters of the label projections."""
        return [weight for _, modality in self.each_modality() for weight in modality.projection.parameters()]

    def drift(self) -> Tensor:
        """Squared distance of the label projections from their initial weights."""
        return torch.stack([modality.projection.drift() for _, modality in self.each_modality()]).sum()

    def with_state(self, state: State) -> EmotionModel:
        """A copy, with its own weights and another state. The state must have the same seen and taught labels."""
        copy = deepcopy(self)
        copy.state = state
        return copy

    def with_seen(self, seen: Mapping[str, Sequence[str]]) -> EmotionModel:
        """A copy with other seen labels in some modalities. The calibration of these modalities is reset."""
        copy = self.with_state(self.state.with_seen(seen))
        for name, labels in seen.items():
            copy.modality(name).forget_calibration(len(labels))
        return copy

    def with_taught(
        self, taught: Mapping[str, Mapping[str, Taught]], examples: Mapping[str, Mapping[str, Tensor]]
    ) -> EmotionModel:
        """A copy in which labels get points from few-shot examples. It stores all these examples.

        Args:
            taught: label -> modality -> what was learned.
            examples: label -> modality -> `(shots, point_dim)`.
        """
        order = tuple(dict.fromkeys((*self.state.taught, *taught)))
        copy = deepcopy(self)
        for name, modality in copy.each_modality():
            modality.teach(
                {label: points[name] for label, points in taught.items() if name in points},
                {label: points[name] for label, points in examples.items() if name in points},
                order,
            )
        counts = {
            label: {name: modality.taught[label] for name, modality in copy.each_modality() if modality.taught[label]}
            for label in order
        }
        copy.state = self.state.with_taught(counts)
        return copy.eval()
