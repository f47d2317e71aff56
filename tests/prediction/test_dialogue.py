import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from emoembed.encoders.context import ContextSettings
from emoembed.errors import InputError, MediaError, MissingFileError
from emoembed.model.model import EmotionModel
from emoembed.prediction.dialogue.result import DialogueResult, TurningPoint, TurnResult
from emoembed.prediction.recognizer import Recognizer

LABELS = ["joy", "anger", "nostalgia", "awe"]
TEXTS = ["we made it", "oh no not that again", "we made it again", "that made it", "oh no"]


@pytest.fixture
def recognizer(three_model):
    model = three_model
    with torch.no_grad():
        for _, modality in model.each_modality():
            modality.background.copy_(torch.randn_like(modality.background) / 10)
    return Recognizer(model.eval())


@pytest.fixture
def trained(recognizer):
    """The recognizer with a context of random weights."""
    model = recognizer.model
    config = replace(model.config, context=ContextSettings(hidden_dim=9))
    with_context = EmotionModel(config, model.phrases, model.state)
    with_context.load_state_dict(model.state_dict(), strict=False)
    for parameter in with_context.context.parameters():
        torch.nn.init.normal_(parameter)
    return Recognizer(with_context.eval())


@pytest.fixture
def turns():
    return [
        {"text": text, "speaker": "AB"[i % 2], "start": 2.0 * i, "end": 2.0 * i + 1} for i, text in enumerate(TEXTS)
    ]


def test_the_first_turn_and_each_turn_alone_have_the_answers_of_predict(recognizer, turns):
    talk = recognizer.predict_dialogue(turns, LABELS)
    single = recognizer.predict(TEXTS, labels=LABELS)
    assert [turn.alone for turn in talk] == single
    assert talk[0].scores == single[0].scores
    assert all(talk[i].scores != single[i].scores for i in range(1, 5))
    assert [turn.context_turns for turn in talk] == [0, 1, 2, 3, 4]
    assert (talk[3].speaker, talk[3].start, talk[3].end, talk[3].text) == ("B", 6.0, 7.0, TEXTS[3])


def test_a_turn_moves_by_strength_times_the_mean_of_the_earlier_ones(recognizer, turns):
    model = recognizer.model
    points = torch.from_numpy(recognizer.encode(TEXTS)["text"])
    size = points.shape[1]
    background = model.modality("text").background[:size]
    moved = torch.nn.functional.normalize(points[3] + 2.0 * (points[:3] - background).mean(dim=0), dim=0)
    with torch.no_grad():
        full = torch.nn.functional.pad(moved, (0, model.config.modalities["text"].point_dim - size))[None]
        label_points = model.label_points(LABELS)
        logits = model.score({"text": full}, label_points)
        trust = model.label_trust(label_points)
        expected = model.calibrated(logits, trust, multi_label=False)["text"].softmax(dim=1)[0]
    scores = recognizer.predict_dialogue(turns, LABELS, strength=2.0)[3].scores
    np.testing.assert_allclose([scores[label] for label in LABELS], expected.numpy(), atol=1e-5)


def test_without_strength_answers_are_those_of_single_items(recognizer, turns):
    talk = recognizer.predict_dialogue(turns, LABELS, strength=0)
    assert [turn.scores for turn in talk] == [turn.alone.scores for turn in talk]


@pytest.mark.parametrize("kind", ["recognizer", "trained"])
def test_turns_that_come_one_at_a_time_have_the_same_answers_in_every_bit(request, kind, turns):
    recognizer = request.getfixturevalue(kind)
    whole = recognizer.predict_dialogue(turns, LABELS, batch_size=1)
    live = recognizer.dialogue(LABELS)
    assert [live.add(**turn) for turn in turns] == list(whole)
    batched = recognizer.predict_dialogue(turns, LABELS)
    for turn, other in zip(whole, batched, strict=True):
        assert turn.scores == pytest.approx(other.scores, abs=1e-5)


