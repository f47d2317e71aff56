import json

import numpy as np
import pandas as pd
import pytest
import soundfile

import emoembed
from emoembed.errors import CorpusError, InputError, MissingFileError
from emoembed.prediction.recognizer import Recognizer
from emoembed.reading.transcripts import read_transcript

VTT = """WEBVTT

NOTE made by hand

00:00:05.000 --> 00:00:06.000 align:start
<v Anna>Bye &amp; thanks

first
00:00:00.000 --> 00:00:02.500
<v Anna>Hello <i>there</i>,
how are you?</v>

00:01.500 --> 00:04.000
<v.loud Bob Smith>I'm <00:00:02.000>fine
"""
SRT = "1\n00:00:01,000 --> 00:00:02,000\nAnna: Hi.\n\n2\n00:00:03,000 --> 00:00:04,500\n<i>Bob:</i> It is 10:30 now.\n"
CHAT = """@UTF8
@Begin
@Languages:\teng
@Participants:\tCHI Eve Target_Child , MOT Sue Mother
@ID:\teng|Brown|CHI|1;06.00|female|||Target_Child|||
@ID:\teng|Brown|MOT|||||Mother|||
*CHI:\tmore cookie . \x1515320_17120\x15
%mor:\tqn|more n|cookie .
*MOT:\tyou more [/] more <cookies> [//] &-um biscuits
\txxx [=! laughs] ? \x1517120_19000\x15
*CHI:\twww . \x1519000_19500\x15
*MOT:\thow about (a)nother graham+cracker ? \x1520500_21440\x15
@End
"""


def as_rows(turns):
    return [(turn.speaker, turn.text, turn.start, turn.end) for turn in turns]


