"""What a run under a protocol found, as Markdown, JSON and plots.

Nothing in a report depends on the clock: a second run with the same seeds writes the same tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emoembed.features.store import write_atomically


@dataclass
class Report:
    """What a run found. `tables` are named as they are headed; `scores` are for the figures."""

    title: str
    facts: dict[str, Any]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)

    def markdown(self) -> str:
        """The report as Markdown."""
        parts = [f"# {self.title}", *(f"- {key}: {value}" for key, value in self.facts.items() if key != "training")]
        for heading, said in self.lines.items():
            parts += ["", f"## {heading}", "", *(f"- {line}" for line in said)]
        for heading, table in self.tables.items():
            parts += ["", f"## {heading}", "", _markdown(table)]
        return "\n".join(parts) + "\n"


def write(report: Report, folder: str | Path) -> None:
    """`report.md`, `report.json`, a CSV a table, and the figures, each whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = _draw(report, folder)
    text = report.markdown() + "".join(f"\n![{name}]({name}.png)\n" for name in figures)
    write_atomically(folder / "report.md", text.encode())
    content = {
        "title": report.title,
        **report.facts,
        **report.lines,
        "tables": {
            name: json.loads(table.reset_index().to_json(orient="records")) for name, table in report.tables.items()
        },
    }
    write_atomically(folder / "report.json", json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")


def _markdown(table: pd.DataFrame) -> str:
    """A table with its index as the first column, floats to three places."""
    header = [str(table.index.name or ""), *map(str, table.columns)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for index, row in zip(table.index, table.itertuples(index=False), strict=True):
        cells = [str(index), *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row)]
        lines.append("| " + " | ".join("" if cell == "nan" else cell for cell in cells) + " |")
    return "\n".join(lines)


def _draw(report: Report, folder: Path) -> list[str]:
    """The figures there is something for; their names."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawn = []
    scores: Mapping[str, np.ndarray] = report.scores
    if "confusion" in scores:
        figure, axes = pyplot.subplots(figsize=(6, 5))
        shares = scores["confusion"] / np.maximum(scores["confusion"].sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks(range(len(shares)), scores["labels"], rotation=45, ha="right")
        axes.set_yticks(range(len(shares)), scores["labels"])
        axes.set(xlabel="answered", ylabel="annotated", title="share of each emotion's rows")
        figure.colorbar(image)
        drawn.append(_save(figure, folder, "confusion"))
    if "probabilities" in scores:
        figure, axes = pyplot.subplots(figsize=(5, 5))
        place = np.minimum((scores["probabilities"] * 10).astype(int), 9)
        bins = [b for b in range(10) if (place == b).any()]
        axes.plot([0, 1], [0, 1], color="0.7")
        axes.plot(
            [scores["probabilities"][place == b].mean() for b in bins],
            [scores["correct"][place == b].mean() for b in bins],
            marker="o",
        )
        axes.set(xlabel="probability", ylabel="share that is right", title="reliability, all emotions seen")
        drawn.append(_save(figure, folder, "reliability"))
    return drawn


def _save(figure: Any, folder: Path, name: str) -> str:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)
    return name
