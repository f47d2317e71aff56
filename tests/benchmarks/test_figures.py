"""The figures of README, of the cards and of the missed goals are those of the reports beside them."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACCURACY = (ROOT / "docs/accuracy.md").read_text()
GOALS = (ROOT / "docs/goals.md").read_text()
FIGURE = re.compile(r"\b\d\.\d{3}\b|\b\d\d\.\d\b(?! %)")
ROWS = re.findall(r"^\|(.+)\| \[[\w-]+\]\(report/([\w-]+)/report\.md\) \|$", ACCURACY, re.MULTILINE)


def numbers(content):
    """Every number of a report, to three places, and to one as percentages are written."""
    if isinstance(content, dict):
        return set().union(*map(numbers, content.values()))
    if isinstance(content, list):
        return set().union(*map(numbers, content))
    if isinstance(content, float):
        return {f"{content:.3f}", f"{content:.1f}"}
    return set(FIGURE.findall(content)) if isinstance(content, str) else set()


PAGES = json.loads((ROOT / "docs/figures.json").read_text())


@pytest.fixture(scope="module")
def figures():
    spec = importlib.util.spec_from_file_location("figures", ROOT / "benchmarks/figures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_is_that_of_its_cell(figures, page):
    assert figures.faults(page, (ROOT / page).read_text(), PAGES[page]) == []


def rows_of(line):
    return [row for row in ACCURACY.splitlines() if line in row]


def with_swapped_cells(text):
    """Two rows keep their names and exchange what was measured."""
    first, second = rows_of("FER2013, 7 emotions, accuracy") + rows_of("FER2013, 7 emotions, UAR")
    cells = [row.split("|") for row in (first, second)]
    cells[0][2:4], cells[1][2:4] = cells[1][2:4], cells[0][2:4]
    return text.replace(first, "|".join(cells[0])).replace(second, "|".join(cells[1]))


def with_another_figure(text):
    """The first row gets the figure of the second, which is of the same report."""
    first, second = rows_of("GoEmotions, 28 labels, macro-F1")[0], rows_of("GoEmotions, 28 labels, mean AUC")[0]
    cells = first.split("|")
    cells[2] = second.split("|")[2]
    return text.replace(first, "|".join(cells))


def with_a_stale_interval(text):
    first = rows_of("GoEmotions, 28 labels, macro-F1")[0]
    cells = first.split("|")
    cells[3] = re.sub(r"\d \Z", lambda digit: f"{(int(digit[0]) + 1) % 10} ", cells[3])
    return text.replace(first, "|".join(cells))


def with_swapped_rows(text):
    first, second = rows_of("the same: 8 examples")[:2]
    return text.replace(first, "%").replace(second, first).replace("%", second)


@pytest.mark.parametrize(
    "change",
    [
        with_another_figure,
        with_a_stale_interval,
        lambda text: text.replace("untrained sentence encoder 0.773", "untrained sentence encoder 0.774"),
        lambda text: text.replace(rows_of("GoEmotions, 28 labels, mean AUC")[0] + "\n", ""),
        lambda text: f"{text}\n| new row | 0.999 | | | x |\n",
        with_swapped_cells,
        with_swapped_rows,
    ],
)
def test_a_wrong_figure_a_stale_interval_and_swapped_rows_are_found(figures, change):
    page = "docs/accuracy.md"
    changed = change(ACCURACY)
    assert changed != ACCURACY
    assert figures.faults(page, changed, PAGES[page]) != []
    if len(figures.blocks(page, figures.section(page, changed))) == len(PAGES[page]):
        mended = figures.filled(page, changed, PAGES[page])
        assert (mended == ACCURACY) == (change not in (with_swapped_rows,))


def test_every_table_of_what_was_measured_names_its_reports():
    tabled = [line for line in ACCURACY.splitlines() if re.match(r"\|[^|]+\| \d", line)]
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


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
)
def test_what_is_linked_is_there(page):
    text = (ROOT / page).read_text()
    linked = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for place in linked:
        assert place.startswith("http") or ((ROOT / page).parent / place).exists(), place


def test_a_goal_is_called_missed_where_no_figure_reaches_it():
    compared = 0
    for row, _ in ROWS:
        what, measured, _, goal, *_ = row.split("|")
        stated = re.fullmatch(r"(\d\.\d+)(, missed)?", goal.strip())
        if stated:
            limit, values = float(stated[1]), [float(value) for value in FIGURE.findall(measured)]
            reached = min(values) <= limit if "calibration error" in what else max(values) >= limit
            assert reached == (stated[2] is None), row
            compared += 1
    assert compared > 15


def test_a_number_in_per_cent_and_one_of_several_in_a_cell_are_compared(figures):
    page = "docs/dialogues.md"
    text = (ROOT / page).read_text()
    for number in ("54.5", "(8.2 to 12.5)", "(-0.2 to 1.5)"):
        assert number in text
        changed = text.replace(number, number.replace("2", "3").replace("4", "8"))
        assert figures.faults(page, changed, PAGES[page]) != []
        assert figures.filled(page, changed, PAGES[page]) == text
