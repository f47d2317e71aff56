"""All plots. Each function returns a matplotlib figure; `save` writes it. Matplotlib is imported when one is called.

The colours are those of Okabe & Ito (2008), which colour-blind people can distinguish. Legends are beside the data.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emoembed.errors import InputError
from emoembed.features import atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
GREY = "#999999"
FORMATS = (".png", ".svg", ".pdf")
Judged = tuple[np.ndarray, np.ndarray]
"""Probabilities `(n,)`, and whether each answer was correct `(n,)`."""


@dataclass(frozen=True)
class Panel:
    """Scores over time under a title: times `(points,)`, scores `(points, labels)` with NaN for gaps.

    `mark` is the time of a dashed line, such as a turning point.
    """

    title: str
    times: np.ndarray
    scores: np.ndarray
    mark: float | None = None


def require_picture(path: str | Path) -> None:
    """Raise InputError unless the name of a picture ends with one of `FORMATS`."""
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"the name of a picture ends with {', '.join(FORMATS)}; given {Path(path).name}")


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a file (.png, .svg or .pdf), completely or not at all.

    Raises:
        InputError: the name ends with an unknown format.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    require_picture(path)
    picture = io.BytesIO()
    metadata = {"Software": None} if path.suffix.lower() == ".png" else None  # equal figures give equal files
    figure.savefig(picture, format=path.suffix[1:].lower(), dpi=120, metadata=metadata)
    atomic.write_file(path, picture.getvalue())
    return path


def over_time(panels: Sequence[Panel], labels: Sequence[str], unit: str) -> Figure:
    """Draw scores over time: one panel under the other, with one line per label, and gaps where scores are NaN.

    Args:
        panels: at least one.
        labels: name of each column of the scores.
        unit: what the times count, such as seconds.
    """
    figure = _figure(10, 1.0 + 2.2 * len(panels))
    rows = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        for i, (label, scores) in enumerate(zip(labels, panel.scores.T, strict=True)):
            axes.plot(panel.times, scores, marker=".", label=label, color=COLOURS[i % len(COLOURS)])
        if panel.mark is not None:
            axes.axvline(panel.mark, color=GREY, linestyle="--")
        axes.set(title=panel.title, ylabel="score", ylim=(0, 1))
    times = np.concatenate([panel.times for panel in panels])
    margin = max(0.03 * float(np.ptp(times)), 0.5)
    rows[-1].set(xlabel=unit, xlim=(times.min() - margin, times.max() + margin))  # also where no window has scores
    rows[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def bars(scores: Mapping[str, Mapping[str, float]], title: str) -> Figure:
    """Draw the scores of one item: a group of bars per label, one bar for the result and one per modality.

    Args:
        scores: name of the bar, such as `together` or `audio` -> label -> score. The first gives the order of labels.
        title: above the bars.
    """
    labels = list(next(iter(scores.values())))
    figure = _figure(7, 1.2 + 0.22 * (len(scores) + 1) * len(labels))
    axes = figure.subplots()
    height = 0.8 / len(scores)
    for i, (name, values) in enumerate(scores.items()):
        places = np.arange(len(labels)) + (i - (len(scores) - 1) / 2) * height
        axes.barh(places, [values[label] for label in labels], height, label=name, color=COLOURS[i % len(COLOURS)])
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="score", title=title)
    if len(scores) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def confusion(counts: np.ndarray, labels: Sequence[str]) -> Figure:
    """Draw counts `(labels, labels)` as shares of each row. Rows are annotated labels, columns are answers."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.45 * len(labels)
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    if len(labels) <= 12:
        for row, column in np.ndindex(*counts.shape):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{int(counts[row, column])}", color=colour, fontsize=7, ha="center", va="center")
    axes.set_xticks(range(len(shares)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(shares)), labels)
    axes.set(xlabel="answered", ylabel="annotated", title="number of rows; colour: share of each emotion's rows")
    figure.colorbar(image)
    return figure


def reliability(curves: Mapping[str, Judged]) -> Figure:
    """Draw reliability curves: the share of correct answers by probability, one line per name in `curves`."""
    figure = _figure(7, 5)
    _reliability(figure.subplots(), curves)
    return figure


def unseen(
    curves: Mapping[str, Judged],
    by_cosine: tuple[Sequence[float], Sequence[float]],
    taught: tuple[Sequence[int], Sequence[float]],
) -> Figure:
    """Draw three plots of unseen labels: reliability, AUC by cosine, and average precision by number of examples.

    Args:
        curves: as in `reliability`.
        by_cosine: the cosine of each held-out label with the nearest seen label, and its AUC.
        taught: numbers of examples, and the mean average precision after them.
    """
    figure = _figure(14, 4.5)
    first, second, third = figure.subplots(1, 3)
    _reliability(first, curves)
    second.scatter(*by_cosine, s=14, color=COLOURS[0])
    second.axhline(0.5, color=GREY)
    second.set(xlabel="cosine with the nearest label trained on", ylabel="AUC", title="labels held out in turn")
    third.plot(*taught, marker="o", color=COLOURS[0])
    third.set(xlabel="examples of a label never seen", ylabel="average precision", title="a few examples")
    return figure


