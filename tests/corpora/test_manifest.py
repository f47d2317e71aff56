import csv
import os

import numpy as np
import pandas as pd
import pytest

from emoembed.corpora import manifest, table_files
from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.errors import CorpusError, InputError, MissingFileError


@pytest.fixture
def corpus(tmp_path):
    samples = make_samples(
        ["a", "b", "c"],
        text=['He said, "no"\nand\r went', None, "ça va?"],
        audio=[str(tmp_path / "a.wav"), None, None],
        video=[None, str(tmp_path / "b.mp4"), None],
        start=[0.25, float("nan"), 1.5],
        end=[1.0, float("nan"), float("nan")],
        labels=[("Joy", "mild surprise"), (), ("Joy",)],
        split=["train", "valid", "test"],
        speaker=["x", None, None],
        dialogue=[None, "d", "d"],
        turn=[None, 0, 1],
    )
    return Corpus("mine", samples, ("Joy", "mild surprise"), multi_label=True)


@pytest.mark.filterwarnings("ignore:.*rows without a label count")
@pytest.mark.parametrize("suffix", table_files.SUFFIXES)
def test_what_was_written_is_read(corpus, tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet manifests need pyarrow")
    if suffix == ".xlsx":  # where a carriage return is the end of a line
        corpus.samples["text"] = (
            corpus.samples["text"].str.replace("\r", "").where(corpus.samples["text"].notna(), None)
        )
    path = tmp_path / f"mine{suffix}"
    manifest.write(corpus, path)
    again = manifest.read(path)
    pd.testing.assert_frame_equal(again.samples, corpus.samples)
    assert (again.name, again.labels, again.multi_label) == (corpus.name, corpus.labels, corpus.multi_label)
    assert os.listdir(tmp_path) == [path.name]


def test_ids_alone_with_text_are_enough(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,text,age\n007,hello,33\n")
    corpus = manifest.read(path)
    row = corpus.samples.iloc[0]
    assert (row["id"], row["text"], row["labels"], row["split"], row["age"]) == ("007", "hello", (), "train", "33")
    assert row["audio"] is None
    assert np.isnan(row["start"])
    assert corpus.labels == ()
    assert not corpus.multi_label


def test_paths_are_relative_to_the_manifest(tmp_path, monkeypatch):
    (tmp_path / "lists").mkdir()
    path = tmp_path / "lists" / "mine.csv"
    path.write_text("id,audio,video\na,../a.wav,/videos/a.mp4\n")
    monkeypatch.chdir(tmp_path)
    row = manifest.read("lists/mine.csv").samples.iloc[0]
    assert row["audio"] == str(tmp_path / "a.wav")
    assert row["video"] == "/videos/a.mp4"


@pytest.mark.filterwarnings("ignore:.*rows without a label count")
def test_labels_stay_as_written_and_repeat_nowhere(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,text,labels\na,x,so so|JOY||JOY\nb,x,\nc,x,fear\nd,x,awe\n")
    corpus = manifest.read(path)
    assert list(corpus.samples["labels"]) == [("so so", "JOY"), (), ("fear",), ("awe",)]
    assert corpus.labels == ("JOY", "awe", "fear", "so so")


@pytest.mark.parametrize("cell", ["joy;hope", '"joy,hope"'])
def test_labels_joined_by_another_mark_are_refused(tmp_path, cell):
    (tmp_path / "m.csv").write_text(f"id,text,labels\na,x,{cell}\n")
    with pytest.raises(CorpusError, match=r"label 'joy.hope' holds several names; join labels with '\|': joy\|hope"):
        manifest.read(tmp_path / "m.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_separators_and_encodings_people_have(tmp_path, separator, encoding):
    rows = (" id ", "text", "mood"), ("a", 'ça va, "mon ami"; oui', "gut"), ("b", "déjà vu", "")
    quoted = [['"' + cell.replace('"', '""') + '"' if " va" in cell else cell for cell in row] for row in rows]
    path = tmp_path / "M.CSV"
    path.write_bytes("\n".join(separator.join(row) for row in quoted).encode(encoding))
    if encoding == "cp1252":
        with pytest.warns(UserWarning, match="is not UTF-8 and was read as Windows-1252"):
            samples = manifest.read(path).samples
    else:
        samples = manifest.read(path).samples
    assert list(samples["id"]) == ["a", "b"]
    assert list(samples["text"]) == [rows[1][1], rows[2][1]]
    assert list(samples["mood"]) == ["gut", ""]


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"text\n\x81\x8d\n")
    with pytest.raises(CorpusError, match=r"m\.csv: expected text in UTF-8, UTF-16 or Windows-1252"):
        manifest.read(tmp_path / "m.csv")


def test_rows_without_ids_are_numbered(tmp_path):
    (tmp_path / "m.tsv").write_text("text\thow\nhello\tloud\nbye\tsoft\n")
    assert list(manifest.read(tmp_path / "m.tsv").samples["id"]) == ["1", "2"]


def test_a_folder_and_a_pattern_stand_for_their_files(tmp_path):
    for name in ("a.wav", "b.MP3", "c.txt", "in/d.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    whole = manifest.of_files("audio", [tmp_path]).samples
    assert [os.path.basename(path) for path in whole["audio"]] == ["a.wav", "b.MP3", "d.flac"]
    assert list(manifest.of_files("audio", [tmp_path / "*.wav"]).samples["audio"]) == [str(tmp_path / "a.wav")]
    with pytest.raises(MissingFileError, match=r"no\*\.wav holds no audio file"):
        manifest.of_files("audio", [tmp_path / "no*.wav"])
    with pytest.raises(MissingFileError, match=r"there is no .*none\.wav"):
        manifest.of_files("audio", [tmp_path / "none.wav"])


@pytest.mark.filterwarnings("ignore:.*rows without a label count")
def test_jsonl_may_list_labels_and_leave_fields_out(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": 1, "text": "x", "labels": ["joy", "love"]}\n{"id": 2, "audio": "b.wav", "turn": 3}\n')
    samples = manifest.read(path).samples
    assert list(samples["id"]) == ["1", "2"]
    assert list(samples["labels"]) == [("joy", "love"), ()]
    assert samples["text"].iloc[1] is None
    assert samples["turn"].iloc[1] == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "id,words\na,x\n",
            "no column 'text', 'audio' or 'video'; at least one is needed; the columns found are 'words'",
        ),
        ("id,text\na,x\na,y\n", "row 2, column id: 'a' is also in row 1"),
        ("id,text\na,x\n,y\n", "row 2, column id: empty"),
        ("id,text,start\na,x,soon\n", "row 1, column start: expected a number, found 'soon'"),
        ("id,text,turn\na,x,1.5\n", "row 1, column turn: expected a whole number, found '1.5'"),
        ("id,text,split\na,x,holdout\n", "row 1, column split: 'holdout' is not a split; expected train, valid, test"),
    ],
)
def test_a_malformed_manifest_is_named_with_the_place(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(CorpusError, match=message) as caught:
        manifest.read(path)
    assert str(path) in str(caught.value)


def test_listed_labels_are_tidied_like_joined_ones(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"id": "a", "text": "x", "labels": ["joy", null, "", " anger ", "joy"]}\n')
    assert manifest.read(path).samples["labels"][0] == ("joy", "anger")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "mine.parquet").write_text("id,text\n")
    with pytest.raises(CorpusError, match=r"mine\.parquet cannot be read as \.parquet"):
        manifest.read(tmp_path / "mine.parquet")


def test_a_time_without_end_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("id,audio,start,end\na,x.wav,0,inf\n")
    with pytest.raises(CorpusError, match="row 1, column end: expected a number, found 'inf'"):
        manifest.read(tmp_path / "mine.csv")


def test_a_manifest_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"there is no .*mine\.csv"):
        manifest.read(tmp_path / "mine.csv")


def test_another_format_is_refused(corpus, tmp_path):
    (tmp_path / "mine.ods").touch()
    for call in (lambda path: manifest.read(path), lambda path: manifest.write(corpus, path)):
        with pytest.raises(CorpusError, match=r"expected a manifest with suffix \.csv, .*\.xlsx; found '\.ods'"):
            call(tmp_path / "mine.ods")


def test_a_label_that_holds_the_separator_is_refused(tmp_path):
    corpus = Corpus("mine", make_samples(["a"], labels=[("a|b",)], split="train"), ("a|b",), multi_label=False)
    with pytest.raises(CorpusError, match=r"label 'a\|b' holds '\|'"):
        manifest.write(corpus, tmp_path / "mine.csv")


def test_columns_are_known_whatever_their_case(tmp_path):
    (tmp_path / "m.csv").write_text("ID,Text,Labels,Own\na,we made it,joy,1\n")
    corpus = manifest.read(tmp_path / "m.csv")
    assert corpus.samples["text"].tolist() == ["we made it"]
    assert corpus.samples["id"].tolist() == ["a"]
    assert corpus.samples["labels"].tolist() == [("joy",)]


def test_a_cell_of_any_length_is_read_and_the_limit_of_others_stays(tmp_path):
    before = csv.field_size_limit()
    (tmp_path / "m.csv").write_text(f"id,text\na,{'x' * 200_000}\n")
    assert len(manifest.read(tmp_path / "m.csv").samples["text"].iloc[0]) == 200_000
    assert csv.field_size_limit() == before


def test_an_empty_file_is_called_empty(tmp_path):
    (tmp_path / "m.csv").write_text("")
    with pytest.raises(CorpusError, match="empty"):
        manifest.read(tmp_path / "m.csv")


def test_texts_that_excel_and_pandas_would_change_stay(tmp_path):
    texts = ["None", "NA", "n/a", "=) so happy", "=D", "ab", None]
    path = tmp_path / "mine.xlsx"
    path.write_bytes(table_files.table_bytes(pd.DataFrame({"id": list("abcdefg"), "text": texts}), path))
    assert manifest.read(path).samples["text"].tolist() == texts


def test_a_carriage_return_in_a_cell_is_written_so_that_it_is_read_again(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(table_files.table_bytes(pd.DataFrame({"id": ["a"], "text": ["one\rtwo"], "turn": [1]}), path))
    assert manifest.read(path).samples["text"].tolist() == ["one\rtwo"]


def test_columns_of_training_are_not_read_where_nothing_is_trained(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text('text,labels,split\nhello,"joy, fun",\nthere,3,holdout\n')
    with pytest.raises(CorpusError):
        manifest.read(path)
    corpus = manifest.read(path, annotated=False)
    assert corpus.samples["text"].tolist() == ["hello", "there"]
    assert corpus.labels == ()


@pytest.mark.parametrize(("name", "split"), [("dev", "valid"), ("Validation", "valid"), ("TEST", "test")])
def test_splits_have_the_names_people_give_them(tmp_path, name, split):
    (tmp_path / "mine.csv").write_text(f"text,labels,split\nhello,joy,{name}\n")
    assert manifest.read(tmp_path / "mine.csv").samples["split"].tolist() == [split]


def test_rows_without_any_cell_are_left_out(tmp_path):
    (tmp_path / "mine.csv").write_text("id,text,labels\na,hello,joy\n,,\n")
    assert manifest.read(tmp_path / "mine.csv").samples["id"].tolist() == ["a"]


def test_class_numbers_are_refused_as_labels(tmp_path):
    (tmp_path / "mine.csv").write_text("text,labels\nhello,0\nthere,1\n")
    with pytest.raises(CorpusError, match="label '0' is a number; give the emotion's name"):
        manifest.read(tmp_path / "mine.csv")


def test_whole_numbers_of_parquet_stay_whole_beside_gaps(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet manifests need pyarrow")
    pd.DataFrame({"text": ["a", "b"], "speaker": [1, None]}).to_parquet(tmp_path / "mine.parquet")
    assert manifest.read(tmp_path / "mine.parquet").samples["speaker"].tolist() == ["1", None]


def test_a_list_in_place_of_a_text_is_refused_with_its_place(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"text": "hello"}\n{"text": ["a", "b"]}\n')
    with pytest.raises(CorpusError, match=r"row 2, column text: expected text, found a list"):
        manifest.read(tmp_path / "mine.jsonl")


def test_a_line_in_another_encoding_than_the_others_is_named(tmp_path):
    lines = ["text", "ça va", "déjà vu", "naïve"]
    (tmp_path / "mine.csv").write_bytes("\n".join(lines).encode() + "\nénervé\n".encode("cp1252"))
    with pytest.raises(CorpusError, match="line 5: not UTF-8, although most lines of the file are"):
        manifest.read(tmp_path / "mine.csv")


def test_rows_that_nobody_labelled_are_told_where_they_count_as_negatives(tmp_path):
    (tmp_path / "mine.csv").write_text("text,labels\na,joy|hope\nb,joy\nc,\nd,\n")
    with pytest.warns(UserWarning, match="its 2 rows without a label count as having none of them"):
        manifest.read(tmp_path / "mine.csv")


def test_a_label_that_would_be_read_as_two_is_not_written(tmp_path):
    corpus = Corpus(
        "mine", make_samples(["a"], text=["x"], labels=[("happy, proud",)], split="train"), ("happy, proud",), False
    )
    with pytest.raises(CorpusError, match="would be read as several labels"):
        manifest.write(corpus, tmp_path / "mine.csv")
    manifest.write_samples(corpus, tmp_path / "mine.jsonl")
    assert manifest.read(tmp_path / "mine.jsonl", known_labels={"happy, proud"}).labels == ("happy, proud",)


@pytest.mark.parametrize("labels", ['{"a": 1}', '[["joy"]]', '[{"a": 1}]'])
def test_a_container_in_place_of_labels_is_refused_with_its_place(tmp_path, labels):
    (tmp_path / "m.jsonl").write_text(f'{{"text": "hi", "labels": {labels}}}\n')
    with pytest.raises(CorpusError, match="row 1, column labels: expected labels as text, found a"):
        manifest.read(tmp_path / "m.jsonl")


@pytest.mark.parametrize(
    "content", ['"text";"a,b,c"\nhi;1\n', "sep=;\r\ntext;a,b,c\r\nhi;1\r\n", '"sep=\t"\ntext\tx\nhi\t1\n']
)
def test_the_separator_is_found_outside_quotes_or_declared_by_excel(tmp_path, content):
    (tmp_path / "m.csv").write_bytes(content.encode())
    assert list(manifest.read(tmp_path / "m.csv").samples["text"]) == ["hi"]


def test_lines_are_counted_with_the_one_that_declares_the_separator(tmp_path):
    (tmp_path / "m.csv").write_text("sep=;\ntext;x\nhi;1\nho\n")
    with pytest.raises(CorpusError, match="line 4: 1 cells"):
        manifest.read(tmp_path / "m.csv")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_an_encoding_without_its_mark_is_told_with_the_remedy(tmp_path, encoding):
    (tmp_path / "m.csv").write_bytes("text\nhi\n".encode(encoding))
    with pytest.raises(CorpusError, match=r"contain zero bytes.*save it as UTF-8"):
        manifest.read(tmp_path / "m.csv")


@pytest.mark.parametrize("suffix", table_files.SUFFIXES)
def test_half_a_character_is_not_written(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow", reason="Parquet manifests need pyarrow")
    (tmp_path / "m.jsonl").write_text('{"id": "\\ud800", "text": "hi"}\n')
    with pytest.raises(CorpusError, match=r"cannot be written: .*surrogate"):
        manifest.write(manifest.read(tmp_path / "m.jsonl"), tmp_path / f"out{suffix}")


@pytest.mark.parametrize("column", ["split", "labels", "start", "speaker", "dialogue", "mood"])
def test_half_a_character_in_any_column_is_read_or_an_own_error(tmp_path, column):
    (tmp_path / "m.jsonl").write_text(f'{{"text": "hi", "{column}": "\\ud800"}}\n')
    if column in ("split", "start"):
        with pytest.raises(CorpusError, match=r"m\.jsonl, row 1, column"):
            manifest.read(tmp_path / "m.jsonl")
    else:
        assert len(manifest.read(tmp_path / "m.jsonl").samples) == 1


def test_columns_may_have_other_names(tmp_path):
    path = tmp_path / "survey.csv"
    path.write_text("ResponseId,Q5,text,Mood\nR_1,We won!,spam,joy\nR_2,Get out.,spam,anger\n")
    columns = {"text": "q5", "id": "ResponseId", "labels": "Mood"}
    samples = manifest.read(path, columns=columns).samples
    assert samples[["id", "text", "input_text"]].values.tolist() == [
        ["R_1", "We won!", "spam"],
        ["R_2", "Get out.", "spam"],
    ]
    assert samples["labels"].tolist() == [("joy",), ("anger",)]
    with pytest.raises(CorpusError, match="no column 'Q6' to read as text; its columns are ResponseId, Q5, text, Mood"):
        manifest.read(path, columns={"text": "Q6"})
    with pytest.raises(InputError, match="'words' is not a column of a manifest; its columns are id, text"):
        manifest.read(path, columns={"words": "Q5"})
    path.write_text("Q5\nWe won!\n")
    with pytest.raises(CorpusError, match="give --column text=NAME"):
        manifest.read(path)
