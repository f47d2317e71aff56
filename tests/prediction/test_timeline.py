import json
from fractions import Fraction

import av
import numpy as np
import pandas as pd
import pytest
import soundfile

from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.features import frames, sound_files
from emoembed.interfaces.cli import main
from emoembed.prediction.arguments import Options
from emoembed.prediction.public import load
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.timeline import cutting, stream
from emoembed.prediction.timeline import recording as recording_module
from emoembed.reading.turns import Turn

LABELS = ["joy", "anger", "awe"]
RATE = 16_000


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


@pytest.fixture
def recording(voice, tmp_path):
    """Ten seconds of speech, then two of silence."""
    samples = np.concatenate([voice(10.0), np.zeros(2 * RATE, np.float32)])
    path = tmp_path / "talk.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    return path, samples


def places(results):
    return [(result.start, result.end) for result in results]


def test_windows_of_a_file_are_answered_as_predict_answers_them_alone(recognizer, recording):
    path, samples = recording
    timeline = recognizer.timeline(path, LABELS, window=4.0, hop=2.0)
    assert places(timeline) == [(0, 4), (2, 6), (4, 8), (6, 10), (8, 12)]
    for result in timeline[:4]:
        part = samples[int(result.start * RATE) : int(result.end * RATE)]
        alone = recognizer.predict(audio=(part, RATE), labels=LABELS)
        assert result.scores == pytest.approx(alone.scores, abs=1e-4)
        assert result.label == alone.label


def test_a_part_without_speech_has_no_label_and_says_why(recognizer, voice):
    samples = np.concatenate([voice(4.0), np.zeros(8 * RATE, np.float32)])
    timeline = recognizer.timeline((samples, RATE), LABELS, window=4.0, hop=4.0)
    assert [bool(result.scores) for result in timeline] == [True, False, False]
    assert timeline[1].label is None
    assert "silence" in timeline[1].absent["audio"]


@pytest.mark.parametrize("size", [320, 16_000, 70_001])
def test_a_stream_gives_the_same_answers_whatever_the_size_of_its_pieces(recognizer, recording, size):
    path, samples = recording
    live = recognizer.stream(LABELS, window=4.0, hop=2.0)
    results = [result for i in range(0, len(samples), size) for result in live.push(samples[i : i + size], RATE)]
    results += live.finish()
    whole = recognizer.timeline(path, LABELS, window=4.0, hop=2.0)
    assert places(results) == places(whole)
    for one, other in zip(results, whole, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0.1}, r"window must be a number of seconds from 0\.5 to 30"),
        ({"window": None}, "window must be a number of seconds"),
        ({"window": "4"}, "window must be a number"),
        ({"hop": 0}, "hop must be a number"),
        ({"segments": "words"}, "'windows', 'speech' or 'turns'"),
        ({"segments": "turns"}, "needs a transcript whose turns have a start and a later end; 0 of 0 do"),
        ({"every_face": 1}, "every_face must be True or False"),
    ],
)
def test_a_wrong_argument_is_named(recognizer, recording, arguments, message):
    with pytest.raises(InputError, match=message):
        recognizer.timeline(recording[0], LABELS, **arguments)


def test_an_unknown_option_is_named(recognizer, recording):
    with pytest.raises(TypeError, match="unexpected keyword argument 'batch_size'; its options are"):
        recognizer.timeline(recording[0], LABELS, batch_size=3)


def test_a_file_without_sound_or_film_is_named(recognizer, tmp_path):
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(MediaError, match=r"notes\.txt cannot be read as sound or film"):
        recognizer.timeline(tmp_path / "notes.txt", LABELS)
    with pytest.raises(MissingFileError, match=r"no media file at .*gone\.wav"):
        recognizer.timeline(tmp_path / "gone.wav", LABELS)


def test_the_text_of_a_turn_counts_for_the_window_in_which_its_middle_lies(recognizer, recording):
    turns = [Turn("we made it", start=1.0, end=2.0), Turn("oh no", start=3.0, end=6.0), Turn("so be it", start=11.0)]
    timeline = recognizer.timeline(recording[0], LABELS, window=4.0, hop=4.0, transcript=turns)
    assert [result.text for result in timeline] == ["we made it", "oh no", "so be it"]
    assert set(timeline[0].modalities) == {"text", "audio"}


