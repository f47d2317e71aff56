"""Tables of scores: written as they come, taken up where a run was stopped, and the same in the end."""

import io
import itertools
import json
import os

import pandas as pd
import pytest
from filelock import FileLock

from emoembed.corpora import manifest, table_files
from emoembed.encoders.recurrent import RecurrentSettings
from emoembed.errors import InputError, OutputError
from emoembed.features.text import word_feature_set
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.prediction.arguments import Options
from emoembed.prediction.manifests import scoring
from emoembed.prediction.progress import Progress
from emoembed.prediction.recognizer import Recognizer
from emoembed.training.build import build

LABELS = ["joy", "anger", "sadness"]


@pytest.fixture(scope="module")
def recognizer(word_table):
    columns = word_feature_set(word_table.dim).columns
    text = ModalityConfig(
        "words", "recurrent", 20, columns, RecurrentSettings(hidden=8), parts=LabelParts(vad_share=0.5)
    )
    return Recognizer(build({"text": text}, word_table))


@pytest.fixture
def rows(tmp_path):
    """Three hundred rows, some of which fail."""
    texts = ["joy", "zzzz", '"sunny, downcast"', "wrathful irate blue"] * 75
    lines = [f"r{i},{text},{i % 7}" for i, text in enumerate(texts)]
    (tmp_path / "in.csv").write_text("\n".join(["id,text,weekday", *lines]) + "\n")
    return tmp_path / "in.csv"


