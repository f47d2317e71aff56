"""Compare the numbers in README, in the cards and in the missed goals with the cells of the reports they come from.

    python benchmarks/figures.py [--write]

`docs/figures.json` lists, for every page, the rows and paragraphs that have numbers, in order: the beginning of the row
and one key a number. A key is `report / table / row / column`, or `= 0.503` for a number that no report here has. If
the cell is a text with several numbers, a fifth part counts them from 0. A column that ends with ` %` is in per cent in
the report and a share on the page.
Differences are printed; `--write` writes the numbers of the reports into the pages.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEYS = ROOT / "docs" / "figures.json"
PERCENT = re.compile(r"(?<![\w.])-?\d+\.\d\b(?!\.\d)")
FIGURE = re.compile(r"\b\d\.\d{3}\b|(?<=\| )\d+(?= \|)")
"""A number to three places, or a cell that is a count. Pages of `IN_PERCENT` have numbers to one place."""
IN_PERCENT = ("docs/dialogues.md", "docs/transfer.md")
SECTION = {
    "README.md": ("## How good is it", "## Limits"),
    "docs/speed.md": ("## Texts with 8-bit integers", "## Half precision"),
}
"""The part of a page that is compared. Pages without an entry are compared as a whole."""


def pattern(page: str) -> re.Pattern[str]:
    """What counts as a figure on a page."""
    return PERCENT if page in IN_PERCENT else FIGURE


def blocks(page: str, text: str) -> list[str]:
    """The rows of tables, items of lists and paragraphs of a page's text that hold a figure, in order."""
    pieces = re.split(r"\n\s*\n|\n(?=\||- |#)", text)
    return [piece.strip() for piece in pieces if pattern(page).search(piece)]


def section(page: str, text: str) -> str:
    """What of a page is compared."""
    begin, end = SECTION.get(page, ("", ""))
    return text[text.index(begin) : text.index(end) if end else None]


@cache
def report(place: str) -> dict[str, Any]:
    """A report by its folder under `docs`."""
    content: dict[str, Any] = json.loads((ROOT / "docs" / place / "report.json").read_text())
    return content


def figure(page: str, key: str) -> str:
    """What a key stands for, to as many places as the page has.

    Raises:
        KeyError: no report has that table, row or column, or several rows are called so.
    """
    if key.startswith("= "):
        return key[2:]
    place, table, row, column, *position = key.split(" / ")
    content, unit = report(place), 100 if column.endswith(" %") else 1
    column = column.removesuffix(" %")
    if table not in content["tables"]:  # a line of prose; `row` and `column` count lines and figures
        return re.findall(r"\d\.\d{3}|\d+", content[table][int(row)])[int(column)]
    records = [record for record in content["tables"][table] if row in names(record)]
    if len(records) != 1 or column not in records[0]:
        raise KeyError(f"{key}: {len(records)} rows of that name in {place}/report.json, or no such column")
    if position:  # one of several numbers of a text
        return re.findall(r"-?\d+\.\d+", records[0][column])[int(position[0])]
    return f"{records[0][column] / unit:.{1 if page in IN_PERCENT else 3}f}"


def names(record: dict[str, Any]) -> list[str]:
    """What a row of a report may be called: by its first column, or by its first two."""
    first = [str(value) for value in list(record.values())[:2]]
    return [first[0], ", ".join(first)]


def faults(page: str, text: str, keys: list[tuple[str, list[str]]]) -> list[str]:
    """How the figures of a page differ from their reports."""
    page_blocks = blocks(page, section(page, text))
    wrong = []
    if len(page_blocks) != len(keys):
        wrong.append(f"{page}: {len(page_blocks)} rows and paragraphs have figures, docs/figures.json has {len(keys)}")
    for block, (beginning, of_block) in zip(page_blocks, keys, strict=False):
        if not block.startswith(beginning):
            wrong.append(f"{page}: expected {beginning!r}, found {block[:60]!r}")
            continue
        page_figures, printed = pattern(page).findall(block), [figure(page, key) for key in of_block]
        if page_figures != printed:
            wrong.append(f"{page}, {beginning!r}: {', '.join(page_figures)} given, {', '.join(printed)} printed")
    return wrong


def filled(page: str, text: str, keys: list[tuple[str, list[str]]]) -> str:
    """A page with what the reports hold in place of its figures."""
    before = section(page, text)
    printed = iter([figure(page, key) for _, of_block in keys for key in of_block])
    return text.replace(before, pattern(page).sub(lambda _: next(printed), before))


def main() -> None:
    """Compare, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the numbers of the reports into the pages")
    parsed = parser.parse_args()
    wrong = []
    for page, keys in json.loads(KEYS.read_text()).items():
        text = (ROOT / page).read_text()
        wrong += faults(page, text, keys)
        if parsed.write:
            (ROOT / page).write_text(filled(page, text, keys))
    print("\n".join(wrong) or "every figure is that of its report")
    sys.exit(bool(wrong) and not parsed.write)


if __name__ == "__main__":
    main()
