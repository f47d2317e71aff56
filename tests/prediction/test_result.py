import numpy as np
import pytest

from emoembed.errors import InputError
from emoembed.features.notes import Note
from emoembed.prediction.result import ModalityResult, Result, disagreement

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
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert disagreement([one, one], [0.5, 0.5]) == pytest.approx(0.0)
    assert disagreement([one, other], [0.5, 0.5]) == pytest.approx(1.0)
    assert disagreement([one, other], [0.9, 0.1]) == pytest.approx(1.0)
    assert 0.0 < disagreement([one, np.array([0.5, 0.5])], [0.5, 0.5]) < 1.0


def test_one_modality_has_nobody_to_disagree_with():
    assert disagreement([np.array([0.3, 0.7])], [1.0]) == 0.0
    assert disagreement([np.array([0.3, 0.7]), np.array([0.9, 0.1])], [1.0, 0.0]) == 0.0
