"""Files are replaced whole, and what a failed write began is cleaned up."""

import fcntl
import os
import subprocess
import sys
import time

import pytest

from emoembed.errors import MissingFileError, OutputError
from emoembed.features import atomic


def test_a_file_is_replaced_whole_with_its_permissions(tmp_path):
    place = tmp_path / "a.csv"
    place.write_text("before")
    place.chmod(0o600)
    atomic.write_file(place, b"after")
    assert place.read_bytes() == b"after"
    assert place.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_full_disk_leaves_what_stood_there_and_nothing_else(tmp_path):
    (tmp_path / "a.csv").write_text("before")
    code = (
        "import resource, sys; from pathlib import Path; from emoembed.features.atomic import write_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_file(Path(sys.argv[1]), bytes(5000))\n"
        "except OSError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.csv")], capture_output=True, text=True)
    assert "OutputError" in done.stdout, done.stderr
    assert "a.csv cannot be written: File too large; its old content is unchanged" in done.stdout
    assert (tmp_path / "a.csv").read_text() == "before"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real.csv").write_text("before")
    (tmp_path / "link.csv").symlink_to("real.csv")
    atomic.write_file(tmp_path / "link.csv", b"after")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"after"


@pytest.mark.parametrize("name", ["a\0.png", "a\ud800.png"])
def test_a_name_that_no_file_can_have_is_told(tmp_path, name):
    with pytest.raises(OutputError, match=r"no file can be called .*; give another name"):
        atomic.write_file(tmp_path / name, b"content")
    with pytest.raises(OutputError, match=r"no file can be called .*; give another name"):
        atomic.write_folder(tmp_path / name, lambda folder: None)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path):
    left, fresh = tmp_path / f".a.csv.0123{atomic.SAVING}", tmp_path / f".a.csv.4567{atomic.SAVING}"
    for path in (left, fresh):
        path.write_text("half")
    os.utime(left, (time.time() - 100, time.time() - 100))
    atomic.write_file(tmp_path / "a.csv", b"whole")
    assert sorted(os.listdir(tmp_path)) == [fresh.name, "a.csv"]


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        atomic.write_file(tmp_path / "none" / "a.csv", b"x")
    with pytest.raises(MissingFileError, match="there is no folder"), atomic.reading(tmp_path / "none"):
        pass


def test_a_reader_keeps_the_folder_it_began_with(tmp_path):
    def fill(text):
        return lambda place: [(place / name).write_text(text) for name in ("one", "two")]

    atomic.write_folder(tmp_path / "a", fill("old"))
    with atomic.reading(tmp_path / "a") as held:
        first = (held / "one").read_text()
        code = (
            "import sys; from pathlib import Path; from emoembed.features import atomic; atomic.PATIENCE = 0.1\n"
            "atomic.write_folder(Path(sys.argv[1]), lambda p: [(p / n).write_text('new') for n in ('one', 'two')])"
        )
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True)
        assert (first, (held / "two").read_text()) == ("old", "old")
    assert (tmp_path / "a" / "two").read_text() == "new"


def test_a_file_and_a_folder_are_on_the_disk_before_they_take_their_place(tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda held: (synced.append(os.fstat(held).st_ino), sync(held))[1])
    atomic.write_file(tmp_path / "a.csv", b"x")
    atomic.write_folder(tmp_path / "b", lambda place: (place / "one").write_text("x"))
    assert {path.stat().st_ino for path in (tmp_path / "a.csv", tmp_path / "b" / "one", tmp_path)} <= set(synced)


def test_a_folder_can_be_read_by_others(tmp_path):
    def fill(place):
        (place / "one").write_text("x")
        (place / "one").chmod(0o600)

    atomic.write_folder(tmp_path / "a", fill)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "a" / "one").stat().st_mode & 0o777 == 0o644


def test_the_old_folder_is_kept_while_nothing_stands_in_its_place(tmp_path):
    old = tmp_path / f".a{atomic.REPLACED}"
    old.mkdir()
    (old / "one").write_text("old")

    def fill(_):
        raise OSError("no space")

    with pytest.raises(OutputError):
        atomic.write_folder(tmp_path / "a", fill)
    assert (atomic.standing(tmp_path / "a") / "one").read_text() == "old"


def test_names_with_signs_of_patterns_are_cleaned_up_after(tmp_path):
    left = tmp_path / f".a[1].csv.0123{atomic.SAVING}"
    left.write_text("half")
    os.utime(left, (time.time() - 100, time.time() - 100))
    atomic.write_file(tmp_path / "a[1].csv", b"whole")
    assert os.listdir(tmp_path) == ["a[1].csv"]


def test_an_abandoned_folder_that_somebody_reads_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "PATIENCE", 0.1)
    left = tmp_path / f".a.0123{atomic.SAVING}"
    left.mkdir()
    (left / "one").write_text("old")
    os.utime(left, (time.time() - 100, time.time() - 100))
    with atomic.reading(left) as held:
        atomic.write_folder(tmp_path / "a", lambda place: (place / "one").write_text("new"))
        assert (held / "one").read_text() == "old"
    atomic.write_folder(tmp_path / "a", lambda place: (place / "one").write_text("new"))
    assert os.listdir(tmp_path) == ["a"]


def test_what_may_still_be_written_is_left(tmp_path):
    left = tmp_path / f".a.csv.0123{atomic.SAVING}"
    left.write_text("half")
    os.utime(left, (time.time() - 40, time.time() - 40))
    atomic.write_file(tmp_path / "a.csv", b"whole")
    assert left.read_text() == "half"


def test_a_folder_that_is_replaced_while_it_is_opened_is_opened_again(tmp_path, monkeypatch):
    atomic.write_folder(tmp_path / "a", lambda place: (place / "one").write_text("old"))
    lock, replaced = fcntl.flock, []

    def late(held, how):
        if not replaced:
            replaced.append(True)
            atomic.write_folder(tmp_path / "a", lambda place: (place / "one").write_text("new"))
        return lock(held, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with atomic.reading(tmp_path / "a") as held:
        assert (held / "one").read_text() == "new"