@pytest.mark.parametrize("kind", ["recognizer", "trained"])
def test_a_dialogue_goes_on_from_its_state(request, kind, turns):
    recognizer = request.getfixturevalue(kind)
    whole = recognizer.predict_dialogue(turns, LABELS, batch_size=1)
    live = recognizer.dialogue(LABELS)
    for turn in turns[:3]:
        live.add(**turn)
    state = json.loads(json.dumps(live.state()))
    resumed = recognizer.dialogue(LABELS, state=state)
    assert [resumed.add(**turn) for turn in turns[3:]] == list(whole[3:])
    assert resumed.state() == {**resumed.state(), "position": 5, "turns": 5}
    for _ in range(50):
        live.add("oh no")
    assert len(json.dumps(live.state())) < len(json.dumps(state)) + 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 99}, "version 99"),
        ({"model": "another"}, "another model"),
        ({"sums": {"text": [1.0]}}, "wrong size"),
        ({"sums": None}, "not a state"),
        ({"hidden": [1.0]}, "wrong size"),
        ({"counts": {"text": 0}}, "wrong size"),
        ({"turns": 0}, "wrong size"),
        ({"sums": {"smell": [0.0]}, "counts": {"smell": 1}}, "has the modality 'smell'; the model has text"),
        ({"sums": {"text": [float("nan")] * 24}}, "NaN or numbers that are too large"),
        ({"sums": {"text": [1e39] * 24}}, "NaN or numbers that are too large"),
        ({"position": -5}, "expected 0 <= turns <= position"),
        ({"position": float("inf")}, "not a state"),
        ({"clock": float("nan")}, "seconds of at least 0"),
        ({"speaker": 7}, "must be a name; given 7"),
    ],
)
def test_a_wrong_state_is_refused(recognizer, turns, change, message):
    live = recognizer.dialogue(LABELS)
    live.add(**turns[0])
    with pytest.raises(InputError, match=message):
        recognizer.dialogue(LABELS, state={**live.state(), **change})


def test_a_trained_context_leaves_single_items_and_first_turns(trained, recognizer, turns):
    single = trained.predict(TEXTS, labels=LABELS)
    for result, other in zip(single, recognizer.predict(TEXTS, labels=LABELS), strict=True):
        assert result.scores == pytest.approx(other.scores, abs=1e-6)
    talk = trained.predict_dialogue(turns, LABELS)
    assert [turn.alone for turn in talk] == single
    assert talk[0].scores == single[0].scores
    mean = recognizer.predict_dialogue(turns, LABELS)
    assert all(talk[i].scores != mean[i].scores for i in range(1, 5))


