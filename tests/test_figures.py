"""README's figures are those of the reports beside it."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GOALS = (ROOT / "docs/goals.md").read_text()
FIGURE = re.compile(r"\b\d\.\d{3}\b")
ROWS = re.findall(r"^\|(.+)\| \[[\w-]+\]\(docs/report/([\w-]+)/report\.md\) \|$", README, re.MULTILINE)


def numbers(content):
    """Every number of a report, to three places."""
    if isinstance(content, dict):
        return set().union(*map(numbers, content.values()))
    if isinstance(content, list):
        return set().union(*map(numbers, content))
    if isinstance(content, float):
        return {f"{content:.3f}"}
    return set(FIGURE.findall(content)) if isinstance(content, str) else set()


@pytest.mark.parametrize("part", sorted({part for _, part in ROWS}))
def test_a_row_holds_what_its_report_printed(part):
    printed = numbers(json.loads((ROOT / "docs/report" / part / "report.json").read_text()))
    for row in [row for row, named in ROWS if named == part]:
        what, measured, interval = row.split("|")[:3]
        claimed = FIGURE.findall(measured + interval) + re.findall(r"untrained [a-z ]*(\d\.\d{3})", what)
        assert claimed or "labels below" in what, row
        assert not [one for one in claimed if one not in printed], row


def test_every_table_of_what_was_measured_names_its_reports():
    section = README[README.index("## How good is it") : README.index("## How fast is it")]
    tabled = [line for line in section.splitlines() if re.match(r"\|[^|]+\| \d", line)]
    assert len(tabled) == len(ROWS) > 30


@pytest.mark.parametrize("section", re.split(r"^## ", GOALS, flags=re.MULTILINE)[1:], ids=lambda one: one.split(":")[0])
def test_a_missed_goal_holds_what_its_tables_printed(section):
    linked = re.findall(r"\]\(([\w/-]+)/report\.md\)", section)
    printed = set().union(*(numbers(json.loads((ROOT / "docs" / one / "report.json").read_text())) for one in linked))
    claimed = FIGURE.findall(section)
    assert claimed
    assert not [one for one in claimed if one not in printed]


def test_every_missed_goal_says_what_was_tried():
    missed = [row.split("|") for row, _ in ROWS if "missed" in row]
    for _, measured, _, goal, *_ in missed:
        assert [one for one in FIGURE.findall(measured) if one in GOALS], measured
        assert re.search(rf"\b{re.split('[,;]', goal)[0].strip()}\b", GOALS), goal
    assert len(missed) > 5


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/stand-in.md", "docs/goals.md"])
def test_what_is_linked_is_there(page):
    text = (ROOT / page).read_text()
    linked = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for place in linked:
        assert place.startswith("http") or ((ROOT / page).parent / place).exists(), place
