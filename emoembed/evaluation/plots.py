"""The plots of reports: each takes what it draws and a path, and imports matplotlib when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def confusion(counts: np.ndarray, labels: Sequence[str], path: Path) -> None:
    """Counts `(labels, labels)`, annotated by answered, as shares of each row."""
    figure, axes = _canvas(6, 5)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_xticks(range(len(shares)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(shares)), labels)
    axes.set(xlabel="answered", ylabel="annotated", title="share of each emotion's rows")
    figure.colorbar(image)
    _save(figure, path)


def reliability(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path, bins: int = 10) -> None:
    """Name -> probabilities `(n,)` and whether each was right: a line each of the share right by probability."""
    figure, axes = _canvas(5, 5)
    axes.plot([0, 1], [0, 1], color="0.7")
    for name, (probabilities, correct) in curves.items():
        place = np.minimum((probabilities * bins).astype(int), bins - 1)
        there = [b for b in range(bins) if (place == b).any()]
        means = [[values[place == b].mean() for b in there] for values in (probabilities, correct)]
        axes.plot(*means, marker="o", label=name)
    axes.set(xlabel="probability", ylabel="share that is right", title="reliability")
    if len(curves) > 1:
        axes.legend()
    _save(figure, path)


def label_map(places: pd.DataFrame, path: Path, title: str) -> None:
    """Labels (index) at `x` and `y`; those `seen` in training stand out."""
    figure, axes = _canvas(9, 7)
    for seen, colour, size in ((False, "0.55", 7), (True, "tab:red", 10)):
        for name, row in places[places["seen"] == seen].iterrows():
            axes.text(row["x"], row["y"], str(name), color=colour, fontsize=size, ha="center", va="center")
    for axis, limits in (("x", axes.set_xlim), ("y", axes.set_ylim)):
        margin = 0.08 * (places[axis].max() - places[axis].min())
        limits(places[axis].min() - margin, places[axis].max() + margin)
    axes.set(title=f"{title} (red: trained on)", xticks=[], yticks=[])
    _save(figure, path)


def nearness(points: Mapping[str, tuple[Sequence[float], Sequence[float]]], path: Path) -> None:
    """Name -> cosines of held-out labels with the nearest seen one, and their AUC."""
    figure, axes = _canvas(6, 4)
    for name, (cosines, aucs) in points.items():
        axes.scatter(cosines, aucs, label=name, s=14)
    axes.axhline(0.5, color="0.7")
    axes.set(xlabel="cosine with the nearest label trained on", ylabel="AUC", title="labels held out in turn")
    axes.legend()
    _save(figure, path)


def shots(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], path: Path) -> None:
    """Name -> numbers of examples and the mean average precision with them."""
    figure, axes = _canvas(6, 4)
    for name, (counts, means) in curves.items():
        axes.plot(counts, means, marker="o", label=name)
    axes.set(xlabel="examples of a label never seen", ylabel="average precision", title="a few examples")
    axes.legend()
    _save(figure, path)


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(width, height))


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format=path.suffix[1:], dpi=120, metadata={"Software": None})
    temporary.replace(path)
    pyplot.close(figure)
