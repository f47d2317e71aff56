import json

import pytest

from emoembed.corpora.readers import iemocap_text
from emoembed.errors import CorpusError

ROW = {
    "id": "Ses01F_impro01#000",
    "dialogue": "Ses01F_impro01",
    "turn": 0,
    "speaker": "Ses01F",
    "split": "train",
    "text": "Excuse me.",
    "label": "frustrated",
}


def write(folder, *rows):
    (folder / "iemocap_text.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_reads_the_jsonl(tmp_path):
    second = ROW | {"id": "b", "turn": 1, "split": "validation", "label": "excited"}
    samples = iemocap_text.read(write(tmp_path, ROW, second)).samples
    assert list(samples["id"]) == ["Ses01F_impro01#000", "b"]
    assert list(samples["labels"]) == [("frustration",), ("excitement",)]
    assert list(samples["split"]) == ["train", "valid"]
    assert list(samples["turn"]) == [0, 1]
    assert list(samples["dialogue"]) == ["Ses01F_impro01"] * 2


def test_a_missing_field_is_named(tmp_path):
    without_label = {key: value for key, value in ROW.items() if key != "label"}
    with pytest.raises(CorpusError, match=r"line 2: no column 'label'; the columns found are id, dialogue"):
        iemocap_text.read(write(tmp_path, ROW, without_label))


def test_an_unknown_split_is_named(tmp_path):
    message = "row 1, column split: 'dev' is not a split; expected train, validation, test"
    with pytest.raises(CorpusError, match=message):
        iemocap_text.read(write(tmp_path, ROW | {"split": "dev"}))