def test_turns_are_the_parts_of_a_transcript(recognizer, recording, tmp_path):
    (tmp_path / "talk.vtt").write_text(
        "WEBVTT\n\n00:00.500 --> 00:02.000\nwe made it\n\n00:03.000 --> 00:05.500\noh no\n"
    )
    timeline = recognizer.timeline(recording[0], LABELS, segments="turns", transcript=tmp_path / "talk.vtt")
    assert places(timeline) == [(0.5, 2.0), (3.0, 5.5)]
    assert [result.text for result in timeline] == ["we made it", "oh no"]


def test_a_turn_has_its_own_text_even_inside_another(recognizer, recording):
    turns = [Turn("we made it", start=0.0, end=10.0), Turn("oh no", start=4.0, end=6.0)]
    timeline = recognizer.timeline(recording[0], LABELS, segments="turns", transcript=turns)
    assert [(result.end, result.text) for result in timeline] == [(10, "we made it"), (6, "oh no")]
    assert all(segment.end >= segment.start for segment in timeline.segments())


def test_a_transcript_without_times_is_refused(recognizer, recording):
    with pytest.raises(InputError, match="the transcript has no times"):
        recognizer.timeline(recording[0], LABELS, transcript=["we made it"])


def test_a_long_sound_is_answered_in_batches(recognizer, voice, monkeypatch):
    sizes = []
    encode = recognizer.model.encode
    monkeypatch.setattr(
        recognizer.model, "encode", lambda batch: sizes.append(len(next(iter(batch.values()))[1])) or encode(batch)
    )
    samples = np.tile(voice(5.0), 8)
    recognizer.timeline((samples, RATE), LABELS, window=1.0, hop=1.0)
    live = recognizer.stream(LABELS, window=1.0, hop=1.0)
    live.push(samples, RATE)
    assert max(sizes) <= stream.BATCH_SIZE
    assert sum(sizes) == 80


def test_sound_and_frames_are_forgotten_though_nothing_is_answered(recognizer):
    opened = recognizer._stream(LABELS, cutting.Stretches(), Options(), False, ())
    silence = (np.zeros(RATE, np.float32) for _ in range(300))
    with pytest.raises(MediaError, match=r"has nothing to score; 300\.00 s were read"):
        list(recording_module.answer_recording(opened, recording_module.Recording(silence, None, 300.0)))
    assert sum(map(len, opened._sound.pieces)) <= 35 * RATE


def test_progress_may_be_a_function_that_stops_the_work(recognizer, voice):
    seconds = []

    def stop(clock):
        seconds.append(clock)
        if clock >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recognizer.timeline((np.tile(voice(5.0), 4), RATE), LABELS, progress=stop)
    assert seconds == [1, 2, 3, 4, 5]


def test_channels_that_cancel_each_other_are_heard(recognizer, voice, tmp_path):
    samples = voice(4.0)
    soundfile.write(tmp_path / "both.wav", np.stack([samples, -samples], axis=1), RATE, subtype="FLOAT")
    alone = recognizer.predict(audio=(samples, RATE), labels=LABELS)
    from_file = recognizer.timeline(tmp_path / "both.wav", LABELS)[0]
    live = recognizer.stream(LABELS)
    pushed = [*live.push(np.stack([samples, -samples], axis=1), RATE), *live.finish()][0]
    for result in (from_file, pushed):
        assert result.scores == pytest.approx(alone.scores, abs=1e-3)


@pytest.mark.parametrize("source", [{"audio": None}, {"sound": "a.wav"}, {}])
def test_a_dictionary_without_a_recording_is_refused(recognizer, source):
    with pytest.raises(InputError):
        recognizer.timeline(source, LABELS)


def test_speech_needs_sound(recognizer, film):
    with pytest.raises(InputError, match="segments='speech' needs sound"):
        recognizer.timeline(film, LABELS, segments="speech")


def test_a_film_that_starts_later_keeps_its_time(recognizer, voice, tmp_path):
    path = tmp_path / "late.mkv"
    picture = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        sound, film = container.add_stream("pcm_s16le", rate=RATE), container.add_stream("mpeg4", rate=10)
        sound.layout = "mono"
        film.width = film.height = 48
        film.pix_fmt = "yuv420p"
        piece = av.AudioFrame.from_ndarray((voice(6.0) * 32767).astype(np.int16)[None], format="s16", layout="mono")
        piece.sample_rate, piece.pts = RATE, 0
        for packet in (*sound.encode(piece), *sound.encode(None)):
            container.mux(packet)
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = 40 + i
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
    timeline = recognizer.timeline(path, LABELS, window=2.0, hop=2.0)
    assert ["video" in result.modalities for result in timeline] == [False, False, True]


