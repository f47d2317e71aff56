"""Timelines as files: subtitles, TextGrids, tables and JSON."""

import json
import re

import pandas as pd
import pytest
import webvtt

from emoembed.errors import InputError
from emoembed.interfaces.cli import main
from emoembed.prediction.timeline.result import Timeline
from emoembed.prediction.timeline.windows import WindowResult


def window(start, end, label="joy", face=None, confidence=0.5):
    scores = {} if label is None else {label: 0.6, "awe": 0.4}
    return WindowResult(label, scores, {}, confidence=confidence, start=float(start), end=float(end), face=face)


def test_subtitles_have_a_cue_for_each_segment(tmp_path):
    timeline = Timeline([window(0, 4), window(4, 8, "so cross & sad"), window(3700, 3704.5, "joy", confidence=0.25)])
    for suffix in (".vtt", ".srt"):
        timeline.save(tmp_path / f"t{suffix}")
    captions = webvtt.read(tmp_path / "t.vtt").captions
    assert [(cue.start_in_seconds, cue.end_in_seconds) for cue in captions] == [(0, 4), (4, 8), (3700, 3704)]
    assert [cue.end for cue in captions][2] == "01:01:44.500"
    assert [cue.text for cue in captions] == ["joy (0.50)", "so cross &amp; sad (0.50)", "joy (0.25)"]
    subtitles = webvtt.from_srt(tmp_path / "t.srt").captions
    assert [(cue.start, cue.end, cue.text) for cue in subtitles][1:] == [
        ("00:00:04.000", "00:00:08.000", "so cross & sad (0.50)"),
        ("01:01:40.000", "01:01:44.500", "joy (0.25)"),
    ]


def intervals_of(path):
    """The intervals of each tier of a TextGrid in the long text format: tier -> (start, end, label)."""
    tiers = {}
    for part in re.split(r"item \[\d+\]:", path.read_text())[1:]:
        rows = re.findall(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"', part)
        (count,) = re.findall(r"intervals: size = (\d+)", part)
        assert len(rows) == int(count)
        (name,) = re.findall(r'name = "(.*)"', part)
        tiers[name] = [(float(start), float(end), label.replace('""', '"')) for start, end, label in rows]
    return tiers


def test_a_textgrid_has_the_segments_in_tiers_without_gaps_and_overlaps(tmp_path):
    path = tmp_path / "t.TextGrid"
    Timeline([window(1, 4), window(4, 8, 'so "cross"'), window(9, 10, None)]).save(path)
    assert intervals_of(path) == {"emotion": [(0, 1, ""), (1, 4, "joy"), (4, 8, 'so "cross"'), (8, 10, "")]}
    Timeline([window(0, 8), window(2, 4, "fear"), window(8, 9)]).save(path)  # a turn inside another
    assert intervals_of(path) == {
        "emotion": [(0, 8, "joy"), (8, 9, "joy")],
        "emotion, 2": [(0, 2, ""), (2, 4, "fear"), (4, 9, "")],
    }
    Timeline([window(0, 4, face=1), window(0, 4, "fear", face=2), window(4, 8, face=2)]).save(path)
    assert intervals_of(path) == {
        "face 1": [(0, 4, "joy"), (4, 8, "")],
        "face 2": [(0, 4, "fear"), (4, 8, "joy")],
    }
    Timeline([window(0, 4, None)]).save(path)
    assert intervals_of(path) == {"emotion": [(0, 4, "")]}
    assert path.read_text().startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 4')


def test_a_timeline_is_saved_as_its_name_says(tmp_path):
    timeline = Timeline([window(0, 4), window(4, 8)])
    timeline.save(tmp_path / "t.csv")
    assert list(pd.read_csv(tmp_path / "t.csv")) == list(timeline.to_frame())
    timeline.save(tmp_path / "t.json")
    assert json.loads((tmp_path / "t.json").read_text()) == timeline.to_dict()
    with pytest.raises(InputError, match=r"other files are \.vtt, \.srt, \.textgrid, \.json, not '\.txt'"):
        timeline.save(tmp_path / "t.txt")


def test_the_command_writes_subtitles_of_a_transcript_alone(tmp_path, capsys):
    (tmp_path / "talk.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:03.000\nWhat a lovely day!\n")
    asked = ["timeline", "--transcript", str(tmp_path / "talk.vtt"), "--labels", "joy,anger"]
    assert main([*asked, "--model", "text-permissive", "--output", str(tmp_path / "out.srt")]) == 0
    assert "1\n00:00:00,000 --> 00:00:03,000\njoy (" in (tmp_path / "out.srt").read_text()
    assert "0:00:03.0  joy (" in capsys.readouterr().out
    for options, message in (
        ([*asked, "--output", str(tmp_path / "talk.vtt")], "is the input itself"),
        ([*asked, str(tmp_path), "--output", str(tmp_path / "out.csv")], "holds no sound or film file"),
        (asked[:1] + asked[3:], "give a recording, or a --transcript with times"),
    ):
        assert main(options) == 2
        assert message in capsys.readouterr().err
