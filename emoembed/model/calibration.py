"""Calibration of one modality: how reliable its scores are for each label.

The calibration is fitted on seen labels (`training.calibrate`) and also applies to unseen labels. It never moves the
point of an item or a label.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

RISKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Error rates among the answers given, for which `predict(abstain=...)` has a threshold."""
REFERENCE = 256
"""Number of training items kept to measure hubness: how near a label is to all items."""
NEW = 0.5
"""Cosine distance (1 - cosine) to the nearest seen label at which a label counts as entirely new."""
WIDTH = 0.1
"""Kernel width on cosine distance. Seen labels that are much farther away have almost no influence on a label."""


@dataclass(frozen=True)
class Scaling:
    """Platt scaling (Platt 1999): `slope * logits + offset`.

    Args:
        slope: a positive factor, the same for all labels.
        offset: a constant for each label `(labels,)`, the same for all seen labels. For new labels it depends on
            newness.
    """

    slope: Tensor
    offset: Tensor

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits `(batch, labels)` -> logits whose softmax or sigmoid is a calibrated probability."""
        return self.slope * logits + self.offset


@dataclass(frozen=True)
class LabelTrust:
    """Calibration of labels, seen or unseen, in one modality.

    Args:
        softmax: scaling of the logits before a softmax.
        sigmoid: scaling of the logits before a sigmoid.
        weight: reliability of the modality for each label `(labels,)`, 0 to 1.
        hubness: mean logit of each new label over items in general, minus that of the seen labels `(labels,)`.
    """

    softmax: Scaling
    sigmoid: Scaling
    weight: Tensor
    hubness: Tensor


class Reliability(nn.Module):
    """Calibration, abstention thresholds and trust of one modality.

    Args:
        embed_dim: size of the points in the modality.
        seen: number of labels that its training saw.
    """

    slopes: Tensor
    offsets: Tensor
    novelty: Tensor
    familiar: Tensor
    trust: Tensor
    expected: Tensor
    thresholds: Tensor
    reference: Tensor
    hub_share: Tensor
    spread: Tensor

    def __init__(self, embed_dim: int, seen: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.ones(2))  # of the softmax and of the sigmoid
        self.register_buffer("offsets", torch.zeros(2))  # the first stays 0: an offset does not change a softmax
        self.register_buffer("novelty", torch.zeros(2))  # added to the offsets of an entirely new label
        self.register_buffer("familiar", torch.zeros(seen, embed_dim))  # points of the seen labels
        self.register_buffer("trust", torch.ones(seen + 1))  # 0 to 1 for each seen label, then for a label far from all
        self.register_buffer(
            "expected", torch.zeros(3)
        )  # AUC of an unseen label: value at cosine 0, slope, standard error; zeros if not measured
        self.register_buffer("thresholds", torch.zeros(len(RISKS)))  # confidence thresholds
        self.register_buffer("reference", torch.zeros(REFERENCE, embed_dim))
        self.register_buffer("hub_share", torch.zeros(()))
        self.register_buffer("spread", torch.zeros(()))  # mean squared distance of a label's items to their mean

    def of(self, label_points: Tensor, scale: Tensor) -> LabelTrust:
        """Calibration of labels, seen or unseen.

        Args:
            label_points: `(labels, point_dim)`.
            scale: factor from cosine to logit.
        """
        cosines = label_points @ self.familiar.T
        nearest = self._nearest(cosines)
        softmax_slope, sigmoid_slope = self.slopes.clone()  # a later calibration does not change them
        offsets = self.offsets + newness(nearest)[:, None] * self.novelty
        return LabelTrust(
            softmax=Scaling(softmax_slope, offsets[:, 0]),
            sigmoid=Scaling(sigmoid_slope, offsets[:, 1]),
            weight=self._weight(cosines),
            hubness=self.hubness(label_points, nearest, scale),
        )

    def nearest(self, label_points: Tensor) -> Tensor:
        """Cosine of each label with its nearest seen label, `(labels,)`; 1 if the points of seen labels are unknown."""
        return self._nearest(label_points @ self.familiar.T)

    def _nearest(self, cosines: Tensor) -> Tensor:
        if not len(self.familiar) or not bool(self.familiar.any()):
            return cosines.new_ones(len(cosines))
        return cosines.amax(dim=1).clamp(-1.0, 1.0)

    def _weight(self, cosines: Tensor) -> Tensor:
        """Kernel mean of the seen labels' trust (Nadaraya-Watson), with the trust of a far label as a prior."""
        if not len(self.familiar):
            return self.trust[-1].expand(len(cosines))
        kernel = ((cosines - 1.0) / WIDTH).exp()
        prior_weight = torch.exp(torch.tensor(-5.0))
        return (kernel @ self.trust[:-1] + prior_weight * self.trust[-1]) / (kernel.sum(dim=1) + prior_weight)

    def hubness(self, label_points: Tensor, nearest: Tensor, scale: Tensor) -> Tensor:
        """Mean logit of each new label over the reference items, minus that of the seen labels.

        `Modality.score` subtracts it, because a label near all items (a hub) would win for items of other labels.
        Centring the items would have the same effect (Suzuki et al. 2013). `docs/ablation` compares it with inverted
        softmax (Smith et al. 2017) and CSLS (Conneau et al. 2018). For texts it is better than both and than no
        correction; for sound the three differ little. Seen labels get no correction, because training has fitted their
        frequency. If the points of seen labels are unknown, every label counts as new.
        """
        if not bool(self.hub_share) or not bool(self.reference.any()):
            return label_points.new_zeros(len(label_points))
        reference_mean = self.reference[self.reference.any(dim=1)].mean(dim=0)
        level = scale * (label_points @ reference_mean)
        if not bool(self.familiar.any()):
            return self.hub_share * level
        return self.hub_share * newness(nearest) * (level - scale * (self.familiar @ reference_mean).mean())

    def threshold(self, risk: float) -> float:
        """Lowest confidence at which at most a share `risk` of the answers was wrong; linear between `RISKS`."""
        thresholds: list[float] = self.thresholds.tolist()
        for low, high, at_low, at_high in zip(RISKS, RISKS[1:], thresholds, thresholds[1:], strict=False):
            if risk <= high:
                return at_low + (at_high - at_low) * (risk - low) / (high - low)
        return thresholds[-1]

    def expected_auc(self, label_points: Tensor) -> tuple[Tensor, float]:
        """Expected AUC of unseen labels `(labels,)`, and its standard error; NaN if it was not measured.

        It is linear in the cosine with the nearest seen label. The line was fitted on labels held out in turn.
        """
        intercept, slope, error = self.expected if bool(self.expected.any()) else torch.full((3,), torch.nan)
        return (intercept + slope * self.nearest(label_points)).clamp(0.5, 1.0), float(error)