def test_a_context_is_saved_and_loaded(trained, recognizer, turns, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    loaded = Recognizer.from_pretrained(tmp_path / "model")
    for turn, other in zip(
        loaded.predict_dialogue(turns, LABELS), trained.predict_dialogue(turns, LABELS), strict=True
    ):
        assert turn.scores == pytest.approx(other.scores, abs=1e-6)
    recognizer.save_pretrained(tmp_path / "without")
    config = json.loads((tmp_path / "without" / "config.json").read_text())
    assert "context" not in json.dumps(config)
    state = trained.dialogue(LABELS).state()
    with pytest.raises(InputError, match="another model"):
        recognizer.dialogue(LABELS, state=state)


def test_a_turn_without_any_modality_is_a_gap(recognizer, turns):
    turns[2] = {"speaker": "A"}
    talk = recognizer.predict_dialogue(turns, LABELS)
    assert talk[2].label is None
    assert talk[2].scores == {}
    assert "nothing to work on" in talk[2].absent["text"]
    assert [turn.context_turns for turn in talk] == [0, 1, 2, 2, 3]
    without = recognizer.predict_dialogue([turns[i] for i in (0, 1, 3, 4)], LABELS)
    assert talk[4].scores == pytest.approx(without[3].scores, abs=1e-6)


def test_a_turn_that_cannot_be_used_is_an_error_or_a_gap(recognizer, turns, tmp_path):
    turns[1] = {"audio": str(tmp_path / "missing.wav")}
    with pytest.raises(MissingFileError, match="turn 1: "):
        recognizer.predict_dialogue(turns, LABELS)
    talk = recognizer.predict_dialogue(turns, LABELS, errors="skip")
    assert talk[1].label is None
    assert list(talk[1].absent) == ["audio"]
    assert "missing.wav" in talk[1].absent["audio"]
    live = recognizer.dialogue(LABELS)
    before = live.state()
    with pytest.raises(MissingFileError):
        live.add(audio=str(tmp_path / "missing.wav"))
    assert live.state() == before


def test_what_the_model_does_not_read_is_absent_as_in_predict(text_model, tmp_path):
    turn = {"text": "we made it", "video": str(tmp_path / "missing.mp4"), "start": 0.0, "end": 1.0}
    result = Recognizer(text_model).predict_dialogue([turn], LABELS)[0]
    assert set(result.modalities) == {"text"}
    assert "this model has no video" in result.absent["video"]


def test_silence_leaves_the_text_of_its_turn(recognizer):
    silence = (np.zeros(16_000, np.float32), 16_000)
    talk = recognizer.predict_dialogue([{"text": "we made it", "audio": silence}], LABELS)
    assert set(talk[0].modalities) == {"text"}
    assert "audio" in talk[0].absent
    with pytest.raises(MediaError, match="turn 0: "):
        recognizer.predict_dialogue([{"audio": silence}], LABELS)


def test_start_and_end_cut_the_recording(recognizer, voice, tmp_path):
    high, low = voice(1.5, 260.0, seed=1), voice(1.5, 110.0, seed=2)
    soundfile.write(tmp_path / "call.wav", np.concatenate([high, low]), 16_000, subtype="FLOAT")
    path = str(tmp_path / "call.wav")
    rows = [{"audio": path, "start": 0.0, "end": 1.5}, {"audio": path, "start": 1.5, "end": 3.0}]
    talk = recognizer.predict_dialogue(rows, LABELS)
    for turn, part in zip(talk, (high, low), strict=True):
        expected = recognizer.predict(audio=(part, 16_000), labels=LABELS)
        assert turn.alone.scores == pytest.approx(expected.scores, abs=1e-4)


def test_context_moves_each_modality_by_its_own_turns(recognizer, voice):
    sounds = [(voice(1.0, pitch), 16_000) for pitch in (120.0, 250.0)]
    rows = [{"text": "oh no"}, {"audio": sounds[0]}, {"text": "we made it", "audio": sounds[1]}]
    talk = recognizer.predict_dialogue(rows, LABELS)
    assert talk[1].scores == talk[1].alone.scores, "no earlier turn has sound"
    texts = recognizer.predict_dialogue([rows[0], {"text": "we made it"}], LABELS)
    assert talk[2].modalities["text"].scores == pytest.approx(texts[1].scores, abs=1e-5)


def test_a_text_that_is_not_understood_does_not_move_later_turns(recognizer):
    strange = recognizer.predict_dialogue(["zzq xkv wwp", "we made it"], LABELS)
    assert not strange[0].confidence
    assert strange[1].scores == strange[1].alone.scores
    assert strange[1].context_turns == 0


def test_turns_come_in_several_forms(recognizer, turns):
    expected = recognizer.predict_dialogue(turns, LABELS)
    as_table = recognizer.predict_dialogue(pd.DataFrame(turns), LABELS)
    assert list(as_table) == list(expected)
    floats = pd.DataFrame(turns).assign(turn=[0.0, 1.0, 2.0, 3.0, 4.0])
    assert list(recognizer.predict_dialogue(floats, LABELS)) == list(expected)
    rows = [{**row, "turn": i, "id": f"r{i}", "dialogue": "d1", "label": "joy"} for i, row in enumerate(turns)]
    shuffled = [rows[i] for i in (3, 0, 4, 2, 1)]
    assert list(recognizer.predict_dialogue(shuffled, LABELS)) == list(expected)
    texts = recognizer.predict_dialogue(TEXTS, LABELS)
    assert [turn.scores for turn in texts] == [turn.scores for turn in expected]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "empty"),
        ("we made it", "a list of turns"),
        ([3], "turn 0 must be a text"),
        ([{"text": "oh no", "speakr": "A"}], "turn 0 has speakr"),
        ([{"text": "oh no", "speaker": 7}], "turn 0: speaker must be a name"),
        ([{"text": "oh no", "start": -1}], "turn 0: start must be a number of seconds"),
        ([{"text": "oh no", "start": 4, "end": 2}], "ends before it starts"),
        ([{"text": "oh no", "turn": 1}, {"text": "we"}], "turn 1 of the dialogue has no 'turn'"),
        ([{"text": "oh no", "turn": 1}, {"text": "we", "turn": 1}], "have turn=1"),
        ([{"text": "oh no", "turn": 1.5}], "turn must be a whole number"),
        ([{"text": "oh no", "turn": True}], "turn must be a whole number"),
        ([{"text": "oh no", "start": True}], "start must be a number of seconds"),
        ([{"text": "oh no", "start": 9.0}, {"text": "we", "start": 3.0}], "turn 1 starts at 3 s"),
        ([{"text": "oh no", "dialogue": "a"}, {"text": "we", "dialogue": "b"}], "2 dialogues"),
        ([{"text": " "}], "turn 0: text is empty"),
    ],
)
def test_wrong_turns_are_refused(recognizer, rows, message):
    with pytest.raises(InputError, match=message):
        recognizer.predict_dialogue(rows, LABELS)


