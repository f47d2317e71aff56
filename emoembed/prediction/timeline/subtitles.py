"""The segments of a timeline as text: subtitles (WebVTT, SubRip), and a TextGrid for Praat and ELAN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from emoembed.prediction.timeline.windows import Segment

TIER = "emotion"
"""Name of the tier of a TextGrid whose segments belong to no numbered face."""
SAME_TIME = 1e-6
"""Seconds by which the times of neighbouring segments may differ because of rounding."""


def webvtt(segments: Sequence[Segment], seconds: float) -> str:
    """WebVTT: one cue per segment, with its label and confidence."""
    cues = [f"{_span(segment, '.')}\n{escape(_caption(segment), quote=False)}\n" for segment in segments]
    return "\n".join(["WEBVTT\n", *cues])


def subrip(segments: Sequence[Segment], seconds: float) -> str:
    """SubRip (.srt): as `webvtt`, with numbers."""
    return "\n".join(
        f"{number}\n{_span(segment, ',')}\n{_caption(segment)}\n" for number, segment in enumerate(segments, start=1)
    )


def textgrid(segments: Sequence[Segment], seconds: float) -> str:
    """A Praat TextGrid in the long text format. Its interval tiers have the labels; times without a label are empty.

    A tier is named `emotion`, or `face 1` for the face with this number. Intervals of a tier may not overlap, so
    overlapping segments, such as a turn inside another turn, are in a further tier (`emotion, 2`).

    Args:
        segments: in the order of their start.
        seconds: the end of the recording.
    """
    tiers = _tiers(segments)
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {seconds:.6f}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, tier) in enumerate(tiers.items(), start=1):
        intervals = list(_intervals(tier, seconds))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {seconds:.6f}", f"        intervals: size = {len(intervals)}"]
        for i, (start, end, label) in enumerate(intervals, start=1):
            quoted = label.replace('"', '""')
            lines += [f"        intervals [{i}]:", f"            xmin = {start:.6f}", f"            xmax = {end:.6f}"]
            lines.append(f'            text = "{quoted}"')
    return "\n".join([*lines, ""])


FORMATS: dict[str, Callable[[Sequence[Segment], float], str]] = {".vtt": webvtt, ".srt": subrip, ".textgrid": textgrid}
"""Suffix of a file -> the function that makes its text from the segments and the end of the recording."""


def _tiers(segments: Sequence[Segment]) -> dict[str, list[Segment]]:
    """The segments of each tier. A segment that overlaps the last segment of a tier goes to a further tier."""
    tiers: dict[str, list[Segment]] = {}
    for segment in segments:
        name = first = TIER if segment.face is None else f"face {segment.face}"
        number = 1
        while name in tiers and tiers[name][-1].end > segment.start + SAME_TIME:
            number += 1
            name = f"{first}, {number}"
        tiers.setdefault(name, []).append(segment)
    return tiers or {TIER: []}


def _intervals(tier: Sequence[Segment], seconds: float) -> Iterator[tuple[float, float, str]]:
    """Start, end and label of the intervals of a tier. They cover the recording without gaps."""
    clock = 0.0
    for segment in tier:
        if segment.start > clock + SAME_TIME:
            yield clock, segment.start, ""
            clock = segment.start
        if segment.end > clock + SAME_TIME:
            yield clock, segment.end, segment.label
            clock = segment.end
    if seconds > clock + SAME_TIME or clock == 0:
        yield clock, seconds, ""


def _caption(segment: Segment) -> str:
    """The text that a player shows: `joy (0.72)`, or `face 1: joy (0.72)`. A label that has line breaks gets spaces."""
    face = "" if segment.face is None else f"face {segment.face}: "
    return f"{face}{' '.join(segment.label.split())} ({segment.confidence:.2f})"


def _span(segment: Segment, point: str) -> str:
    return f"{_clock(segment.start, point)} --> {_clock(segment.end, point)}"


def _clock(seconds: float, point: str) -> str:
    """Hours, minutes, seconds and milliseconds: 00:01:02.500."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"
