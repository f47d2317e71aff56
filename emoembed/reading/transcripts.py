"""Read the transcript of a dialogue into turns: subtitles, CHAT, speech recognition, speaker diarization, tables."""

from __future__ import annotations

import html
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from emoembed.corpora import table_files
from emoembed.corpora.files import existing
from emoembed.errors import CorpusError, InputError
from emoembed.features import media_files
from emoembed.reading.turns import TURN_KEYS, UNREAD, Turn, turns_of

NAME = r"[^\W\d_][^\n:\uff1a\u3002\uff01\uff1f]{0,39}?"
"""A speaker's name before a colon, such as `Anna`, `Dr. O'Neil` or `SPEAKER_00`; its length is limited."""
MOST_WORDS, MOST_WORDS_WITHOUT_SPACE = 4, 2
"""Most words of a name before a colon, with and without a space after the colon. More words are part of a sentence."""
_WORD = r"(?![A-Za-z]\b)[\"'\u201c\xa1\xbf]?[^\W\d_]"
"""What follows a colon without a space: a word, not a number, an address or the letter of `:D`."""
_NAMED = re.compile(rf"\s*({NAME})(?:\uff1a|:(?:\s|$)|(:)(?={_WORD}))\s*(.*)", re.DOTALL)
"""Name, the colon if no space follows it, text. U+FF1A is the full-width colon, which needs no space."""
_COMMA = re.compile("[,\uff0c\u3001]")
TIME = r"((?:\d{1,3}:)?\d{1,2}:\d{2}(?:[.,]\d{1,3})?)"
_CLOCK = re.compile(rf"\s*([\[(]?){TIME}(?:\s*(?:-->|[-\u2013])\s*{TIME})?[\])]?\s*(?:[-\u2013]\s+)?(?=\S)")
"""A time, or a start and an end, at the beginning of a line: bracket, start, end."""
_VOICE, _TAG = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>"), re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_SEGMENT_KEYS = ("turnLevelTranscription", "segments", "diarization", "exclusive_diarization", "exclusiveDiarization")
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")


def read_transcript(
    path: str | Path,
    *,
    audio: str | Path | None = None,
    video: str | Path | None = None,
    join: float | None = None,
) -> list[Turn]:
    r"""Read a transcript into turns for `predict_dialogue`, in the order of their start.

    | suffix | form |
    |---|---|
    | `.vtt`, `.srt` | WebVTT, with voice tags or `Name: text`; SubRip |
    | `.cha` | CHAT of TalkBank; needs `pip install "emoembed[chat]"` |
    | `.json` | segments of whisper or whisperX; speaker diarization of pyannote |
    | `.txt` | lines `Name: text`, which may begin with a time such as `[00:01:02]` |
    | `.jsonl`, `.csv`, `.tsv`, `.parquet`, `.xlsx` | rows whose columns are the fields of `Turn` |

    Args:
        path: the transcript.
        audio: the recording of the dialogue. Each turn reads its part of it.
        video: the video of the dialogue, as for `audio`. The turns of all speakers read the same picture.
        join: join turns that follow each other, of the same speaker, with a gap of at most this many seconds. Turns
            without times are joined too. By default no turns are joined.

    Raises:
        MissingFileError: there is no such transcript, or no such recording.
        CorpusError: the file is not in its form, or has no turns.
        InputError: the suffix is unknown, the transcript has no times for the recording, or `join` is negative.

    Examples:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> import emoembed
        >>> path = Path(mkdtemp()) / "call.txt"
        >>> _ = path.write_text("[00:01] Ann: You lied to me!\n[00:03] Ben: I am ashamed.")
        >>> [(turn.speaker, turn.start, turn.text) for turn in emoembed.read_transcript(path)]
        [('Ann', 1.0, 'You lied to me!'), ('Ben', 3.0, 'I am ashamed.')]
    """
    if not isinstance(path, str | Path):
        raise InputError(f"a transcript is the path of a file, such as 'call.vtt'; given {type(path).__name__}")
    path = existing(Path(path))
    if join is not None and (isinstance(join, bool) or not isinstance(join, int | float) or not join >= 0):
        raise InputError(f"join must be a number of seconds of at least 0, or None; given {join!r:.40}")
    turns = _read_turns(path)
    if not turns:
        raise CorpusError(f"{path} has no turns")
    if all(turn.start is not None for turn in turns) and all(turn.turn is None for turn in turns):
        turns = sorted(turns, key=lambda turn: turn.start or 0.0)
    if audio is not None or video is not None:
        turns = _with_recording(turns, path, audio, video)
    elif all(turn.text is None and turn.audio is None and turn.video is None for turn in turns):
        raise InputError(f"{path} has no texts, only speakers and times; give the recording with audio=")
    return turns if join is None else _joined(turns, join)


