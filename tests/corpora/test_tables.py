import pandas as pd
import pytest

from emoembed.corpora.tables import read_labels, read_support
from emoembed.errors import InputError


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
