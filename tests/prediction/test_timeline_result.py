"""The table, segments, summary, smoothing and picture of a timeline."""

import json
from fractions import Fraction

import numpy as np
import pytest

from emoembed.errors import InputError
from emoembed.features.notes import Note
from emoembed.prediction.result import ModalityResult
from emoembed.prediction.timeline.result import Timeline
from emoembed.prediction.timeline.windows import WindowResult


def window(start, end, label="joy", score=0.6, face=None, confidence=0.5, **rest):
    other = "anger" if label == "joy" else "joy"
    scores = {label: score, other: 1 - score}
    return WindowResult(
        label,
        scores,
        {"audio": ModalityResult(scores, 1.0)},
        confidence=confidence,
        start=start,
        end=end,
        face=face,
        **rest,
    )


def test_segments_are_runs_of_a_label_that_do_not_overlap():
    timeline = Timeline([window(0, 4), window(2, 6, confidence=0.7), window(4, 8, "anger"), window(6, 10, "anger")])
    first, second = timeline.segments()
    assert (first.start, first.end, first.label, first.windows) == (0, 5, "joy", 2)
    assert first.confidence == pytest.approx(0.6)
    assert (second.start, second.end, second.label) == (5, 10, "anger")


def test_parts_of_unequal_length_that_do_not_overlap_keep_their_time():
    timeline = Timeline([window(0, 3), window(3, 4), window(5, 30, "anger")])
    assert [(part.start, part.end, part.label) for part in timeline.segments()] == [(0, 4, "joy"), (5, 30, "anger")]
    overlapping = Timeline([window(0, 4), window(3, 20, "anger")])
    assert [(part.start, part.end) for part in overlapping.segments()] == [(0, 3.5), (3.5, 20)]


def test_a_window_without_a_label_and_a_gap_end_a_segment():
    nothing = WindowResult(None, {}, {}, start=4, end=8)
    timeline = Timeline([window(0, 4), nothing, window(8, 12), window(20, 24)])
    assert [(part.start, part.end) for part in timeline.segments()] == [(0, 4), (8, 12), (20, 24)]


def test_each_face_has_segments_of_its_own():
    timeline = Timeline([window(0, 4, face=1), window(0, 4, "anger", face=2), window(4, 8, face=1)])
    assert [(part.face, part.start, part.end) for part in timeline.segments()] == [(1, 0, 8), (2, 0, 4)]


def test_the_summary_has_shares_of_time_and_mean_scores():
    nothing = WindowResult(None, {}, {}, start=8, end=12)
    timeline = Timeline([window(0, 4, score=0.8), window(4, 8, "anger", score=0.9), nothing, window(12, 16, score=0.9)])
    summary = timeline.summary()
    assert (summary.seconds, summary.windows, summary.answered) == (16, 4, 0.75)
    assert list(summary.shares.items()) == [("joy", pytest.approx(2 / 3, abs=1e-6)), ("anger", pytest.approx(1 / 3))]
    assert summary.scores["joy"] == pytest.approx((0.8 + 0.1 + 0.9) / 3)
    assert Timeline().summary().windows == 0


def test_smoothing_averages_neighbours_by_their_distance():
    timeline = Timeline([window(0, 4, score=0.9), window(2, 6, "anger", score=0.6), window(4, 8, score=0.9)])
    middle = timeline.smoothed(4.0)[1]
    assert middle.scores["joy"] == pytest.approx((0.5 * 0.9 + 0.4 + 0.5 * 0.9) / 2)
    assert middle.label == "joy"
    assert [result.scores for result in timeline.smoothed(1.0)] == [result.scores for result in timeline]


def test_smoothing_keeps_abstention_and_windows_without_scores():
    abstained = window(2, 6, "anger")
    abstained = WindowResult(None, abstained.scores, abstained.modalities, abstained=True, start=2, end=6)
    nothing = WindowResult(None, {}, {}, start=4, end=8)
    smoothed = Timeline([window(0, 4), abstained, nothing]).smoothed(10.0)
    assert smoothed[1].label is None
    assert smoothed[2] is nothing
    with pytest.raises(InputError, match="seconds must be a number above 0; given 0"):
        smoothed.smoothed(0)