def _with_recording(
    turns: Sequence[Turn], path: Path, audio: str | Path | None, video: str | Path | None
) -> list[Turn]:
    """The turns of the transcript at `path`, with the files of their recording, which must exist."""
    untimed = next((i for i, turn in enumerate(turns) if turn.start is None), None)
    if untimed is not None:
        raise InputError(f"turn {untimed} of {path} has no start, so its part of the recording is unknown")
    files = {"audio": (audio, "sound"), "video": (video, "video")}
    recording: dict[str, str] = {}
    for modality, (file, kind) in files.items():
        if file is not None:
            media_files.require_file(file, kind)
            recording[modality] = str(file)
    return [
        replace(turn, audio=recording.get("audio", turn.audio), video=recording.get("video", turn.video))
        for turn in turns
    ]


def _read_turns(path: Path) -> list[Turn]:
    suffix = path.suffix.lower()
    readers: dict[str, Callable[[Path], Iterable[Mapping[str, Any]]]] = {
        ".vtt": _read_subtitles,
        ".srt": _read_subtitles,
        ".cha": _read_chat,
        ".json": _read_json,
        ".txt": _read_named_lines,
        **dict.fromkeys(_TABLES, _read_table),
    }
    if suffix not in readers:
        raise InputError(f"{path}: a transcript is one of {', '.join(readers)}, not {suffix!r}")
    rows = list(readers[suffix](path))
    try:
        return turns_of(rows) if rows else []
    except InputError as error:
        raise CorpusError(f"{path}: {error}") from error


def _read_subtitles(path: Path) -> list[dict[str, Any]]:
    """Cues of WebVTT or SubRip. A voice tag or, if most cues have one, a `Name:` gives the speaker."""
    import webvtt

    kind, text = path.suffix.lower()[1:], table_files.read_decoded(path).lstrip()
    try:
        captions = webvtt.from_buffer(io.StringIO(text), format=kind)
    except webvtt.errors.MalformedFileError as error:
        raise CorpusError(f"{path} is not a {kind.upper()} file: {error}") from error
    arrows = _count_arrows(text)  # one for the times of each cue, and those in the texts of SRT
    time_lines = arrows - sum(_count_arrows(caption.raw_text) for caption in captions.captions)
    if len(captions.captions) < time_lines:  # the library leaves out cues that it cannot read
        raise CorpusError(
            f"{path}: {time_lines - len(captions.captions)} of {time_lines} cues cannot be read; a time is "
            f"{'00:01:02,500' if kind == 'srt' else '00:01:02.500'}, and each cue of SRT needs a number above it"
        )
    cues: list[dict[str, Any]] = [
        {"text": text, "speaker": voice, "start": _seconds(caption.start), "end": _seconds(caption.end)}
        for caption in captions.captions
        for voice, text in _voices(caption.raw_text)
    ]
    named = [_split_name(cue["text"] or "") for cue in cues]
    if not any(cue["speaker"] for cue in cues) and 2 * sum(name is not None for name, _ in named) > len(cues):
        for cue, (name, text) in zip(cues, named, strict=True):
            cue["speaker"], cue["text"] = name, text or None
    return cues


def _count_arrows(text: str) -> int:
    """Number of lines with the arrow between the start and the end of a cue."""
    return sum("-->" in line for line in text.splitlines())


