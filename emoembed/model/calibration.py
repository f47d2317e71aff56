"""How far one modality's scores can be trusted, label by label: as smooth functions of the label's point.

Fitted on seen labels (`training.calibrate`), they hold for labels never seen. Nothing here moves an item's or a
label's point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

RISKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of wrong answers among those given, for which `predict(abstain=...)` has a threshold."""
REFERENCE = 256
"""Items kept to measure how near a label is to everything (hubness)."""
NEW = 0.5
"""Distance (one less the cosine) from the nearest seen label from which on a label is quite new."""
WIDTH = 0.1
"""Of the kernel on cosine distance: seen labels much further than this say little about a label."""


@dataclass(frozen=True)
class LabelTrust:
    """What one modality knows of labels, each `(labels,)`; smooth functions of their points, so that all have it.

    Args:
        slopes: of the logits whose softmax, and of those whose sigmoid, is a probability; positive. Calibration gives
            the softmax one for all labels trained on.
        offsets: of the same.
        weight: how much the modality is worth for the label, 0 to 1.
        hubness: how near each new label is to items in general, in logits, less that of the seen labels.
    """

    slopes: tuple[Tensor, Tensor]
    offsets: tuple[Tensor, Tensor]
    weight: Tensor
    hubness: Tensor


class Reliability(nn.Module):
    """One modality's calibration, thresholds and trust.

    Args:
        embed_dim: size of the modality's space.
        seen: how many labels its training saw.
    """

    curves: Tensor
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
        # slope (as a logarithm) and offset of the softmax, then of the sigmoid: linear in a label's point
        self.register_buffer("curves", torch.zeros(4, embed_dim + 1))
        self.register_buffer("novelty", torch.zeros(4))  # what is added to those of a label that is quite new
        self.register_buffer("familiar", torch.zeros(seen, embed_dim))  # points of the seen labels
        self.register_buffer("trust", torch.ones(seen + 1))  # of each seen label 0 to 1, and of one far from all
        self.register_buffer(
            "expected", torch.zeros(3)
        )  # AUC of an unseen label: at cosine 0, slope, error; 0 unmeasured
        self.register_buffer("thresholds", torch.zeros(len(RISKS)))  # of confidence
        self.register_buffer("reference", torch.zeros(REFERENCE, embed_dim))
        self.register_buffer("hub_share", torch.zeros(()))
        self.register_buffer("spread", torch.zeros(()))  # mean squared distance of a label's items from their mean

    def of(self, label_points: Tensor, scale: Tensor) -> LabelTrust:
        """What is known of labels, seen or not.

        Args:
            label_points: `(labels, point_dim)`.
            scale: what cosines are multiplied with for logits.
        """
        kinship = label_points @ self.familiar.T
        nearest = self._nearest(kinship)
        curves = label_points @ self.curves[:, :-1].T + self.curves[:, -1] + newness(nearest)[:, None] * self.novelty
        return LabelTrust(
            slopes=(curves[:, 0].exp(), curves[:, 2].exp()),
            offsets=(curves[:, 1], curves[:, 3]),
            weight=self._weight(kinship),
            hubness=self.hubness(label_points, nearest, scale),
        )

    def nearest(self, label_points: Tensor) -> Tensor:
        """Cosine of each label with the nearest seen one, `(labels,)`; 1 where nothing is known of what was seen."""
        return self._nearest(label_points @ self.familiar.T)

    def _nearest(self, kinship: Tensor) -> Tensor:
        if not len(self.familiar) or not bool(self.familiar.any()):
            return kinship.new_ones(len(kinship))
        return kinship.amax(dim=1).clamp(-1.0, 1.0)

    def _weight(self, kinship: Tensor) -> Tensor:
        """The mean trust of the seen labels weighed by nearness (Nadaraya-Watson), and of an unknown one as a prior."""
        if not len(self.familiar):
            return self.trust[-1].expand(len(kinship))
        kernel = ((kinship - 1.0) / WIDTH).exp()
        far = torch.exp(torch.tensor(-5.0))
        return (kernel @ self.trust[:-1] + far * self.trust[-1]) / (kernel.sum(dim=1) + far)

    def hubness(self, label_points: Tensor, nearest: Tensor, scale: Tensor) -> Tensor:
        """Of each new label, the mean over a reference of training items: one near to all is the answer to none.

        It is what centring the items takes off (Suzuki et al. 2013). Inverted softmax (Smith et al. 2017) and CSLS
        (Conneau et al. 2018) are rows beside it in `docs/ablation`: of texts it does better than either and than
        nothing, in sound the three differ little. Labels trained on have learned how likely they are and keep it; where
        nothing is known of what was seen, every label is new.
        """
        if not bool(self.hub_share) or not bool(self.reference.any()):
            return label_points.new_zeros(len(label_points))
        middle = self.reference[self.reference.any(dim=1)].mean(dim=0)
        level = scale * (label_points @ middle)
        if not bool(self.familiar.any()):
            return self.hub_share * level
        return self.hub_share * newness(nearest) * (level - scale * (self.familiar @ middle).mean())

    def threshold(self, risk: float) -> float:
        """The confidence from which on at most a share `risk` of answers was wrong; between `RISKS` a straight line."""
        known: list[float] = self.thresholds.tolist()
        for low, high, at_low, at_high in zip(RISKS, RISKS[1:], known, known[1:], strict=False):
            if risk <= high:
                return at_low + (at_high - at_low) * (risk - low) / (high - low)
        return known[-1]

    def expected_auc(self, label_points: Tensor) -> tuple[Tensor, float]:
        """AUC to expect of labels never seen, `(labels,)`, and its standard error; NaN where none was measured.

        A straight line in the cosine with the nearest seen label, fitted on labels held out in turn.
        """
        start, slope, error = self.expected if bool(self.expected.any()) else torch.full((3,), torch.nan)
        return (start + slope * self.nearest(label_points)).clamp(0.5, 1.0), float(error)


def newness(nearest: Tensor) -> Tensor:
    """How new labels are, 0 to 1, by their cosines with the nearest seen one."""
    return ((1.0 - nearest) / NEW).clamp(0.0, 1.0)


def confidence(softmax: Tensor, sigmoid: Tensor, answers: Tensor | None = None) -> Tensor:
    """Confidence of the best answer `(items,)`, of probabilities `(items, labels)` among the labels and by themselves.

    The best is the likeliest among the labels, unless `answers` `(items,)` says which columns were answered.

    Their product at the best label: it has to beat the others, and to be there at all. The second does not depend on
    which labels are asked for, so that a list without the right one can be told.
    """
    best = (softmax.argmax(dim=1) if answers is None else answers)[:, None]
    return (softmax.gather(1, best) * sigmoid.gather(1, best))[:, 0]
