import pytest

from emoembed.corpora.readers import dailydialog
from emoembed.errors import CorpusError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "dailydialog_dev.txt").write_text("0\tHi .\tno emotion\n1\tYes !\thappiness\n\n\n0\tOh .\tsurprise\n")
    (tmp_path / "dailydialog_test.txt").write_text("0\tHey .\tneutral\n")
    return tmp_path


def test_reads_dialogues_apart(folder):
    samples = dailydialog.read(folder).samples
    assert list(samples["id"]) == ["valid_0_0", "valid_0_1", "valid_1_0", "test_0_0"]
    assert list(samples["labels"]) == [("neutral",), ("joy",), ("surprise",), ("neutral",)]
    assert list(samples["dialogue"]) == ["valid_0", "valid_0", "valid_1", "test_0"]
    assert list(samples["turn"]) == [0, 1, 0, 0]
    assert samples["speaker"].nunique() == 4


def test_train_is_read_where_it_is_there(folder):
    (folder / "dailydialog_train.txt").write_text("0\tHey .\tfear\n")
    assert list(dailydialog.read(folder).split("train").samples["labels"]) == [("fear",)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0\tHi .", "line 2: 2 cells; expected speaker, text, emotion"),
        ("0\tHi .\tglee", "line 2: 'glee' is not an emotion"),
    ],
)
def test_a_malformed_line_is_named(folder, line, message):
    (folder / "dailydialog_test.txt").write_text(f"0\tHey .\tneutral\n{line}\n")
    with pytest.raises(CorpusError, match=message):
        dailydialog.read(folder)