def _voices(cue: str) -> list[tuple[str | None, str | None]]:
    """The voices of a cue and what each says, without tags."""
    before, *voices = _VOICE.split(cue)
    parts = [(None, before), *zip(voices[::2], voices[1::2], strict=True)]
    plain = [
        (html.unescape(voice).strip() if voice else None, " ".join(html.unescape(_TAG.sub("", text)).split()))
        for voice, text in parts
    ]
    return [(voice, text or None) for voice, text in plain if voice or text] or [(None, None)]


def _read_chat(path: Path) -> list[dict[str, Any]]:
    """Main tiers of CHAT, with the codes of transcription removed."""
    if find_spec("pylangacq") is None:
        raise InputError(f'{path}: reading CHAT needs pylangacq; install it with pip install "emoembed[chat]"')
    import pylangacq

    text = table_files.read_decoded(path)
    try:
        chat = pylangacq.CHAT.from_strs([text], mor_tier=None, gra_tier=None, strict=False)
        utterances = chat.utterances()
    except (ValueError, OSError) as error:
        raise CorpusError(f"{path} is not a CHAT file: {error}") from error
    names = {participant.code: participant.name or participant.code for participant in chat.participants()}
    rows = []
    for utterance in utterances:
        if utterance.changeable_header is not None:  # such as @Comment between utterances
            continue
        words = [token.word.replace("+", " ").replace("_", " ") for token in utterance.tokens or ()]
        start, end = (mark / 1000 for mark in utterance.time_marks) if utterance.time_marks else (None, None)
        spoken = " ".join(words) if any(re.search(r"\w", word) for word in words) else None
        code = utterance.participant or ""
        speaker = names.get(code, code) or None
        rows.append({"text": spoken, "speaker": speaker, "start": start, "end": end})
    return rows


def _read_json(path: Path) -> list[dict[str, Any]]:
    """Segments of whisper and whisperX, and of pyannote's speaker diarization."""
    try:
        content = json.loads(table_files.read_decoded(path))
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path} is not JSON: {error}") from error
    while isinstance(content, dict) and isinstance(content.get("output"), dict):  # a job of pyannoteAI
        content = content["output"]
    if isinstance(content, dict) and isinstance(content.get("content"), list):  # an annotation of pyannote.core
        content = [_annotation_segment(track) for track in content["content"]]
    if isinstance(content, dict):
        content = next((content[key] for key in _SEGMENT_KEYS if content.get(key) is not None), content)
    if not isinstance(content, list) or not all(isinstance(segment, dict) for segment in content):
        raise CorpusError(
            f"{path} is not a transcript; expected segments with text, start, end and speaker, as whisperX writes "
            "them, or the speaker diarization of pyannote"
        )
    keys = ("text", "speaker", "start", "end")
    rows = [{key: segment[key] for key in keys if segment.get(key) is not None} for segment in content]
    if not any(rows):
        raise CorpusError(f"{path}: its segments have none of {', '.join(keys)}")
    for row in rows:
        if "text" in row:
            row["text"] = str(row["text"]).strip() or None
        if isinstance(row.get("speaker"), int) and not isinstance(row["speaker"], bool):
            row["speaker"] = str(row["speaker"])  # as in tables
    return rows


def _annotation_segment(track: Any) -> Any:
    if not isinstance(track, dict) or not isinstance(track.get("segment"), dict):
        return track
    return {"speaker": track.get("label"), **track["segment"]}


