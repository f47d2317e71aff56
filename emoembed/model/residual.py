"""What of an item no word says: directions of its features, for examples to be told by."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Residual(nn.Module):
    """Features of an item -> its place along the leading directions of training items, whitened, of length one.

    An item's point holds what is known of emotions by their words; with few emotions seen that is little. Examples
    of a new emotion agree in more than that, and here it is kept. Labels known by their words alone are zero here.

    Args:
        columns: of the features.
        size: directions kept.
    """

    centre: Tensor
    directions: Tensor

    def __init__(self, columns: int, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("directions", torch.zeros(size, columns))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take the leading directions of `(rows, columns)`; fewer rows than directions leave the rest at zero."""
        self.centre.copy_(features.mean(dim=0))
        _, lengths, leading = torch.linalg.svd(features.float() - self.centre, full_matrices=False)
        kept = int((lengths[: len(self.directions)] > 1e-4 * lengths[0]).sum())
        self.directions.zero_()
        self.directions[:kept] = leading[:kept] / (lengths[:kept, None] / len(features) ** 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """`(batch, columns)` -> `(batch, size)`, rows of length one; zero before it was fitted."""
        return normalize((features.float() - self.centre) @ self.directions.T, dim=-1)
