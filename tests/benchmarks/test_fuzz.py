"""A hundred and more damaged files end in an answer or in one of the package's own errors, and soon."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("kind", "count"),
    [("media", 150), ("tables", 150), ("transcripts", 200), ("stores", 600), ("checkpoints", 200)],
)
def test_damaged_files_end_in_an_answer_or_an_own_error(fuzz, kind, count):
    table, faults = fuzz.run(count, 7, [kind])
    assert faults == []
    row = table.iloc[0]
    assert row["answered"] + row["own errors"] == row["inputs"] > 0
    assert row["own errors"] > 0


def test_a_foreign_error_is_found(fuzz, monkeypatch):
    def broken(folder, model):
        yield "a.txt", b"content", lambda path: {}["a key that is not there"]

    monkeypatch.setitem(fuzz.KINDS, "stores", broken)
    table, faults = fuzz.run(10, 0, ["stores"], model=object())
    assert table.iloc[0]["foreign errors"] == 1
    assert faults == ["stores 0 a.txt: KeyError: 'a key that is not there'"]