def test_wrong_options_are_refused(recognizer, turns):
    with pytest.raises(InputError, match="cannot abstain in dialogues"):
        recognizer.predict_dialogue(turns, LABELS, abstain=True)
    with pytest.raises(InputError, match="abstain was calibrated with the strength of the model; leave out strength"):
        recognizer.predict_dialogue(turns, LABELS, strength=1.0, abstain=True)
    for strength in (-1, float("nan"), float("inf"), True, "much"):
        with pytest.raises(InputError, match="strength must be a number"):
            recognizer.predict_dialogue(turns, LABELS, strength=strength)
    with pytest.raises(TypeError, match="unexpected keyword"):
        recognizer.predict_dialogue(turns, LABELS, speed=1)


def test_overlapping_turns_and_one_speaker_are_kept(recognizer):
    rows = [{"text": "oh no", "start": 0.0, "end": 5.0}, {"text": "we made it", "start": 2.0, "end": 3.0}]
    talk = recognizer.predict_dialogue(rows, LABELS)
    assert [turn.context_turns for turn in talk] == [0, 1]
    assert list(talk.summary()) == ["unknown"]


def test_a_long_dialogue_is_answered(recognizer):
    talk = recognizer.predict_dialogue(["we made it", "oh no"] * 1000, LABELS)
    assert talk[-1].context_turns == 1999
    assert np.isfinite(list(talk[-1].scores.values())).all()


def test_the_table_has_a_row_for_each_turn(recognizer, turns):
    turns[2] = {}
    talk = recognizer.predict_dialogue(turns, LABELS)
    table = talk.to_frame()
    assert list(table.index) == [0, 1, 2, 3, 4]
    assert list(table.columns[-4:]) == sorted(LABELS)
    assert table.loc[3, "awe"] == talk[3].scores["awe"]
    assert table.loc[3, "label_alone"] == talk[3].alone.label
    assert table.loc[2, LABELS].isna().all()
    assert "nothing to work on" in table.loc[2, "absent"]
    values = json.loads(json.dumps([turn.to_dict() for turn in talk]))
    assert values[3]["alone"]["label"] == talk[3].alone.label
    assert values[3]["speaker"] == "B"


