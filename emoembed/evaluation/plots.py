"""The plots of reports. Each function draws its arguments into a file, and imports matplotlib when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Judged = tuple[np.ndarray, np.ndarray]
"""Probabilities `(n,)`, and whether each answer was correct `(n,)`."""


def confusion(counts: np.ndarray, labels: Sequence[str], path: Path) -> None:
    """Draw counts `(labels, labels)` as shares of each row. Rows are annotated labels, columns are answers."""
    figure, axes = _canvas(6, 5)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(shares)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(shares)), labels)
    axes.set(xlabel="answered", ylabel="annotated", title="share of each emotion's rows")
    figure.colorbar(image)
    _save(figure, path)


def reliability(curves: Mapping[str, Judged], path: Path) -> None:
    """Draw reliability curves: the share of correct answers by probability, one line per name in `curves`."""
    figure, axes = _canvas(5, 5)
    _reliability(axes, curves)
    _save(figure, path)


def unseen(
    curves: Mapping[str, Judged],
    known: tuple[Sequence[float], Sequence[float]],
    taught: tuple[Sequence[int], Sequence[float]],
    path: Path,
) -> None:
    """Draw three plots of unseen labels: reliability, AUC by cosine, and average precision by number of examples.

    Args:
        curves: as in `reliability`.
        known: the cosine of each held-out label with the nearest seen label, and its AUC.
        taught: numbers of examples, and the mean average precision after them.
        path: the file of the figure.
    """
    figure, (first, second, third) = _canvas(14, 4.5, columns=3)
    _reliability(first, curves)
    second.scatter(*known, s=14)
    second.axhline(0.5, color="0.7")
    second.set(xlabel="cosine with the nearest label trained on", ylabel="AUC", title="labels held out in turn")
    third.plot(*taught, marker="o")
    third.set(xlabel="examples of a label never seen", ylabel="average precision", title="a few examples")
    _save(figure, path)


def _reliability(axes: Any, curves: Mapping[str, Judged], bins: int = 10) -> None:
    axes.plot([0, 1], [0, 1], color="0.7")
    for name, (probabilities, correct) in curves.items():
        bin_of_row = np.minimum((probabilities * bins).astype(int), bins - 1)
        filled_bins = [b for b in range(bins) if (bin_of_row == b).any()]
        means = [[values[bin_of_row == b].mean() for b in filled_bins] for values in (probabilities, correct)]
        axes.plot(*means, marker="o", label=name)
    axes.set(xlabel="probability", ylabel="share that is right", title="reliability")
    if len(curves) > 1:
        axes.legend()


def label_map(places: pd.DataFrame, path: Path, title: str) -> None:
    """Draw a map of labels: the index of `places` at its columns `x` and `y`. Labels with `seen` are red."""
    figure, axes = _canvas(9, 7)
    for seen, colour, size in ((False, "0.55", 7), (True, "tab:red", 10)):
        for name, row in places[places["seen"] == seen].iterrows():
            axes.text(row["x"], row["y"], str(name), color=colour, fontsize=size, ha="center", va="center")
    for axis, limits in (("x", axes.set_xlim), ("y", axes.set_ylim)):
        margin = 0.08 * (places[axis].max() - places[axis].min())
        limits(places[axis].min() - margin, places[axis].max() + margin)
    axes.set(title=f"{title} (red: trained on)", xticks=[], yticks=[])
    _save(figure, path)


def _canvas(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(1, columns, figsize=(width, height))


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format=path.suffix[1:], dpi=120, metadata={"Software": None})
    temporary.replace(path)
    pyplot.close(figure)