def test_the_table_has_a_row_a_window_and_columns_for_each_modality():
    note = Note("cut", "audio", "the first part was read")
    timeline = Timeline([window(0, 4, notes=(note,)), WindowResult(None, {}, {}, {"audio": "silence"}, start=4, end=8)])
    table = timeline.to_frame()
    assert list(table.columns) == [
        *("start", "end", "label", "confidence", "notes", "absent", "anger", "joy", "audio_anger", "audio_joy"),
    ]
    assert table.loc[0, "audio_joy"] == 0.6
    assert table.loc[0, "notes"] == "audio: the first part was read"
    assert table.loc[1, "absent"] == "audio: silence"
    assert np.isnan(table.loc[1, "joy"])
    assert list(Timeline().to_frame().columns) == ["start", "end", "label", "confidence", "notes", "absent"]
    assert json.loads(json.dumps(timeline.to_dict()))["windows"][0]["start"] == 0


def test_no_label_shares_a_column_of_the_table():
    scores = {"joy": 0.1, "audio_joy": 0.4, "start": 0.3, "score_start": 0.2}
    alone = {"joy": 0.25, "audio_joy": 0.3, "start": 0.35, "score_start": 0.1}
    answer = WindowResult("audio_joy", scores, {"audio": ModalityResult(alone, 1.0)}, start=0.0, end=4.0)
    row = Timeline([answer]).to_frame().loc[0]
    assert row[["start", "joy", "score_audio_joy", "score_score_start"]].tolist() == [0.0, 0.1, 0.4, 0.3]
    assert row[["score_start", "audio_joy", "audio_audio_joy"]].tolist() == [0.2, 0.25, 0.3]


def test_a_slice_a_sum_and_a_copy_of_a_timeline_are_timelines():
    timeline = Timeline(window(i, i + 4) for i in range(5))
    smoothed = timeline.smoothed(3.0)
    for part, count in ((timeline[:2], 2), (timeline[::-1], 5), (timeline + timeline[:1], 6), (timeline.copy(), 5)):
        assert isinstance(part, Timeline)
        assert len(part.to_frame()) == count
    assert [part.smoothing for part in (smoothed[1:], smoothed.copy(), smoothed + smoothed)] == [3.0] * 3
    assert (smoothed + timeline).smoothing is None
    assert timeline + timeline[:1] == [*timeline, timeline[0]]


def test_a_timeline_is_one_line_and_a_table_in_a_notebook():
    timeline = Timeline(window(i, i + 4) for i in range(900))
    assert repr(timeline) == "Timeline(900 windows from 0.0 to 903.0 s; labels: anger, joy)"
    assert timeline._repr_html_().count("<tr") < 50


@pytest.mark.parametrize("seconds", [np.int64(3), np.float32(3), Fraction(3)])
def test_smoothing_takes_any_kind_of_number(seconds):
    timeline = Timeline([window(0, 4), window(2, 6, "anger", 0.9)])
    assert timeline.smoothed(seconds) == timeline.smoothed(3.0)
    assert timeline.smoothed(seconds).smoothing == 3.0


def test_the_picture_has_a_panel_for_each_modality_and_gaps(tmp_path):
    both = window(0, 4)
    both.modalities["video"] = ModalityResult(both.scores, 0.5)
    timeline = Timeline([both, WindowResult(None, {}, {}, start=4, end=8), window(8, 12, "anger")])
    figure = timeline.plot()
    assert [axes.get_title() for axes in figure.axes] == ["together", "audio alone", "video alone"]
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).tolist() == [False, True, False]
    (panel,) = Timeline([window(0, 4)]).plot().axes
    assert panel.get_title() == "audio"
    assert timeline.plot(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="nothing to draw"):
        Timeline().plot()


def test_a_turn_inside_another_keeps_its_own_time():
    timeline = Timeline([window(0, 10), window(1, 2, "anger"), window(12, 14)])
    assert [(part.label, part.start, part.end) for part in timeline.segments()] == [
        ("joy", 0, 10),
        ("anger", 1, 2),
        ("joy", 12, 14),
    ]
