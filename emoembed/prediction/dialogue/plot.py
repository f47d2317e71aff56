"""The picture of a dialogue: scores over time, one panel per speaker."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoembed.errors import InputError
from emoembed.features import atomic

FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Panel:
    """The turns of one speaker: their times `(turns,)`, their scores `(turns, labels)`, and where the scores turn."""

    speaker: str
    times: np.ndarray
    scores: np.ndarray
    turning_time: float | None = None


def require_picture(path: Path) -> None:
    """Raise InputError unless the name of a picture ends with one of `FORMATS`."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"the name of a picture ends with {', '.join(FORMATS)}; given {path.name}")


def draw(panels: Sequence[Panel], labels: Sequence[str], unit: str, path: Path) -> Path:
    """Draw one panel per speaker with one line per label. A dashed line shows where the scores turn.

    Args:
        panels: at least one.
        labels: name of each column of the scores.
        unit: what the times count, such as seconds.
        path: the file of the picture.

    Raises:
        InputError: the name ends with an unknown format.
        OutputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    require_picture(path)
    figure = Figure(figsize=(10, 1.0 + 2.2 * len(panels)))
    rows = figure.subplots(len(panels), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        for label, scores in zip(labels, panel.scores.T, strict=True):
            axes.plot(panel.times, scores, marker=".", label=label)
        if panel.turning_time is not None:
            axes.axvline(panel.turning_time, color="0.5", linestyle="--")
        axes.set(title=panel.speaker, ylabel="score", ylim=(0, 1))
    rows[-1].set_xlabel(unit)
    rows[0].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower(), dpi=120)
    atomic.write_file(path, picture.getvalue())
    return path
