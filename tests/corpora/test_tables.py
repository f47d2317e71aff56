import pandas as pd
import pytest

from emoembed.corpora.tables import read_label_names, read_labels, read_support
from emoembed.errors import CorpusError, InputError, LabelError, MissingFileError


def test_support_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "rows.csv").write_text("label,text,audio\njoy,jubilant,\nanger,,a.wav\n")
    assert read_support(tmp_path / "rows.csv") == [
        {"label": ["joy"], "text": "jubilant", "audio": None},
        {"label": ["anger"], "text": None, "audio": str(tmp_path / "a.wav")},
    ]


def test_a_support_has_labels_as_manifests_do(tmp_path):
    (tmp_path / "rows.csv").write_text("labels,text\njoy | awe,so vast\n")
    (tmp_path / "rows.jsonl").write_text('{"label": ["joy", "awe"], "text": "so vast"}\n')
    for name in ("rows.csv", "rows.jsonl"):
        assert read_support(tmp_path / name) == [{"label": ["joy", "awe"], "text": "so vast"}]
    (tmp_path / "none.csv").write_text("emotion,text\njoy,so vast\n")
    with pytest.raises(InputError, match="no column 'label' with the label of each row; its columns are emotion, text"):
        read_support(tmp_path / "none.csv")
    assert read_support(tmp_path / "none.csv", {"label": "emotion"}) == [{"label": ["joy"], "text": "so vast"}]


def test_a_parquet_table_may_list_labels_and_leave_cells_empty(tmp_path):
    rows = pd.DataFrame({"label": [["joy", "awe"], ["anger"]], "text": ["so vast", ""], "audio": ["", "a.wav"]})
    rows.to_parquet(tmp_path / "rows.parquet")
    assert read_support(tmp_path / "rows.parquet") == [
        {"label": ["joy", "awe"], "text": "so vast", "audio": None},
        {"label": ["anger"], "text": None, "audio": str(tmp_path / "a.wav")},
    ]


def test_labels_from_a_file_with_a_mark_of_its_encoding(tmp_path):
    (tmp_path / "labels.json").write_bytes(b"\xef\xbb\xbf" + '{"désir": "wanting"}'.encode())
    assert read_labels(tmp_path / "labels.json") == {"désir": "wanting"}


def test_numbers_in_a_support_are_read_as_in_a_manifest(tmp_path):
    (tmp_path / "support.jsonl").write_text('{"text": 2024, "audio": 1001, "label": "joy"}\n')
    (row,) = read_support(tmp_path / "support.jsonl")
    assert (row["text"], row["audio"]) == ("2024", str(tmp_path / "1001"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"text": ["x"], "label": "joy"}', "row 2, column text: expected text, found a list"),
        ('{"audio": {"a": 1}, "label": "joy"}', "row 2, column audio: expected text, found a dict"),
        ('{"text": "x", "label": {"a": 1}}', "row 2, column label: expected labels as text, found a dict"),
        ('{"text": "x", "label": [["joy"]]}', "row 2, column label: expected labels as text, found a list"),
    ],
)
def test_a_container_in_place_of_a_text_is_refused_with_its_place(tmp_path, row, message):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "hi", "label": "joy"}}\n{row}\n')
    with pytest.raises(CorpusError, match=message):
        read_support(tmp_path / "a.jsonl")


@pytest.mark.parametrize("read", [read_support, read_labels, read_label_names])
def test_a_name_longer_than_names_may_be_is_a_missing_file(read):
    with pytest.raises(MissingFileError, match="no file can be called"):
        read("x" * 300 + ".csv")


def test_labels_nested_too_deeply_are_refused(tmp_path):
    (tmp_path / "labels.json").write_text("[" * 200_000)
    with pytest.raises(LabelError, match="is not JSON"):
        read_labels(tmp_path / "labels.json")