def _read_named_lines(path: Path) -> list[dict[str, Any]]:
    """Lines `Name: text`, which may begin with a time. A line without a name continues the turn before it.

    A name with a comma must occur twice. `Well, I think: yes` is text.
    """
    rows: list[dict[str, Any]] = []
    lines = [(line, _CLOCK.match(line)) for line in table_files.read_decoded(path).splitlines()]
    named = [_split_name(line[clock.end() :] if clock else line) for line, clock in lines]
    names = Counter(name for name, _ in named)
    for number, ((line, clock), (name, text)) in enumerate(zip(lines, named, strict=True), start=1):
        if not line.strip():
            continue
        if name is not None and (not _COMMA.search(name) or names[name] > 1):
            times = clock.groups()[1:] if clock else (None, None)
            start, end = (_seconds(time.replace(",", ".")) if time else None for time in times)
            rows.append({"speaker": name, "text": text, "start": start, "end": end})
        elif rows:
            added = line[clock.end() :] if clock and clock[1] else line
            rows[-1]["text"] = f"{rows[-1]['text']} {added.strip()}".strip()
        else:
            raise CorpusError(f"{path}, line {number}: expected 'Name: text'; found {line.strip()!r:.60}")
    starts = sorted({row["start"] for row in rows if row["start"] is not None})
    for row in rows:
        later_starts = [] if row["start"] is None else starts[starts.index(row["start"]) + 1 :]
        if row["end"] is None and later_starts:
            row["end"] = later_starts[0]
    return [{**row, "text": row["text"] or None} for row in rows]


def _read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a table. Other columns than those of a turn are not read. Media paths are relative to the file."""
    table = table_files.read_table(path, ())
    if not {"text", "audio", "video"} & set(table.columns):
        listed = ", ".join(map(str, table.columns))
        raise CorpusError(f"{path} has no column text, audio or video; its columns are {listed}")
    columns = [column for column in table.columns if column in (*TURN_KEYS, *UNREAD)]
    table = table[columns].astype(object)
    rows = table.where(table.notna(), None).to_dict("records")
    return [_typed_row({str(key): value for key, value in row.items()}, i, path) for i, row in enumerate(rows)]


def _typed_row(row: dict[str, Any], position: int, path: Path) -> dict[str, Any]:
    """A row of a table with numbers for times, absolute paths, and None for empty cells."""
    row = {key: None if isinstance(value, str) and not value.strip() else value for key, value in row.items()}
    for key in ("start", "end", "turn"):
        if isinstance(row.get(key), str):
            try:
                row[key] = float(row[key])
            except ValueError as error:
                form = "" if key == "turn" else " of seconds, such as 62.5 in place of 00:01:02.5"
                reason = f"{key} must be a number{form}; given {row[key]!r:.40}"
                raise CorpusError(f"{path}, row {position + 1}: {reason}") from error
    paths = {key: str(path.parent / str(row[key])) for key in ("audio", "video") if row.get(key) is not None}
    texts = {key: str(row[key]) for key in ("text", "speaker") if row.get(key) is not None}
    return {**row, **paths, **texts}


def _split_name(line: str) -> tuple[str | None, str]:
    """`Name: text` -> the name and the text; the name is None if the line does not begin with one."""
    named = _NAMED.match(line)
    words = named[1].split() if named else []
    most_words = MOST_WORDS_WITHOUT_SPACE if named and named[2] else MOST_WORDS
    is_prose = len(words) > most_words or (len(words) > 1 and words[0][0].islower() and not words[-1].isdigit())
    if named is None or is_prose:
        return None, line.strip()
    return named[1].strip(), named[3].strip()


def _seconds(clock: str) -> float:
    """A time such as `01:02:03.456` in seconds."""
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def _joined(turns: Sequence[Turn], gap: float) -> list[Turn]:
    """Join turns of one speaker that follow each other with at most `gap` seconds between them."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and _continues(joined[-1], turn, gap):
            last = joined[-1]
            ends = [end for end in (last.end, turn.end) if end is not None]
            text = " ".join(part for part in (last.text, turn.text) if part) or None
            joined[-1] = replace(last, text=text, end=max(ends) if len(ends) == 2 else None)
        else:
            joined.append(turn)
    return joined


def _continues(last: Turn, turn: Turn, gap: float) -> bool:
    """Whether a turn continues the one before it: same speaker and recording, and a short gap."""
    same = turn.speaker is not None and (last.speaker, last.audio, last.video) == (turn.speaker, turn.audio, turn.video)
    return same and (last.end is None or turn.start is None or turn.start - last.end <= gap)