def growth(curves: Mapping[str, Mapping[int, float]]) -> Figure:
    """Draw seconds by number of items: one panel per curve. Both axes are logarithmic; the panels share the y axis."""
    figure = _figure(3.2 * len(curves), 3.0)
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    panels[0].set_ylabel("seconds")
    for axes, (counted, seconds) in zip(panels, curves.items(), strict=True):
        axes.plot(list(seconds), list(seconds.values()), marker="o")
        axes.set(xscale="log", yscale="log", xlabel=counted)
        axes.set_xticks(list(seconds), [f"{count:,}" for count in seconds], fontsize="small")
        axes.minorticks_off()
    return figure


def by_share(curves: Mapping[str, Mapping[float, float]], measure: str) -> Figure:
    """Draw a measure by the share of the rows that training had, with one line per name. The x axis is logarithmic."""
    figure = _figure(7.0, 4.0)
    axes = figure.subplots()
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(list(values), list(values.values()), marker="o", markersize=4, label=name, color=colour)
    shares = sorted({share for values in curves.values() for share in values})
    axes.set(xscale="log", xlabel="share of the training rows", ylabel=measure)
    axes.set_xticks(shares, [f"{100 * share:g} %" for share in shares])
    axes.minorticks_off()
    figure.legend(loc="outside right upper", fontsize="small")
    return figure


def paths(used: Mapping[str, Sequence[Sequence[int]]], modules: int) -> Figure:
    """Draw paths through modules: a grid of layers and modules, coloured by the corpora that use a module.

    Args:
        used: corpus -> the modules of each layer that its path uses, counted from 0. The last corpus is the target; the
            others are sources.
        modules: number of modules in each layer.
    """
    *sources, target = used
    by_target, by_sources = _places(used[target]), {place for source in sources for place in _places(used[source])}
    kinds = {
        ", ".join(sources) or "no source": by_sources - by_target,
        target: by_target - by_sources,
        "shared": by_target & by_sources,
        "not used": {(i, j) for i in range(len(used[target])) for j in range(modules)} - by_target - by_sources,
    }
    figure = _figure(3.0 + 0.6 * modules, 1.5 + 0.6 * len(used[target]))
    axes = figure.subplots()
    for (name, places), colour in zip(kinds.items(), (*COLOURS[:3], "0.9"), strict=True):
        points = np.array(sorted(places)).reshape(-1, 2)
        axes.scatter(points[:, 1], points[:, 0], s=300, color=colour, label=name)
    axes.set(xticks=range(modules), yticks=range(len(used[target])), xlabel="module", ylabel="layer", title=target)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=0.5)
    return figure


def _places(path: Sequence[Sequence[int]]) -> set[tuple[int, int]]:
    return {(layer, module) for layer, modules in enumerate(path) for module in modules}


def sources_by_targets(scores: pd.DataFrame) -> Figure:
    """Draw the scores of transfers from `compare_corpora`. The colour shows the difference from the first row."""
    gains = (scores - scores.iloc[0]).to_numpy()
    limit = max(0.05, float(np.nanmax(np.abs(gains))))
    figure = _figure(3.0 + len(scores.columns), 2.0 + 0.6 * len(scores))
    axes = figure.subplots()
    image = axes.imshow(gains, vmin=-limit, vmax=limit, cmap="PuOr")
    for row, column in np.argwhere(~np.isnan(gains)):
        axes.text(column, row, f"{scores.to_numpy()[row, column]:.2f}", fontsize=8, ha="center", va="center")
    axes.set_xticks(range(len(scores.columns)), scores.columns, rotation=45, ha="right")
    axes.set_yticks(range(len(scores)), scores.index)
    axes.set(xlabel="target", ylabel="source", title="validation score; colour: difference from the target alone")
    figure.colorbar(image)
    return figure


def _reliability(axes: Any, curves: Mapping[str, Judged], bins: int = 10) -> None:
    axes.plot([0, 1], [0, 1], color=GREY)
    for i, (name, (probabilities, correct)) in enumerate(curves.items()):
        bin_of_row = np.minimum((probabilities * bins).astype(int), bins - 1)
        filled_bins = [b for b in range(bins) if (bin_of_row == b).any()]
        means = [[values[bin_of_row == b].mean() for b in filled_bins] for values in (probabilities, correct)]
        axes.plot(*means, marker="o", label=f"{name} ({len(correct)} answers)", color=COLOURS[i % len(COLOURS)])
    axes.set(xlabel="probability", ylabel="share that is right", title="reliability")
    axes.legend(loc="upper left", fontsize=8)


def label_map(places: pd.DataFrame, title: str) -> Figure:
    """Draw a map of labels: the index of `places` at its columns `x` and `y`. Labels with `seen` are orange and larger.

    A label that would cover an earlier one is a dot only; seen labels are written first.
    """
    figure = _figure(11, 8)
    axes = figure.subplots()
    for axis, limits in (("x", axes.set_xlim), ("y", axes.set_ylim)):
        margin = 0.08 * (places[axis].max() - places[axis].min())
        limits(places[axis].min() - margin, places[axis].max() + margin)
    axes.set(title=f"{title} (orange: trained on)", xticks=[], yticks=[])
    figure.draw_without_rendering()
    written: list[Any] = []
    for name, row in places.sort_values("seen", ascending=False, kind="stable").iterrows():
        colour, size = (COLOURS[3], 9) if row["seen"] else ("0.35", 7)
        text = axes.text(row["x"], row["y"], str(name), color=colour, fontsize=size, ha="center", va="center")
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in written):
            text.remove()
            axes.plot(row["x"], row["y"], ".", color=colour, markersize=3)
        else:
            written.append(box)
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