def test_the_summary_weighs_turns_by_seconds(recognizer, turns):
    turns[1]["end"], turns[3]["end"] = 3.5, 6.25  # 1.5 s and 0.25 s of B
    talk = recognizer.predict_dialogue(turns, LABELS)
    summary = talk.summary()
    assert list(summary) == ["A", "B"]
    assert (summary["B"].turns, summary["B"].seconds) == (2, 1.75)
    for label in LABELS:
        expected = (1.5 * talk[1].scores[label] + 0.25 * talk[3].scores[label]) / 1.75
        assert summary["B"].shares[label] == pytest.approx(expected, abs=1e-5)
    assert sorted(summary["A"].strongest, key=lambda i: -talk[i].confidence) == list(summary["A"].strongest)
    untimed = recognizer.predict_dialogue([{**turn, "end": None} for turn in turns], LABELS).summary()
    assert untimed["B"].seconds is None
    mean = (talk[1].scores["joy"] + talk[3].scores["joy"]) / 2
    assert untimed["B"].shares["joy"] == pytest.approx(mean, abs=1e-5)
    json.dumps({speaker: part.to_dict() for speaker, part in summary.items()})


def test_a_turn_of_no_duration_has_no_weight_in_the_summary(recognizer, turns):
    turns[1]["end"] = turns[1]["start"]
    talk = recognizer.predict_dialogue(turns, LABELS)
    summary = talk.summary()["B"]
    assert (summary.turns, summary.seconds) == (2, 1.0)
    assert summary.shares["joy"] == pytest.approx(talk[3].scores["joy"], abs=1e-5)
    instants = recognizer.predict_dialogue([{**turn, "end": turn["start"]} for turn in turns], LABELS)
    mean = (instants[1].scores["joy"] + instants[3].scores["joy"]) / 2
    assert instants.summary()["B"].seconds is None
    assert instants.summary()["B"].shares["joy"] == pytest.approx(mean, abs=1e-5)


def test_the_turning_point_is_where_a_speaker_changes_most():
    def talk(joys):
        scores = [{"joy": joy, "anger": 1 - joy} for joy in joys]
        return DialogueResult(TurnResult("joy", each, {}, confidence=0.5, turn=i) for i, each in enumerate(scores))

    joys = [0.8, 0.9, 0.7, 0.8, 0.9, 0.2, 0.1, 0.3, 0.2]
    assert talk(joys).summary()["unknown"].turning_point == TurningPoint(5, "joy", "anger")
    assert talk([0.9, 0.9, 0.9, 0.6, 0.6, 0.6]).summary()["unknown"].turning_point is None, "joy is highest in both"
    assert talk(joys[3:8]).summary()["unknown"].turning_point is None, "fewer than six turns"


def test_a_label_with_the_name_of_a_column_hides_nothing(recognizer, turns):
    talk = recognizer.predict_dialogue(turns, ["joy", "confidence"])
    table = talk.to_frame()
    assert table.loc[0, "confidence"] == talk[0].confidence
    assert table.loc[0, "score_confidence"] == talk[0].scores["confidence"]
    both = recognizer.predict_dialogue(turns, ["score_confidence", "confidence"])
    shown = both.to_frame().loc[0]
    assert shown["score_score_confidence"] == both[0].scores["confidence"]
    assert shown["score_confidence"] == both[0].scores["score_confidence"]


def test_a_slice_a_sum_and_a_copy_of_a_dialogue_are_dialogues(recognizer, turns):
    talk = recognizer.predict_dialogue(turns, LABELS)
    for part, count in ((talk[1:3], 2), (talk + talk[:1], len(talk) + 1), (talk.copy(), len(talk))):
        assert isinstance(part, DialogueResult)
        assert len(part.to_frame()) == count
    assert repr(talk[:2]) == f"DialogueResult(2 turns; labels: {', '.join(sorted(LABELS))})"


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_a_dialogue_is_drawn(recognizer, turns, tmp_path, format):
    path = recognizer.predict_dialogue(turns, LABELS).plot(tmp_path / f"call.{format}")
    assert path.stat().st_size > 1000


def test_a_picture_that_cannot_be_drawn_is_refused(recognizer, turns, tmp_path):
    talk = recognizer.predict_dialogue(turns, LABELS)
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        talk.plot(tmp_path / "call.txt")
    with pytest.raises(InputError, match="no turn with scores"):
        recognizer.predict_dialogue([{}], LABELS).plot(tmp_path / "call.png")
