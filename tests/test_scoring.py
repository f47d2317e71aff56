"""Tables of scores: written as they come, taken up where a run was stopped, and the same in the end."""

import json

import pandas as pd
import pytest
from filelock import FileLock

from emoembed import recipes, scoring
from emoembed.errors import InputError, OutputError
from emoembed.features.text import word_feature_set
from emoembed.model_config import ModalityConfig
from emoembed.projections import LabelParts
from emoembed.recognizer import Recognizer

LABELS = ["joy", "anger", "sadness"]


@pytest.fixture(scope="module")
def recognizer(word_table):
    columns = word_feature_set(word_table.dim).columns
    text = ModalityConfig("words", "recurrent", 20, columns, {"hidden": 8}, parts=LabelParts(vad_share=0.5))
    return Recognizer(recipes.build({"text": text}, word_table))


@pytest.fixture
def rows(tmp_path):
    """Three hundred rows, some of which fail."""
    texts = ["joy", "zzzz", '"sunny, downcast"', "wrathful irate blue"] * 75
    lines = [f"r{i},{text},{i % 7}" for i, text in enumerate(texts)]
    (tmp_path / "in.csv").write_text("\n".join(["id,text,weekday", *lines]) + "\n")
    return tmp_path / "in.csv"


class Stopped(BaseException):
    """As a kill: nothing catches it."""


def stopped_after(recognizer, monkeypatch, calls):
    """`predict` does not come back from the call after so many."""
    real, done = recognizer.predict, []

    def predict(*given, **options):
        if len(done) == calls:
            raise Stopped
        done.append(1)
        return real(*given, **options)

    monkeypatch.setattr(recognizer, "predict", predict)


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
    whole, parts = rows.with_name("whole.csv"), rows.with_name("parts.csv")
    scoring.predict_manifest(recognizer, rows, LABELS, whole)
    stopped_after(recognizer, monkeypatch, 6)
    with pytest.raises(Stopped):
        scoring.predict_manifest(recognizer, rows, LABELS, parts)
    monkeypatch.undo()
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
        model = Recognizer(recipes.build({"text": recognizer.model.config.modalities["text"]}, word_table, seed=1))
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
    with pytest.raises(InputError, match="is the manifest itself"):
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
    monkeypatch.setattr("emoembed.progress.EVERY", 0.0)
    scoring.predict_manifest(recognizer, rows, LABELS, rows.with_name("out.csv"), progress=True)
    assert "in: 300 of 300, 0 minutes left" in capsys.readouterr().err
