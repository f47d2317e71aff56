"""The plots of reports: each takes what it draws and a path, and imports matplotlib when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Judged = tuple[np.ndarray, np.ndarray]


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


def reliability(curves: Mapping[str, Judged], path: Path) -> None:
    """Name -> probabilities `(n,)` and whether each was right: a line each of the share right by probability."""
    figure, axes = _canvas(5, 5)
    _reliability(axes, curves)
    _save(figure, path)


def unseen(
    curves: Mapping[str, Judged],
    known: tuple[Sequence[float], Sequence[float]],
    taught: tuple[Sequence[int], Sequence[float]],
    path: Path,
) -> None:
    """Labels never seen: reliability, AUC by nearness to the nearest label seen, average precision by examples.

    Args:
        curves: as those of `reliability`.
        known: cosines of held-out labels with the nearest seen one, and their AUC.
        taught: numbers of examples, and the mean average precision with them.
        path: of the figure.
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
        place = np.minimum((probabilities * bins).astype(int), bins - 1)
        there = [b for b in range(bins) if (place == b).any()]
        means = [[values[place == b].mean() for b in there] for values in (probabilities, correct)]
        axes.plot(*means, marker="o", label=name)
    axes.set(xlabel="probability", ylabel="share that is right", title="reliability")
    if len(curves) > 1:
        axes.legend()


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