@pytest.fixture
def write(tmp_path):
    def make(name, content, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return path

    return make


def test_webvtt_has_voices_and_overlaps_in_the_order_of_their_start(write):
    assert as_rows(read_transcript(write("call.vtt", VTT))) == [
        ("Anna", "Hello there, how are you?", 0.0, 2.5),
        ("Bob Smith", "I'm fine", 1.5, 4.0),
        ("Anna", "Bye & thanks", 5.0, 6.0),
    ]


def test_two_voices_in_a_cue_are_two_turns(write):
    path = write("call.vtt", "WEBVTT\n\n00:00.000 --> 00:02.000\n<v Anna>Ready?</v>\n<v Bob>Yes.</v>\n")
    assert as_rows(read_transcript(path)) == [("Anna", "Ready?", 0.0, 2.0), ("Bob", "Yes.", 0.0, 2.0)]


def test_a_name_before_a_colon_is_the_speaker_of_a_cue(write):
    assert as_rows(read_transcript(write("call.srt", SRT))) == [
        ("Anna", "Hi.", 1.0, 2.0),
        ("Bob", "It is 10:30 now.", 3.0, 4.5),
    ]
    assert len(read_transcript(write("blank.srt", "\n\n" + SRT))) == 2
    prose = SRT.replace("Anna: Hi.", "He said hi.").replace("<i>Bob:</i> ", "")
    assert [turn.speaker for turn in read_transcript(write("film.srt", prose))] == [None, None]


def test_chat_is_read_without_its_codes(write):
    assert as_rows(read_transcript(write("eve.cha", CHAT))) == [
        ("Eve", "more cookie .", 15.32, 17.12),
        ("Sue", "you more biscuits ?", 17.12, 19.0),
        ("Eve", None, 19.0, 19.5),
        ("Sue", "how about another graham cracker ?", 20.5, 21.44),
    ]
    strange = CHAT.replace("%mor:\tqn|more n|cookie .", "%mor:\tn|cookie .\n@Comment:\tthe phone rings")
    assert as_rows(read_transcript(write("eve2.cha", strange))) == as_rows(read_transcript(write("eve.cha", CHAT)))


WHISPERX = {
    "segments": [
        {"start": 0.0, "end": 1.5, "text": " Hello there.", "speaker": "SPEAKER_00", "words": []},
        {"start": 1.6, "end": 2.0, "text": " Hi.", "words": []},
    ],
    "language": "en",
}
TRACKS = [("A", 0.0, 2.0), ("B", 1.5, 3.0)]
SEGMENTS = [{"speaker": name, "start": start, "end": end} for name, start, end in TRACKS]
DIARIZATIONS = {
    "pyannote.audio 4": {"diarization": SEGMENTS, "exclusive_diarization": []},
    "pyannoteAI": {"jobId": "x", "status": "succeeded", "output": {"diarization": SEGMENTS}},
    "pyannote.core": {
        "pyannote": "Annotation",
        "content": [{"segment": {"start": a, "end": b}, "track": i, "label": n} for i, (n, a, b) in enumerate(TRACKS)],
    },
    "a list": SEGMENTS,
}


def test_segments_of_whisperx(write):
    path = write("call.json", json.dumps(WHISPERX))
    assert as_rows(read_transcript(path)) == [("SPEAKER_00", "Hello there.", 0.0, 1.5), (None, "Hi.", 1.6, 2.0)]


def test_whole_numbers_name_speakers(write):
    segments = [{"text": "Hi", "speaker": 0}, {"text": "Yo", "speaker": 1}]
    assert [turn.speaker for turn in read_transcript(write("a.json", json.dumps(segments)))] == ["0", "1"]
    with pytest.raises(CorpusError, match="speaker must be a name or None; given True"):
        read_transcript(write("b.json", json.dumps([{"text": "Hi", "speaker": True}])))


def test_an_arrow_in_the_text_of_a_cue_is_text(write):
    srt = "1\n00:00:01,000 --> 00:00:02,000\nAnna: from 3 --> 4.\n"
    assert as_rows(read_transcript(write("a.srt", srt))) == [("Anna", "from 3 --> 4.", 1.0, 2.0)]
    with pytest.raises(CorpusError, match="1 of 2 cues cannot be read"):
        read_transcript(write("b.srt", f"{srt}\n00:03 --> 00:04\nBen: Yo.\n"))


@pytest.mark.parametrize("form", DIARIZATIONS)
def test_speaker_diarization_of_pyannote_needs_the_recording(write, form):
    path, recording = write("call.json", json.dumps(DIARIZATIONS[form])), write("call.wav", b"")
    with pytest.raises(InputError, match="no texts, only speakers and times; give the recording"):
        read_transcript(path)
    turns = read_transcript(path, audio=recording)
    assert as_rows(turns) == [(name, None, start, end) for name, start, end in TRACKS]
    assert {turn.audio for turn in turns} == {str(recording)}


def test_named_lines_with_continuations_and_times(write):
    path = write("call.txt", "\n[00:01:02] Anna: Hello.\nHow are you?\n\n[00:01:05] Dr. O'Neil: Fine: really.\n")
    assert as_rows(read_transcript(path)) == [
        ("Anna", "Hello. How are you?", 62.0, 65.0),
        ("Dr. O'Neil", "Fine: really.", 65.0, None),
    ]
    plain = read_transcript(write("plain.txt", "Anna: We met at 10:30.\nand then he said: no\nspeaker 2: Yes.\n"))
    assert as_rows(plain) == [
        ("Anna", "We met at 10:30. and then he said: no", None, None),
        ("speaker 2", "Yes.", None, None),
    ]
    ranges = "[00:01 - 00:04] Ann: Hi.\n[00:05] and more\n00:00:06 --> 00:00:09.5 Ben: Yes.\n"
    assert as_rows(read_transcript(write("ranges.txt", ranges))) == [
        ("Ann", "Hi. and more", 1.0, 4.0),
        ("Ben", "Yes.", 6.0, 9.5),
    ]
    commas = "Ann: Is it true?\nWell, I think: yes\nSmith, John: No.\nAnn: Oh.\nSmith, John: Never.\n"
    assert [row[:2] for row in as_rows(read_transcript(write("commas.txt", commas)))] == [
        ("Ann", "Is it true? Well, I think: yes"),
        ("Smith, John", "No."),
        ("Ann", "Oh."),
        ("Smith, John", "Never."),
    ]
    same_time = "[00:10] A: One.\n[00:10] B: Two.\n[00:12] A: Three.\n"
    assert [row[2:] for row in as_rows(read_transcript(write("same.txt", same_time)))] == [
        (10.0, 12.0),
        (10.0, 12.0),
        (12.0, None),
    ]
    tight = "Anna:hi\nBen:yo\nBen: at\nhttp://x.org\nWe met at the gate:no names\n:D and Cool:D\n"
    assert [row[:2] for row in as_rows(read_transcript(write("tight.txt", tight)))] == [
        ("Anna", "hi"),
        ("Ben", "yo"),
        ("Ben", "at http://x.org We met at the gate:no names :D and Cool:D"),
    ]
    wide = "\u5b89\u5a1c\uff1a\u4f60\u597d\n\u672c\uff1a\u597d\n\u597d\uff0c\u4ed6\u8bf4\uff1a\u4e0d\n"
    assert [row[:2] for row in as_rows(read_transcript(write("wide.txt", wide)))] == [
        ("\u5b89\u5a1c", "\u4f60\u597d"),
        ("\u672c", "\u597d \u597d\uff0c\u4ed6\u8bf4\uff1a\u4e0d"),
    ]
    with pytest.raises(CorpusError, match="line 2: expected 'Name: text'"):
        read_transcript(write("title.txt", "\nA long talk in May\nAnna: Hello.\n"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_tables_of_turns(tmp_path, suffix):
    table = pd.DataFrame(
        {
            "text": ["Hello.", None, "Hi."],
            "audio": [None, "part.wav", None],
            "speaker": ["A", "B", "A"],
            "start": [0.0, 1.0, 2.5],
            "turn": [1, 2, 3],
            "label": ["joy", "anger", "joy"],
            "room": [7, 7, 7],
        }
    ).iloc[[2, 0, 1]]
    path = tmp_path / f"call.{suffix}"
    writers = {
        "csv": lambda: table.to_csv(path, index=False),
        "tsv": lambda: table.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: table.to_json(path, orient="records", lines=True),
        "parquet": lambda: table.to_parquet(path),
        "xlsx": lambda: table.to_excel(path, index=False),
    }
    writers[suffix]()
    turns = read_transcript(path)
    assert [(turn.text, turn.speaker, turn.start) for turn in turns] == [
        ("Hello.", "A", 0.0),
        (None, "B", 1.0),
        ("Hi.", "A", 2.5),
    ]
    assert turns[1].audio == str(tmp_path / "part.wav")


def test_close_turns_of_one_speaker_are_joined_on_request(write):
    rows = [("A", 0, 2), ("A", 2.3, 4), ("B", 4, 5), ("A", 5, 6), ("A", 8, 9), ("A", 8.5, 8.7)]
    segments = [{"text": f"t{i}", "speaker": s, "start": a, "end": b} for i, (s, a, b) in enumerate(rows)]
    path = write("call.json", json.dumps(segments))
    assert len(read_transcript(path)) == 6
    assert as_rows(read_transcript(path, join=0.5)) == [
        ("A", "t0 t1", 0, 4),
        ("B", "t2", 4, 5),
        ("A", "t3", 5, 6),
        ("A", "t4 t5", 8, 9),
    ]
    assert len(read_transcript(path, join=2)) == 3
    unnamed = write("unnamed.json", json.dumps([{**segment, "speaker": None} for segment in segments]))
    assert len(read_transcript(unnamed, join=2)) == 6


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.filterwarnings("ignore:.*Windows-1252")
def test_encodings(write, encoding):
    turns = read_transcript(write("call.txt", "Zo\xeb: Caf\xe9?\n", encoding))
    assert as_rows(turns) == [("Zo\xeb", "Caf\xe9?", None, None)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.vtt", "no header", "not a VTT file"),
        ("a.vtt", "WEBVTT\n", "has no turns"),
        ("a.vtt", "WEBVTT\n\n00:03.000 --> 00:01.000\nBack.\n", "ends before it starts"),
        ("a.srt", "hello", "not a SRT file"),
        (
            "a.vtt",
            "WEBVTT\n\n00:01.000 --> 00:02.000\nA.\n\n00:03,000 --> 00:04,000\nB.\n",
            "1 of 2 cues cannot be read",
        ),
        ("a.cha", "hello", "has no turns|not a CHAT file"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", '{"a": 1}', "not a transcript"),
        ("a.json", '[{"a": 1}]', "none of text, speaker, start, end"),
        ("a.json", '[{"text": "a", "start": "x"}]', "start must be a number"),
        ("a.txt", "", "has no turns"),
        ("a.csv", "name,start\nA,1\n", "no column text, audio or video; its columns are name, start"),
        ("a.csv", "text,start\nhello,soon\n", "row 1: start must be a number"),
        ("a.csv", "text,start\nhello,00:01:02\n", "such as 62.5 in place of 00:01:02.5; given '00:01:02'"),
        ("a.csv", "text,turn\nhello,1\nhi,1\n", "two turns of the dialogue have turn=1"),
        ("a.csv", "text,dialogue\nhello,1\nhi,2\n", "2 dialogues"),
    ],
)
def test_a_damaged_transcript_is_an_error_with_its_path(write, name, content, message):
    path = write(name, content)
    with pytest.raises(CorpusError, match=message) as caught:
        read_transcript(path)
    assert str(path) in str(caught.value)


def test_wrong_arguments(write, tmp_path):
    path = write("a.txt", "Anna: Hello.")
    with pytest.raises(MissingFileError):
        read_transcript(tmp_path / "missing.vtt")
    with pytest.raises(InputError, match=r"a transcript is one of \.vtt"):
        read_transcript(write("a.docx", "Anna: Hello."))
    with pytest.raises(InputError, match=r"turn 0 of .* has no start"):
        read_transcript(path, audio="call.wav")
    timed = write("timed.txt", "[00:01] Anna: Hello.")
    for recording, kind in (({"audio": "no.wav"}, "sound"), ({"video": "no.mp4"}, "video")):
        with pytest.raises(MissingFileError, match=f"no {kind} file at no"):
            read_transcript(timed, **recording)
    for wrong_path in (None, b"a.txt", 7):
        with pytest.raises(InputError, match="a transcript is the path of a file"):
            read_transcript(wrong_path)
    for join in (-1, float("nan"), "much", True):
        with pytest.raises(InputError, match="join must be"):
            read_transcript(path, join=join)


def test_a_transcript_and_its_recording_are_predicted(three_model, voice, write, tmp_path):
    parts = [voice(1.0, 250.0, seed=1), voice(1.0, 120.0, seed=2)]
    soundfile.write(tmp_path / "call.wav", np.concatenate(parts), 16_000, subtype="FLOAT")
    vtt = "WEBVTT\n\n00:00.000 --> 00:01.000\n<v A>we made it\n\n00:01.000 --> 00:02.000\n<v B>oh no\n"
    turns = emoembed.read_transcript(write("call.vtt", vtt), audio=tmp_path / "call.wav")
    recognizer = Recognizer(three_model)
    talk = recognizer.predict_dialogue(turns, ["joy", "anger"])
    assert [set(turn.modalities) for turn in talk] == [{"text", "audio"}] * 2
    expected = recognizer.predict(audio=(parts[1], 16_000), labels=["joy", "anger"])
    sound_alone = talk[1].alone.modalities["audio"].scores
    assert sound_alone == pytest.approx(expected.scores, abs=1e-4)
