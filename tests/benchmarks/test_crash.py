"""Runs are killed before their end, and what a kill destroys is counted."""

import time

import crash
import pytest


def write_whole(path):
    """Takes a while, then writes everything at once."""
    time.sleep(0.4)
    temporary = path.with_suffix(".part")
    temporary.write_text("all of it")
    temporary.replace(path)
    return 0


def write_in_place(path):
    """Goes on from whatever it finds, without knowing what of it is whole."""
    if path.exists():
        return 0
    with path.open("w") as out:
        for word in ("all", "of", "it"):
            out.write(word)
            out.flush()
            time.sleep(0.2)
    return 0


def fail_after_a_kill(path):
    if path.exists():
        return 1
    path.touch()
    time.sleep(0.4)
    path.unlink()
    path.write_text("x")
    return 0


@pytest.mark.parametrize(
    ("work", "identical", "lost"), [(write_whole, 2, 0), (write_in_place, 0, 0), (fail_after_a_kill, 0, 2)]
)
def test_runs_are_killed_until_as_many_as_asked_were_interrupted(tmp_path, monkeypatch, work, identical, lost):
    case = crash.Case(crash.partial(work, tmp_path / "out" / "file"), tmp_path / "out" / "file", crash._bytes)
    monkeypatch.setattr(crash, "DRAWS", 20)
    monkeypatch.setattr(crash, "cases", lambda folder: {"a command": case})
    row = crash.run(tmp_path, 2, 0).set_index("command").loc["a command"]
    assert row["interrupted"] == 2
    assert row["identical after rerun"] <= identical + (work is not write_whole)  # a kill before the first word
    assert row["identical after rerun"] >= identical
    assert lost - 1 <= row["lost"] <= lost
