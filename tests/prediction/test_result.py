import numpy as np
import pandas as pd
import pytest

from emoembed.errors import InputError
from emoembed.features.notes import Note
from emoembed.prediction.manifests.scoring import predict_manifest
from emoembed.prediction.public import load, predict
from emoembed.prediction.result import ModalityResult, Result, disagreement
from emoembed.prediction.result_list import Results

SCORES = {"joy": 0.7, "awe": 0.15, "fear": 0.1, "<b>": 0.05}


@pytest.fixture
def result():
    alone = {name: ModalityResult(SCORES, 0.5) for name in ("text", "audio")}
    note = Note("cut", "text", "the first <part> was read")
    return Result("joy", SCORES, alone, {"video": "no face"}, confidence=0.62, notes=(note,))


def test_a_result_is_one_line(result):
    assert repr(result) == (
        "Result('joy'; joy 0.70, awe 0.15, fear 0.10, 1 more; confidence 0.62; video absent; 1 notes)"
    )
    assert repr(Result(None, {}, {}, {"audio": "silence"})) == "Result(no answer; audio absent)"
    assert repr(Result(None, {"joy": 1.0}, {}, abstained=True, confidence=0.1)).startswith("Result(abstained; joy 1.00")


def test_a_notebook_shows_a_table_in_which_names_are_escaped(result):
    shown = result._repr_html_()
    assert shown.startswith("<b>joy</b><table>")
    assert "&lt;b&gt;" in shown
    assert "the first &lt;part&gt; was read" in shown
    assert "<th>text</th><th>audio</th>" in shown
    assert (
        Result(None, {}, {}, {"audio": "silence"})._repr_html_()
        == "<b>no answer</b><small>audio absent: silence</small>"
    )


def test_a_result_converts_to_the_form_of_pipelines(result):
    assert result.to_list()[0] == {"label": "joy", "score": 0.7}
    assert len(result.to_list()) == 4


def test_results_of_a_list_make_the_table_of_a_manifest(tmp_path):
    texts, labels = ["What a lovely day!", "", "Das ist wirklich nicht in Ordnung."], ["fear", "joy"]
    results = predict(texts, labels=labels, errors="skip")
    assert isinstance(results, Results)
    pd.DataFrame({"text": texts, "id": [1, 2, 3]}).to_csv(tmp_path / "in.csv", index=False)
    predict_manifest(load("base"), tmp_path / "in.csv", labels, tmp_path / "out.csv")
    written, table = pd.read_csv(tmp_path / "out.csv"), results.to_frame()
    assert ["id", "text", *table, "error"] == list(written)
    answered = [0, 2]  # the table of a manifest has the reason of the other one in `error`
    assert table["notes"][answered].tolist() == written["notes"].fillna("").astype(object)[answered].tolist()
    assert table["label"][answered].tolist() == written["label"][answered].tolist()
    numbers = ["confidence", "weight_text", *labels]
    np.testing.assert_allclose(table[numbers].iloc[answered], written[numbers].iloc[answered], atol=1e-6)
    assert table["label"].isna().tolist() == [False, True, False]
    assert table["absent"][1].startswith("text: ")


def test_a_label_with_the_name_of_a_column_keeps_its_scores_apart(result):
    table = Results([Result("label", {"label": 0.6, "joy": 0.4}, {}, confidence=0.5)]).to_frame()
    assert table.iloc[0].to_dict() | {"notes": None, "absent": None} == {
        "label": "label", "confidence": 0.5, "notes": None, "absent": None, "joy": 0.4, "score_label": 0.6
    }  # fmt: skip
    assert Results([result])[:1].to_frame()["weight_audio"].tolist() == [0.5]
    assert Results().to_frame().empty
    assert repr(Results([result, result])) == f"[{result!r}, {result!r}]"


def test_a_picture_has_a_bar_for_each_modality(result, tmp_path):
    axes = result.plot().axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["together", "text", "audio"]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(SCORES)
    assert result.plot(tmp_path / "a.svg").read_text().lstrip().startswith("<?xml")
    with pytest.raises(InputError, match="was not scored"):
        Result(None, {}, {}).plot()
    with pytest.raises(InputError, match=r"ends with \.png, \.svg, \.pdf; given a\.gif"):
        result.plot(tmp_path / "a.gif")


def test_a_picture_and_a_notebook_show_the_highest_of_many_scores():
    scores = {f"label {i}": 1 / (i + 2) for i in range(200)}
    result = Result("label 0", scores, {"text": ModalityResult(scores, 1.0), "audio": ModalityResult(scores, 0.0)})
    axes = result.plot().axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == list(scores)[:30]
    assert axes.get_title() == "label 0 (the 30 highest of 200 scores)"
    shown = result._repr_html_()
    assert shown.count("<tr>") == 31
    assert "and 170 labels with lower scores" in shown


def test_modalities_that_say_the_same_agree_and_opposite_ones_disagree():
    first, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert disagreement([first, first], [0.5, 0.5]) == pytest.approx(0.0)
    assert disagreement([first, other], [0.5, 0.5]) == pytest.approx(1.0)
    assert disagreement([first, other], [0.9, 0.1]) == pytest.approx(1.0)
    assert 0.0 < disagreement([first, np.array([0.5, 0.5])], [0.5, 0.5]) < 1.0


def test_one_modality_has_nobody_to_disagree_with():
    assert disagreement([np.array([0.3, 0.7])], [1.0]) == 0.0
    assert disagreement([np.array([0.3, 0.7]), np.array([0.9, 0.1])], [1.0, 0.0]) == 0.0