class ContextCalibration(nn.Module):
    """Scaling and abstention thresholds of one modality for turns in context; see `Reliability`."""

    slopes: Tensor
    offsets: Tensor
    thresholds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.ones(2))
        self.register_buffer("offsets", torch.zeros(2))
        self.register_buffer("thresholds", torch.zeros(len(RISKS)))

    def copy_from(self, calibration: Reliability) -> None:
        """Copy the values that were fitted on turns in context."""
        for name, buffer in self.named_buffers():
            buffer.copy_(calibration.get_buffer(name))

    def applied_to(self, calibration: Reliability) -> Reliability:
        """A copy of the calibration of single items, with these values."""
        copy = deepcopy(calibration)
        for name, buffer in self.named_buffers():
            copy.get_buffer(name).copy_(buffer)
        return copy


def newness(nearest: Tensor) -> Tensor:
    """Newness of labels, 0 to 1, from their cosine with the nearest seen label."""
    return ((1.0 - nearest) / NEW).clamp(0.0, 1.0)


def confidence(softmax: Tensor, sigmoid: Tensor, answers: Tensor | None = None) -> Tensor:
    """Confidence of the best answer `(items,)`, from softmax and sigmoid probabilities `(items, labels)`.

    The best answer is the label with the largest softmax probability, unless `answers` `(items,)` gives its column.

    The confidence is the product of both probabilities of that label. The softmax says whether the label fits better
    than the others. The sigmoid says whether the label fits the item at all. The sigmoid does not depend on the other
    labels in the list, so the confidence is low if the list lacks the right label.
    """
    best = (softmax.argmax(dim=1) if answers is None else answers)[:, None]
    return (softmax.gather(1, best) * sigmoid.gather(1, best))[:, 0]