@pytest.fixture(autouse=True)
def _many_batches():
    """Rows are scored 32 at a time, so that three hundred have ten batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emoembed.prediction.manifests.batches.FLUSH_ROWS", 1)
        yield


class Stopped(BaseException):
    """As a kill: nothing catches it."""


def stopped_after(recognizer, monkeypatch, calls):
    """`predict` does not come back from the call after so many."""
    real, done = recognizer.predict, []

    def predict(*arguments, **options):
        if len(done) == calls:
            raise Stopped
        done.append(1)
        return real(*arguments, **options)

    monkeypatch.setattr(recognizer, "predict", predict)


def whole_and_interrupted(rows, recognizer, monkeypatch):
    """The table of a run that was left alone, and the place of one that was stopped after six calls."""
    whole, parts = rows.with_name("whole.csv"), rows.with_name("parts.csv")
    scoring.predict_manifest(recognizer, rows, LABELS, whole)
    stopped_after(recognizer, monkeypatch, 6)
    with pytest.raises(Stopped):
        scoring.predict_manifest(recognizer, rows, LABELS, parts)
    monkeypatch.undo()
    return whole, parts


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".xlsx"])
@pytest.mark.parametrize("calls", [0, 1, 5, 8])
def test_a_run_that_was_stopped_goes_on_and_ends_in_the_same_table(rows, recognizer, monkeypatch, suffix, calls):
    whole, parts = rows.with_name(f"whole{suffix}"), rows.with_name(f"parts{suffix}")
    expected = scoring.predict_manifest(recognizer, rows, LABELS, whole)
    stopped_after(recognizer, monkeypatch, calls)
    with pytest.raises(Stopped):
        scoring.predict_manifest(recognizer, rows, LABELS, parts)
    monkeypatch.undo()
    assert not parts.exists()
    summary = scoring.predict_manifest(recognizer, rows, LABELS, parts)
    assert summary.resumed == {0: 0, 1: 0, 5: 128, 8: 256}[calls]
    assert (summary.rows, summary.failures, summary.absent) == (expected.rows, expected.failures, expected.absent)
    if suffix == ".xlsx":  # which holds the time it was written
        pd.testing.assert_frame_equal(pd.read_excel(parts), pd.read_excel(whole))
    else:
        assert parts.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in rows.parent.iterdir()) == sorted([rows.name, whole.name, parts.name])


def test_half_a_row_at_the_end_does_not_count(rows, recognizer, monkeypatch):
    whole, parts = whole_and_interrupted(rows, recognizer, monkeypatch)
    with parts.with_name("parts.csv.part").open("a") as out:
        out.write('r999,"half a')
    scoring.predict_manifest(recognizer, rows, LABELS, parts)
    assert parts.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("change", ["labels", "rows", "options", "model"])
def test_what_was_made_from_something_else_is_not_gone_on_with(rows, recognizer, word_table, monkeypatch, change):
    output = rows.with_name("out.csv")
    stopped_after(recognizer, monkeypatch, 6)
    with pytest.raises(Stopped):
        scoring.predict_manifest(recognizer, rows, LABELS, output)
    monkeypatch.undo()
    options = {}
    labels, model = LABELS, recognizer
    if change == "labels":
        labels = {**dict.fromkeys(LABELS, ""), "joy": "a bad day"}
    elif change == "rows":
        rows.write_text(rows.read_text().replace("r299,wrathful", "r299,sunny"))
    elif change == "options":
        options = {"multi_label": True}
    else:
        model = Recognizer(build({"text": recognizer.model.config.modalities["text"]}, word_table, seed=1))
    assert scoring.predict_manifest(model, rows, labels, output, **options).resumed == 0


def test_rows_are_on_the_disk_every_hundred(rows, recognizer, monkeypatch):
    stopped_after(recognizer, monkeypatch, 7)
    with pytest.raises(Stopped):
        scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"))
    state = json.loads(rows.with_name("out.csv.part.json").read_text())
    part = rows.with_name("out.csv.part").read_bytes()[: state["bytes"]]
    assert part.startswith(b"id,text,weekday,label,confidence,notes,absent,weight_text,joy,anger,sadness,error\n")
    assert part.count(b"\n") == state["rows"] + 1 >= 7 * 32 - 100


def test_two_processes_at_one_output_are_told(rows, recognizer):
    output = rows.with_name("out.csv")
    with FileLock(str(output) + ".part.lock"), pytest.raises(OutputError, match="another process is writing"):
        scoring.predict_manifest(recognizer, rows, LABELS, output)
    scoring.predict_manifest(recognizer, rows, LABELS, output)


def test_a_link_as_output_is_followed(rows, recognizer):
    (rows.parent / "real.csv").write_text("before")
    (rows.parent / "link.csv").symlink_to(rows.parent / "real.csv")
    scoring.predict_manifest(recognizer, rows, LABELS, rows.parent / "link.csv")
    assert (rows.parent / "link.csv").is_symlink()
    assert len(pd.read_csv(rows.parent / "real.csv")) == 300


def test_a_manifest_is_not_overwritten_through_a_link(rows, recognizer):
    (rows.parent / "link.csv").symlink_to(rows)
    with pytest.raises(InputError, match="is the input itself"):
        scoring.predict_manifest(recognizer, rows, LABELS, rows.parent / "link.csv")


def test_columns_of_the_manifest_come_along(tmp_path, recognizer):
    (tmp_path / "in.csv").write_text("text;age;label\njoy;33;old\nzzzz;44;\n")
    scoring.predict_manifest(recognizer, tmp_path / "in.csv", LABELS, tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv")
    own = ["label", "confidence", "notes", "absent", "weight_text", *LABELS, "error"]
    assert list(written) == ["id", "text", "age", "input_label", *own]
    assert list(written["age"]) == [33, 44]
    assert list(written["id"]) == [1, 2]
    assert written["error"][1] == "no word of 'zzzz' has a vector"


def test_notes_stand_in_the_table(tmp_path, recognizer):
    (tmp_path / "in.jsonl").write_text('{"text": "joy qqq www eee rrr"}\n')
    scoring.predict_manifest(recognizer, tmp_path / "in.jsonl", LABELS, tmp_path / "out.jsonl")
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row["notes"].startswith("text not-understood: 1 of 5 words are known")
    assert row["confidence"] == 0.0


def test_progress_is_a_line_where_there_is_no_terminal(rows, recognizer, monkeypatch, capsys):
    monkeypatch.setattr("emoembed.prediction.progress.EVERY", 0.0)
    scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"), progress=True)
    assert "in: 300 of 300, less than a minute left" in capsys.readouterr().err


def test_rows_that_are_noted_as_written_are_on_the_disk(rows, recognizer, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda held: (synced.append(os.fstat(held).st_ino), sync(held))[1])
    scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"))
    assert rows.with_name("out.csv").stat().st_ino in synced


def test_a_part_that_is_shorter_than_noted_is_begun_anew(rows, recognizer, monkeypatch):
    whole, parts = whole_and_interrupted(rows, recognizer, monkeypatch)
    with parts.with_name("parts.csv.part").open("r+b") as out:
        out.truncate(500)
    assert scoring.predict_manifest(recognizer, rows, LABELS, parts).resumed == 0
    assert parts.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("state", ["[" * 200_000, "[1]", "null", '{"rows": -5, "bytes": -5, "made_from": "x"}'])
def test_a_part_with_a_damaged_note_is_begun_anew(rows, recognizer, monkeypatch, state):
    whole, parts = whole_and_interrupted(rows, recognizer, monkeypatch)
    parts.with_name("parts.csv.part.json").write_text(state)
    assert scoring.predict_manifest(recognizer, rows, LABELS, parts).resumed == 0
    assert parts.read_bytes() == whole.read_bytes()


def test_a_batch_of_no_texts_is_refused(rows, recognizer):
    with pytest.raises(InputError, match="batch_size must be a whole number of at least 1; given 0"):
        scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"), batch_size=0)


def test_a_stopped_run_of_another_table_does_not_leave_rows_to_this_one(rows, recognizer, monkeypatch):
    output = rows.with_name("out.csv")
    with monkeypatch.context() as patch:
        stopped_after(recognizer, patch, 4)
        with pytest.raises(Stopped):
            scoring.predict_manifest(recognizer, rows, LABELS, output)
    with monkeypatch.context() as patch:  # stopped before its first row is noted, but with other rows in the file
        stopped_after(recognizer, patch, 5)
        patch.setattr("emoembed.prediction.manifests.resumable_table.FLUSH_ROWS", 10_000)
        with pytest.raises(Stopped):
            scoring.predict_manifest(recognizer, rows, [*LABELS, "fear", "disgust", "surprise"], output)
    scoring.predict_manifest(recognizer, rows, LABELS, output)
    written = output.read_bytes()
    scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("whole.csv"))
    assert written == rows.with_name("whole.csv").read_bytes()


def test_another_version_begins_anew(rows, recognizer, monkeypatch):
    stopped_after(recognizer, monkeypatch, 6)
    with pytest.raises(Stopped):
        scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"))
    monkeypatch.undo()
    monkeypatch.setattr("emoembed.__version__", "99")
    assert scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv")).resumed == 0


def test_progress_is_a_line_every_thirty_seconds_with_the_time_that_is_left(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("emoembed.prediction.progress.time.monotonic", lambda: now[0])
    with Progress(700, "in", begin=100) as shown, Progress(9, "unseen", shown=False) as unseen:
        for second in range(0, 100, 10):
            now[0] = float(second)
            shown.to(100 + second)
            unseen.to(9)
    said = [f"in: {100 + second} of 700, {minutes} minutes left" for second, minutes in ((30, 10), (60, 9), (90, 8))]
    assert capsys.readouterr().err.splitlines() == said


def test_progress_is_a_bar_on_a_terminal_that_ends_where_the_rows_do(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(10, "in", begin=2) as shown:
        for done in (4, 7, 10):
            shown.to(done)
    assert "10/10" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_rows_are_on_the_disk_every_ten_seconds(rows, recognizer, monkeypatch):
    monkeypatch.setattr(
        "emoembed.prediction.manifests.resumable_table.time.monotonic", itertools.count(0.0, 11.0).__next__
    )
    stopped_after(recognizer, monkeypatch, 1)
    with pytest.raises(Stopped):
        scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"))
    assert json.loads(rows.with_name("out.csv.part.json").read_text())["rows"] == 32


def test_an_output_that_could_not_be_begun_can_be_written_afterwards(rows, recognizer):
    rows.with_name("out.csv.part").mkdir()
    with pytest.raises(OutputError, match="cannot be written: Is a directory") as told:
        scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"))
    rows.with_name("out.csv.part").rmdir()
    assert scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv")).rows == 300, told


def test_progress_says_so_when_nothing_is_done_yet(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr("emoembed.prediction.progress.time.monotonic", lambda: now[0])
    with Progress(9, "in", begin=4) as shown:
        now[0] = 31.0
        shown.to(4)
    assert capsys.readouterr().err == "in: 4 of 9, less than a minute left\n"


def test_lists_in_a_manifest_come_along_as_texts(tmp_path, recognizer):
    pd.DataFrame({"text": ["joy"], "tags": [["a", "b"]]}).to_parquet(tmp_path / "in.parquet")
    scoring.predict_manifest(recognizer, tmp_path / "in.parquet", LABELS, tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["tags"][0] == manifest.SEPARATOR.join("ab")


def test_no_bar_is_shown_that_was_not_asked_for(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    with Progress(10, "in", shown=False) as unseen:
        unseen.to(10)
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".xlsx"])
def test_strange_cells_are_written_and_read_again(tmp_path, recognizer, suffix):
    cells = ["so\rsunny", "two\nlines", "bell \x07", "x" * 200_000, 1, 2**70, "=1+1", 'quote "', None]
    rows = [{"id": f"r{i}", "text": "sunny", "own": cell} for i, cell in enumerate(cells)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / f"out{suffix}"
    scoring.predict_manifest(recognizer, tmp_path / "in.jsonl", LABELS, output)
    table = table_files.read_table(output, ())
    assert list(table["id"]) == [row["id"] for row in rows]
    assert set(table["label"]) <= set(LABELS)
    if suffix != ".xlsx":
        assert [table["own"].iloc[place] for place in (0, 1, 3)] == [cells[place] for place in (0, 1, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.jsonl", output.name])


def test_media_that_were_changed_meanwhile_are_scored_anew(tmp_path, recognizer, corpus_of):
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"one")
    corpus = corpus_of(["joy"] * 2, audio=[str(tmp_path / "a.wav"), str(tmp_path / "b.wav")])

    def made_from():
        names = [*LABELS]
        return scoring.fingerprint(recognizer, corpus, LABELS, names, Options(), {})

    before = made_from()
    assert made_from() == before
    (tmp_path / "b.wav").write_bytes(b"another")
    assert made_from() != before


def test_columns_that_are_called_like_those_of_the_output_all_stay(tmp_path, recognizer):
    (tmp_path / "in.csv").write_text("id,text,label,input_label,joy\na,sunny,mine,older,7\n")
    scoring.predict_manifest(recognizer, tmp_path / "in.csv", LABELS, tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv")
    held = {str(table[name].iloc[0]) for name in table if name.startswith("input_")}
    assert held == {"mine", "older", "7"}
    assert table["label"].iloc[0] in LABELS


def test_a_private_table_stays_private(tmp_path, recognizer, rows):
    (tmp_path / "out.csv").touch(mode=0o600)
    scoring.predict_manifest(recognizer, rows, LABELS, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600


def test_a_link_to_a_file_of_no_known_form_is_refused_before_the_work(tmp_path, recognizer, rows):
    (tmp_path / "out.xlsx").symlink_to(tmp_path / "store.dat")
    with pytest.raises(InputError, match=r"store\.dat: a table is one of"):
        scoring.predict_manifest(recognizer, rows, LABELS, tmp_path / "out.xlsx")


@pytest.mark.parametrize("name", ["a\0b.csv", "loop/out.csv", "file.txt/out.csv"])
def test_an_output_that_cannot_be_is_told_before_the_work(tmp_path, recognizer, rows, name):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file.txt").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        scoring.predict_manifest(recognizer, rows, LABELS, f"{tmp_path}/{name}")


def test_columns_with_other_names_keep_them_in_the_table(recognizer, tmp_path):
    (tmp_path / "in.csv").write_text("id,Q5,labels,Name\n1,sunny,joy,R_1\n2,wrathful,anger,R_2\n")
    columns = {"text": "Q5", "id": "Name"}
    summary = scoring.predict_manifest(
        recognizer, tmp_path / "in.csv", LABELS, tmp_path / "out.csv", columns=columns, workers=1
    )
    table = pd.read_csv(tmp_path / "out.csv")
    assert summary.rows == 2
    assert list(table)[:6] == ["id", "input_id", "Q5", "labels", "Name", "label"]
    assert table["id"].tolist() == ["R_1", "R_2"]
    expected = recognizer.predict(["sunny", "wrathful"], labels=LABELS)
    assert table["label"].tolist() == [result.label for result in expected]
