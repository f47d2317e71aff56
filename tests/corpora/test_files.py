import gzip

import pandas as pd
import pytest

from emoembed.corpora.files import media_files, numbers, read_csv, read_jsonl, read_text
from emoembed.errors import CorpusError, MissingFileError


def test_text_may_be_compressed_and_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress("\ufeffein Tag für mich".encode()))
    assert read_text(path) == "ein Tag für mich"


def test_text_of_another_encoding_is_named_with_its_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo \x92\n")
    with pytest.raises(CorpusError, match=r"a\.txt, line 2: expected UTF-8 text, found byte 0x92"):
        read_text(path)


def test_truncated_gzip_is_a_corpus_error(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"some text")[:-6])
    with pytest.raises(CorpusError, match=r"a\.gz: cannot be read"):
        read_text(path)


def test_cells_are_read_as_written(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,id\n"NA, null",007\n,None\n')
    assert read_csv(path, ("id", "text")).to_dict("list") == {"text": ["NA, null", ""], "id": ["007", "None"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\na\n", r"line 2: 1 cells; expected 2 \(id, text\)"),
        ("id,text\na,b\nc,d,e\n", "line 3: 3 cells; expected 2"),
        ('id,text\na,"b\nc,d\n', "line 3: unexpected end of data"),
        ("id,words\na,b\n", "no column 'text'; the columns found are id, words"),
        ("id,id,text\na,b,c\n", "the columns id, id, text contain a name twice"),
        ("", "no column 'id'; the columns found are none"),
    ],
)
def test_malformed_table_is_named_with_the_place(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_csv(path, ("id", "text"))
    assert str(path) in str(caught.value)


def test_surplus_cells_of_every_row_are_not_taken_for_an_index(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("x\ty\tz\nx\ty\tz\n")
    with pytest.raises(CorpusError, match=r"3 cells; expected 2"):
        read_csv(path, ("id", "text"), sep="\t", header=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": "a"}\n\n{"id": \n', "line 3: expected a JSON object: "),
        ("[1, 2]\n", r"line 1: expected a JSON object, found '\[1, 2\]'"),
        ('{"name": "a"}\n', "no column 'id'; the columns found are name"),
    ],
)
def test_malformed_json_lines_are_named_with_the_line(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(CorpusError, match=message):
        read_jsonl(path, ("id",))


def test_numbers_take_an_empty_cell_for_missing(tmp_path):
    table = pd.DataFrame({"start": ["1.5", "", None, 2]}, dtype=object)
    assert numbers(table, "start", tmp_path).tolist() == pytest.approx(
        [1.5, float("nan"), float("nan"), 2], nan_ok=True
    )


@pytest.mark.parametrize(("cell", "expected"), [("two", "a whole number"), ("1.5", "a whole number")])
def test_numbers_name_the_cell_that_is_none(tmp_path, cell, expected):
    table = pd.DataFrame({"turn": ["1", cell]})
    with pytest.raises(CorpusError, match=f"row 2, column turn: expected {expected}, found '{cell}'"):
        numbers(table, "turn", tmp_path, whole=True)


def test_media_files_are_found_at_any_depth_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b").mkdir()
    for place in ("b/1.wav", "2.WAV", "3.txt"):
        (tmp_path / place).touch()
    assert list(media_files(tmp_path, (".wav",), "<number>")) == ["1", "2"]


def test_media_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "again").mkdir()
    for place in ("1.wav", "again/1.wav"):
        (tmp_path / place).touch()
    with pytest.raises(CorpusError, match=r"1\.wav and .*again/1\.wav have the same name; keep one"):
        media_files(tmp_path, (".wav",), "<number>")


def test_no_media_files_says_what_was_looked_for(tmp_path):
    with pytest.raises(MissingFileError, match=r"holds no file named <number> with suffix \.wav, \.flac"):
        media_files(tmp_path, (".wav", ".flac"), "<number>")


@pytest.mark.parametrize("cell", [10**400, -(10**400)])
def test_an_integer_that_no_float_can_hold_is_named(tmp_path, cell):
    table = pd.DataFrame({"start": [1.5, cell]}, dtype=object)
    with pytest.raises(CorpusError, match="row 2, column start: expected a number, found"):
        numbers(table, "start", tmp_path)