def test_speech_is_cut_at_pauses_and_a_long_stretch_at_its_limit(voice):
    silence = np.zeros(RATE, np.float32)
    samples = np.concatenate([silence, voice(2.0), silence, voice(18.0), silence, voice(0.2)])
    cutter = cutting.Stretches()
    parts = []
    for i in range(0, len(samples), 1000):
        cutter.hear(samples[i : i + 1000])
        parts += cutter.complete(i / RATE)
    parts += cutter.rest(len(samples) / RATE)
    starts_and_ends = [time for part in parts for time in part[:2]]
    assert starts_and_ends == pytest.approx([0.9, 3.1, 3.9, 19.1, 19.0, 22.1], abs=0.25)


def test_a_short_last_window_is_answered_only_if_it_adds_enough():
    for seconds, last in ((8.3, (4, 8)), (8.6, (6, 8.6)), (3.0, (0, 3.0))):
        windows = cutting.Windows(4.0, 2.0)
        assert [*windows.complete(seconds), *windows.rest(seconds)][-1][:2] == last


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Six seconds of a film with two faces, at ten frames a second."""
    picture = pytest.importorskip("skimage.data", reason="the test face is scikit-image's astronaut").astronaut()
    face = picture[40:200, 150:310]
    frames = np.full((60, 240, 480, 3), 100, np.uint8)
    frames[:, 40:200, 30:190] = face
    frames[30:, 40:200, 290:450] = face[:, ::-1]
    path = tmp_path_factory.mktemp("film") / "two.mp4"
    with av.open(str(path), "w") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 480, 240, "yuv420p"
        for frame in frames:
            container.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(track.encode(None))
    return path


def test_the_face_of_a_film_is_followed_over_its_windows(recognizer, film):
    timeline = recognizer.timeline(film, LABELS, window=2.0, hop=2.0)
    assert places(timeline) == [(0, 2), (2, 4), (4, pytest.approx(5.9))]
    assert all(set(result.modalities) == {"video"} and result.face is None for result in timeline)


def test_every_face_of_a_film_has_a_number(recognizer, film):
    timeline = recognizer.timeline(film, LABELS, window=3.0, hop=3.0, every_face=True)
    assert [(result.start, result.face) for result in timeline] == [(0, 1), (3, 1), (3, 2)]
    assert timeline.to_frame()["face"].tolist() == [1, 1, 2]
    assert [axes.get_title() for axes in timeline.plot().axes] == ["face 1", "face 2"]


def test_sound_and_film_may_be_two_files(recognizer, film, recording):
    timeline = recognizer.timeline({"audio": recording[0], "video": film}, LABELS, window=4.0, hop=4.0)
    assert [set(result.modalities) for result in timeline] == [{"audio", "video"}] * 2 + [{"audio"}]


def test_the_command_writes_table_and_picture_and_prints_segments(recognizer, recording, tmp_path, capsys):
    recognizer.save_pretrained(tmp_path / "model")
    table, picture = tmp_path / "talk.csv", tmp_path / "talk.png"
    arguments = ["timeline", recording[0], "--model", tmp_path / "model", "--labels", ",".join(LABELS), "--quiet"]
    assert main([*arguments, "--output", table, "--plot", picture, "--smooth", "4"]) == 0
    printed = capsys.readouterr().out
    assert "0:00:00.0 - " in printed
    assert "5 windows" in printed
    assert table.read_text().startswith("start,end,label,confidence")
    assert picture.stat().st_size > 1000
    assert main([*arguments, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["windows"]) == 5


def test_the_command_writes_one_table_of_several_recordings_and_reports_those_that_failed(
    recognizer, recording, tmp_path, capsys
):
    recognizer.save_pretrained(tmp_path / "model")
    folder, table = tmp_path / "interviews", tmp_path / "windows.csv"
    (folder / "second").mkdir(parents=True)
    (folder / "broken.wav").write_text("no sound")
    (folder / "notes.txt").write_text("not a recording")
    recording[0].rename(folder / "second" / "ann.wav")
    arguments = ["timeline", folder, "--model", tmp_path / "model", "--labels", ",".join(LABELS), "--output", table]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "ann.wav: 5 windows, " in printed.out
    assert "1 of 2 recordings scored" in printed.out
    assert "broken.wav: cannot be read as sound or film" in printed.err
    rows = pd.read_csv(table)
    assert rows["file"].unique().tolist() == [str(folder / "second" / "ann.wav")]
    assert rows["end"].tolist() == [4, 6, 8, 10, 12]
    assert main([*arguments, "--window", "-1"]) == 2  # an error of the arguments, not of each recording
    assert main([*arguments, "--plot", "talk.png"]) == 2
    capsys.readouterr()
    assert main(["timeline", folder, "--model", "nowhere", "--labels", "file,joy", "--output", table]) == 2
    assert "label 'file' is a column of the table" in capsys.readouterr().err


def test_the_command_withholds_answers_with_and_without_a_share(recording, capsys):
    options = ["--labels", ",".join(LABELS), "--json", "--quiet"]
    answers = []
    for arguments in (
        ["--abstain", str(recording[0])],
        [str(recording[0]), "--abstain"],
        [str(recording[0]), "--abstain", "0.2"],
    ):
        assert main(["timeline", *arguments, *options]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0] == answers[1] == answers[2]
    assert any(answer["abstained"] for answer in answers[0]["windows"])


def test_the_picture_says_how_it_was_smoothed_and_shows_the_time_without_scores(recognizer, voice):
    samples = np.concatenate([voice(4.0), np.zeros(16 * RATE, np.float32)])
    timeline = recognizer.timeline((samples, RATE), LABELS, window=4.0, hop=4.0)
    axes = timeline.plot().axes[-1]
    assert axes.get_xlabel() == "seconds"
    assert axes.get_xlim()[1] > 18.0
    assert "a mean over 8 s on both sides" in timeline.smoothed(8).plot().axes[-1].get_xlabel()


def sparse_film(times, path, seconds=12.0, shift=None, sound=None, gap=None):
    """A film with one face frame at each time, beside sound. `shift` is (frame, seconds) of a wrong time stamp.

    `gap` is (second, seconds): from that second on, the time stamps of the sound are later.
    """
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "1", "preset": "ultrafast"})
        film.width, film.height, film.pix_fmt = 160, 120, "yuv420p"
        film.codec_context.time_base = Fraction(1, 1000)
        track = container.add_stream("pcm_s16le", rate=RATE)
        track.layout = "mono"
        packets = []
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 40 + number % 100, np.uint8), "rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            packets += [(time, packet) for packet in film.encode(frame.reformat(format="yuv420p"))]
        packets += [(1e9, packet) for packet in film.encode(None)]
        if shift:
            wrong = packets[shift[0]][1]
            wrong.pts += int(shift[1] / wrong.time_base)
        for first in range(0, len(sound), 1600):
            frame = av.AudioFrame.from_ndarray(
                (sound[None, first : first + 1600] * 32767).astype(np.int16), "s16", "mono"
            )
            late = gap[1] if gap and first / RATE >= gap[0] else 0
            frame.rate, frame.pts, frame.time_base = RATE, first + round(late * RATE), Fraction(1, RATE)
            packets += [(first / RATE + late, packet) for packet in track.encode(frame)]
        for _, packet in sorted(packets, key=lambda pair: pair[0]):
            container.mux(packet)
    return path


@pytest.mark.parametrize("times", [[0.0, 0.2, 11.0, 11.2], [0.0, 5.0, 10.0], [9.0, 9.2]])
def test_gaps_between_frames_lose_no_sound(recognizer, voice, tmp_path, times):
    path = sparse_film(times, tmp_path / "film.mkv", sound=voice(12.0))
    timeline = recognizer.timeline(path, LABELS, window=2.0, hop=2.0)
    assert [(window.start, "audio" in window.modalities) for window in timeline] == [(2.0 * i, True) for i in range(6)]


def test_a_wrong_time_of_one_frame_loses_no_other_frame(tmp_path, voice):
    times = [i / 5 for i in range(40)]
    path = sparse_film(times, tmp_path / "film.mkv", sound=voice(8.0), shift=(20, 5000))
    read = [time for time, _ in frames.frames_of(path, 10.0, None, None)[2]]
    assert read == pytest.approx([time for i, time in enumerate(times) if i != 20], abs=0.01)


def test_a_gap_in_the_times_of_the_sound_becomes_silence(tmp_path, voice):
    path = sparse_film([0.0, 1.0], tmp_path / "film.mkv", sound=voice(6.0), gap=(3.0, 5.0))
    heard = np.concatenate(list(sound_files.blocks(path)))
    assert len(heard) == 11 * RATE
    assert np.abs(heard[3 * RATE : 8 * RATE]).max() == 0
    assert np.abs(heard[8 * RATE :]).max() > 0.01


def test_every_turn_of_a_transcript_is_told_to_one_part_at_least(recognizer, voice):
    pause = np.zeros(2 * RATE, np.float32)
    samples = np.concatenate([voice(3.0), pause, voice(3.0)])
    spoken = [("in a pause", 3.2, 4.8), ("at the end", 8.0, 9.0), ("inside", 0.5, 1.5)]
    turns = [Turn(text, start=start, end=end) for text, start, end in spoken]
    for segments, options in (("speech", {}), ("windows", {"window": 1.0, "hop": 2.0})):
        timeline = recognizer.timeline((samples, RATE), LABELS, segments=segments, transcript=turns, **options)
        told = " ".join(window.text or "" for window in timeline)
        assert all(text in told for text, _, _ in spoken)


def test_a_part_without_sound_says_so(recognizer, voice, film):
    timeline = recognizer.timeline({"audio": (voice(2.0), RATE), "video": film}, LABELS, window=2.0, hop=2.0)
    assert [window.absent.get("audio") for window in timeline] == [None, *["no sound in this part"] * 2]


def test_silence_has_windows_without_answers_in_memory_as_in_a_file(recognizer, tmp_path):
    silence = np.zeros(4 * RATE, np.float32)
    soundfile.write(tmp_path / "silence.wav", silence, RATE)
    for source in (tmp_path / "silence.wav", (silence, RATE)):
        (answer,) = recognizer.timeline(source, LABELS, window=4.0)
        assert answer.label is None
        assert "silence" in answer.absent["audio"]


def test_a_recording_too_short_for_any_part_is_refused(recognizer, tmp_path, voice):
    path = sparse_film([0.0], tmp_path / "film.mkv", sound=voice(0.0))
    with pytest.raises(MediaError, match="too short, or has nothing to score"):
        recognizer.timeline(path, LABELS)


def test_a_transcript_alone_is_a_recording(text_model, recognizer):
    turns = [Turn("what joy", start=0.0, end=3.0), Turn("so sad", start=3.0, end=4.0), Turn("so cross", start=19.0)]
    for model in (Recognizer(text_model), recognizer):
        timeline = model.timeline(labels=LABELS, transcript=turns, hop=4.0)
        assert [(part.start, part.end) for part in timeline] == [(4.0 * i, min(4.0 * i + 4.0, 21.0)) for i in range(6)]
        assert [part.text for part in timeline] == ["what joy so sad", None, None, None, "so cross", None]
        assert timeline[0].scores == pytest.approx(model.predict("what joy so sad", labels=LABELS).scores, abs=1e-6)
        assert timeline[1].absent == {"text": "no text in this part"}
    by_turns = recognizer.timeline(labels=LABELS, transcript=turns[:2], segments="turns")
    assert [(part.end, part.text) for part in by_turns] == [(3.0, "what joy"), (4.0, "so sad")]


def test_a_model_of_texts_does_not_open_the_recording(text_model, tmp_path):
    turns = [Turn("what joy", start=0.0, end=3.0)]
    (part,) = Recognizer(text_model).timeline(tmp_path / "film.mp4", LABELS, transcript=turns)
    assert (part.start, part.end, part.text) == (0.0, 3.0, "what joy")


def test_without_a_recording_there_is_a_transcript_to_a_model_that_reads_it(recognizer, voice):
    with pytest.raises(InputError, match="there is no recording; give one, or a transcript with times"):
        recognizer.timeline(labels=LABELS)
    with pytest.raises(InputError, match="this model reads audio, video"):
        load("ravdess-av").timeline(labels=["joy", "anger"], transcript=[Turn("what joy", start=0.0, end=3.0)])
    with pytest.raises(InputError, match="segments='speech' needs sound"):
        recognizer.timeline(labels=LABELS, transcript=[Turn("joy", start=0.0, end=3.0)], segments="speech")
