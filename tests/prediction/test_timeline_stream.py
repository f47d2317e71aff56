"""Sound and frames of a live stream, pushed piece by piece."""

from dataclasses import replace

import numpy as np
import pytest

from emoembed.errors import InputError
from emoembed.model.model import EmotionModel
from emoembed.prediction.recognizer import Recognizer
from emoembed.prediction.timeline import stream

LABELS = ["joy", "anger", "awe"]
RATE = 16_000


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


def places(results):
    return [(result.start, result.end) for result in results]


def test_a_stream_answers_as_soon_as_a_window_is_full(recognizer, voice):
    live = recognizer.stream(LABELS, window=2.0, hop=1.0)
    samples = voice(3.5)
    assert live.push(samples[: 2 * RATE - 1], RATE) == []
    assert places(live.push(samples[2 * RATE - 1 : 2 * RATE], RATE)) == [(0, 2)]
    assert places(live.push(samples[2 * RATE :], RATE)) == [(1, 3)]
    assert places(live.finish()) == [(2, 3.5)]


def test_a_stream_keeps_no_more_than_a_window(recognizer, voice):
    live = recognizer.stream(LABELS, window=2.0, hop=1.0)
    piece = voice(1.0)
    for _ in range(20):
        live.push(piece, RATE)
    assert sum(map(len, live._sound.pieces)) <= 3 * RATE


def test_a_stream_resamples_pieces_as_a_whole(recognizer, voice):
    import soxr

    samples = soxr.resample(voice(4.0), RATE, 44_100)
    live = recognizer.stream(LABELS, window=4.0)
    results = [result for i in range(0, len(samples), 4410) for result in live.push(samples[i : i + 4410], 44_100)]
    results += live.finish()
    alone = recognizer.predict(audio=(samples, 44_100), labels=LABELS)
    assert results[0].scores == pytest.approx(alone.scores, abs=1e-3)


def test_frames_and_sound_are_answered_together(recognizer, voice):
    live = recognizer.stream(LABELS, window=2.0, hop=2.0)
    samples, pictures = voice(4.0), np.random.default_rng(0).integers(0, 255, (40, 48, 48), dtype=np.uint8)
    results = []
    for i, picture in enumerate(pictures):
        part = samples[i * 1600 : (i + 1) * 1600]
        results += live.push(part, RATE, frame=picture, time=i / 10)
    results += live.finish()
    assert places(results) == [(0, 2), (2, 4)]
    assert all(set(result.modalities) == {"audio", "video"} for result in results)


def test_sound_does_not_wait_for_frames_that_have_stopped(recognizer, voice):
    live = recognizer.stream(LABELS, window=2.0, hop=2.0)
    picture = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    live.push(frame=picture, time=0.0)
    results = live.push(voice(5.0), RATE)
    assert places(results) == [(0, 2), (2, 4)]
    assert set(results[0].modalities) == {"audio", "video"}
    assert results[1].absent["video"] == stream.NO_FACE


@pytest.mark.parametrize(
    ("push", "message"),
    [
        ({"audio": np.zeros(100), "sampling_rate": None}, "needs its sampling_rate"),
        ({"audio": np.full(100, np.nan), "sampling_rate": RATE}, "NaN or infinite samples"),
        ({"frame": np.zeros((48, 48), np.uint8)}, "needs its time in seconds"),
        ({"frame": "face.png", "time": 0.0}, r"a frame is an array .*; given str"),
        ({"frame": np.zeros((48, 48), np.uint8), "time": float("nan")}, "needs its time in seconds"),
    ],
)
def test_a_wrong_piece_is_named(recognizer, push, message):
    with pytest.raises(InputError, match=message):
        recognizer.stream(LABELS).push(**push)


def test_a_stream_refuses_what_its_model_does_not_read(text_model, recognizer, voice):
    with pytest.raises(InputError, match="this model reads only text"):
        Recognizer(text_model).stream(["joy", "anger"])
    hearing = replace(recognizer.model.config, modalities={"audio": recognizer.model.config.modalities["audio"]})
    both = recognizer.stream(LABELS)
    live = stream.Stream(EmotionModel(hearing), both.cutter, both.settings)
    with pytest.raises(InputError, match="this model has no video; it reads audio"):
        live.push(voice(1.0), RATE, frame=np.zeros((48, 48), np.uint8), time=0.0)


def test_an_unknown_option_of_a_stream_is_named(recognizer):
    with pytest.raises(TypeError, match=r"stream\(\) got an unexpected keyword argument 'sampling_rate'"):
        recognizer.stream(LABELS, sampling_rate=RATE)


def test_the_sampling_rate_of_a_stream_stays(recognizer, voice):
    live = recognizer.stream(LABELS)
    live.push(voice(0.5), RATE)
    with pytest.raises(InputError, match="must stay 16000 Hz; given 8000"):
        live.push(voice(0.5), 8000)


def test_frames_come_in_order(recognizer):
    live = recognizer.stream(LABELS)
    live.push(frame=np.zeros((48, 48), np.uint8), time=1.0)
    with pytest.raises(InputError, match=r"order of time; given 0\.5 s after 1 s"):
        live.push(frame=np.zeros((48, 48), np.uint8), time=0.5)


def test_a_finished_stream_takes_nothing_more(recognizer, voice):
    live = recognizer.stream(LABELS, window=1.0)
    live.push(voice(1.2), RATE)
    live.finish()
    assert live.finish() == []
    with pytest.raises(InputError, match="the stream is finished"):
        live.push(voice(1.0), RATE)


def test_a_frame_far_ahead_is_refused(recognizer):
    with pytest.raises(InputError, match=r"now at 0 s; given 1\.7e\+09 s"):
        recognizer.stream(LABELS).push(frame=np.zeros((48, 48), np.uint8), time=1.7e9)
