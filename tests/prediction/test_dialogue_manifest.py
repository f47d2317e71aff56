import pandas as pd
import pytest

from emoembed.errors import InputError
from emoembed.prediction.manifests import scoring
from emoembed.prediction.recognizer import Recognizer

LABELS = ["joy", "anger", "awe"]
ROWS = [  # two dialogues whose rows alternate, the first in the wrong order, and a row without a dialogue
    ("a2", "oh no", "first", 2, "A"),
    ("b1", "we made it again", "second", 1, "C"),
    ("x", "we made it", None, None, None),
    ("a1", "we made it", "first", 1, "B"),
    ("b2", "oh no not that", "second", 2, None),
    ("a3", "not that again", "first", 3, "A"),
]


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


@pytest.fixture
def manifest(tmp_path):
    table = pd.DataFrame(ROWS, columns=["id", "text", "dialogue", "turn", "speaker"])
    table.to_csv(tmp_path / "chats.csv", index=False)
    return tmp_path / "chats.csv"


def test_rows_are_scored_in_the_context_of_their_dialogues(recognizer, manifest, tmp_path):
    summary = scoring.predict_manifest(recognizer, manifest, LABELS, tmp_path / "out.csv", context=True)
    assert (summary.rows, summary.failures) == (6, {})
    table = pd.read_csv(tmp_path / "out.csv").set_index("id")
    assert list(table.index) == [row[0] for row in ROWS]
    first = recognizer.predict_dialogue([text for _, text, *_ in (ROWS[3], ROWS[0], ROWS[5])], LABELS)
    second = recognizer.predict_dialogue([ROWS[1][1], ROWS[4][1]], LABELS)
    for row, turn in zip(("a1", "a2", "a3", "b1", "b2"), (*first, *second), strict=True):
        assert table.loc[row, LABELS].to_dict() == pytest.approx({name: turn.scores[name] for name in LABELS}, abs=1e-6)
        assert table.loc[row, "label_alone"] == turn.alone.label
        assert table.loc[row, "context_turns"] == turn.context_turns
    single = recognizer.predict("we made it", labels=LABELS)
    assert table.loc["x", LABELS].to_dict() == pytest.approx(single.scores, abs=1e-6)


def test_without_context_the_dialogue_changes_nothing(recognizer, manifest, tmp_path):
    scoring.predict_manifest(recognizer, manifest, LABELS, tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv").set_index("id")
    assert "label_alone" not in table
    assert table.loc["a3", "joy"] == pytest.approx(
        recognizer.predict(ROWS[5][1], labels=LABELS).scores["joy"], abs=1e-6
    )


def test_the_strength_is_an_argument(recognizer, manifest, tmp_path):
    scoring.predict_manifest(recognizer, manifest, LABELS, tmp_path / "out.csv", context=3)
    table = pd.read_csv(tmp_path / "out.csv").set_index("id")
    strong = recognizer.predict_dialogue([ROWS[1][1], ROWS[4][1]], LABELS, strength=3)
    assert table.loc["b2", "awe"] == pytest.approx(strong[1].scores["awe"], abs=1e-6)


def test_an_interrupted_run_gives_the_same_bytes(recognizer, manifest, tmp_path, monkeypatch):
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    scoring.predict_manifest(recognizer, manifest, LABELS, whole, context=True, batch_size=1)
    write = scoring.ResumableTable.write
    written = []

    def stop_in_the_middle(table, row):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(row)
        write(table, row)
        table._flushed_at = 0  # every row is flushed

    monkeypatch.setattr(scoring.ResumableTable, "write", stop_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        scoring.predict_manifest(recognizer, manifest, LABELS, part, context=True, batch_size=1)
    monkeypatch.undo()
    summary = scoring.predict_manifest(recognizer, manifest, LABELS, part, context=True, batch_size=1)
    assert summary.resumed > 0
    assert part.read_bytes() == whole.read_bytes()
    scoring.predict_manifest(recognizer, manifest, LABELS, tmp_path / "none.csv", batch_size=1)
    assert (tmp_path / "none.csv").read_bytes() != whole.read_bytes()


def test_a_row_that_cannot_be_read_is_a_gap(recognizer, tmp_path):
    table = pd.DataFrame(
        {"text": ["we made it", None, "oh no"], "audio": [None, "missing.wav", None], "dialogue": ["d"] * 3}
    )
    table.to_csv(tmp_path / "chats.csv", index=False)
    summary = scoring.predict_manifest(recognizer, tmp_path / "chats.csv", LABELS, tmp_path / "out.csv", context=True)
    assert list(summary.failures) == ["2"]
    scores = pd.read_csv(tmp_path / "out.csv")
    assert "missing.wav" in scores["error"][1]
    assert scores["context_turns"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("change", "context", "message"),
    [
        ({"dialogue": None}, True, "no dialogues"),
        ({"turn": 1}, True, "has turn=1 twice"),
        ({}, -1.0, "strength must be"),
    ],
)
def test_wrong_dialogues_are_refused_before_anything_is_written(
    recognizer, manifest, tmp_path, change, context, message
):
    pd.read_csv(manifest).assign(**change).to_csv(manifest, index=False)
    with pytest.raises(InputError, match=message):
        scoring.predict_manifest(recognizer, manifest, LABELS, tmp_path / "out.csv", context=context)
    assert not list(tmp_path.glob("out.csv*"))


def test_only_some_rows_with_a_turn_are_refused(recognizer, manifest, tmp_path):
    table = pd.read_csv(manifest)
    table.loc[0, "turn"] = None
    table.to_csv(manifest, index=False)
    with pytest.raises(InputError, match="only some rows of dialogue 'first' have a 'turn'"):
        scoring.predict_manifest(recognizer, manifest, LABELS, tmp_path / "out.csv", context=True)


def test_context_cannot_abstain(recognizer, manifest, tmp_path):
    with pytest.raises(InputError, match="cannot abstain in dialogues"):
        scoring.predict_manifest(recognizer, manifest, LABELS, tmp_path / "out.csv", context=True, abstain=True)
