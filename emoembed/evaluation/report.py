"""Write the results of a study as Markdown, JSON and plots.

A report has no times or dates. A second run with the same seeds writes the same tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emoembed import plots
from emoembed.features.atomic import write_file


@dataclass(frozen=True)
class Section:
    """The results of one part of a study: tables and lines by heading, and arrays for the plots."""

    tables: dict[str, pd.DataFrame]
    lines: dict[str, list[str]] = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Report:
    """The results of a study. Keys of `tables` and `lines` are headings. `scores` are arrays that `write` plots."""

    title: str
    facts: dict[str, Any]
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)
    """Names of PNG files that the caller has drawn into the report folder, without `.png`."""

    def add(self, section: Section) -> None:
        """Add the tables, lines and scores of a section."""
        self.tables |= section.tables
        self.lines |= section.lines
        self.scores |= section.scores

    def markdown(self) -> str:
        """The report as Markdown."""
        parts = [
            f"# {self.title}",
            *(f"- {key}: {value}" for key, value in self.facts.items() if not key.startswith("training")),
        ]
        for heading, lines in self.lines.items():
            parts += ["", f"## {heading}", "", *(f"- {line}" for line in lines)]
        for heading, table in self.tables.items():
            parts += ["", f"## {heading}", "", _markdown(table)]
        return "\n".join(parts) + "\n"


def write(report: Report, folder: str | Path) -> None:
    """Write `report.md`, `report.json` and the plots into a folder. Each file is written completely or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = [*report.figures, *_draw(report, folder)]
    text = report.markdown() + "".join(f"\n![{name}]({name}.png)\n" for name in figures)
    write_file(folder / "report.md", text.encode())
    content = {
        "title": report.title,
        **report.facts,
        **report.lines,
        "tables": {
            name: json.loads(table.reset_index().to_json(orient="records")) for name, table in report.tables.items()
        },
    }
    write_file(folder / "report.json", json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")


def _markdown(table: pd.DataFrame) -> str:
    """The table as Markdown: the index is the first column, floats have three decimals, NaN is empty."""
    names = [str(name) for name in table.index.names if name is not None]
    header = [", ".join(names), *map(str, table.columns)]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for index, row in zip(table.index, table.itertuples(index=False), strict=True):
        row_name = ", ".join(map(str, index)) if isinstance(index, tuple) else str(index)
        cells = [row_name, *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row)]
        lines.append("| " + " | ".join("" if cell == "nan" else cell for cell in cells) + " |")
    return "\n".join(lines)


def _draw(report: Report, folder: Path) -> list[str]:
    """Draw the plots for which the report has arrays; return their names."""
    drawn = []
    scores: Mapping[str, np.ndarray] = report.scores
    if "confusion" in scores:
        plots.save(plots.confusion(scores["confusion"], list(scores["labels"])), folder / "confusion.png")
        drawn.append("confusion")
    if "probabilities" in scores:
        lines = {"all emotions seen": (scores["probabilities"], scores["correct"])}
        plots.save(plots.reliability(lines), folder / "reliability.png")
        drawn.append("reliability")
    return drawn
