import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import emoembed.reading.media
from emoembed.errors import InputError, LabelError, MediaError, MissingFileError
from emoembed.features import audio, video
from emoembed.features.feature_set import Features, FeatureSet
from emoembed.labels.emotion import Label
from emoembed.model.config import ModalityConfig
from emoembed.prediction.arguments import batches_of
from emoembed.prediction.public import predict
from emoembed.prediction.recognizer import Recognizer
from emoembed.training import recipes
from emoembed.training.background import with_seen
from emoembed.training.build import build

LABELS = ["joy", "anger", "nostalgia", "awe"]


@pytest.fixture
def recognizer(three_model):
    return Recognizer(three_model)


@pytest.fixture
def sound(voice):
    return voice(), 16_000


@pytest.fixture
def face():
    return np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)


def test_scores_are_named_sorted_and_sum_to_one(recognizer, sound, face):
    result = recognizer.predict("we made it", sound, face, LABELS)
    assert set(result.scores) == set(LABELS)
    assert list(result.scores.values()) == sorted(result.scores.values(), reverse=True)
    assert result.label == next(iter(result.scores))
    assert sum(result.scores.values()) == pytest.approx(1, abs=1e-5)
    assert set(result.modalities) == {"text", "audio", "video"}
    for modality_result in result.modalities.values():
        assert sum(modality_result.scores.values()) == pytest.approx(1, abs=1e-5)
    assert sum(one.weight for one in result.modalities.values()) == pytest.approx(1, abs=1e-4)
    assert json.loads(json.dumps(result.to_dict()))["label"] == result.label
    frame = result.to_frame()
    assert list(frame.index) == list(result.scores)
    assert list(frame.columns) == ["score", "text", "audio", "video"]
    assert frame.loc["awe", "text"] == result.modalities["text"].scores["awe"]


def test_a_model_is_called_and_named_as_pipelines_are(recognizer):
    result = recognizer("we made it", candidate_labels=LABELS)
    assert result.scores == recognizer.predict("we made it", labels=LABELS).scores
    with pytest.raises(InputError, match="labels and candidate_labels both name the emotions"):
        recognizer.predict("we made it", labels=LABELS, candidate_labels=LABELS)


def test_a_model_is_described_in_a_few_lines(recognizer):
    taught = recognizer.adapt([{"text": "we made it", "label": "relief"}])
    lines = repr(taught).splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith("Recognizer(not saved, ")
    assert any("text: reads wordpieces" in line for line in lines)
    assert "  taught by examples: relief" in lines


def test_a_list_answers_as_each_item_alone(recognizer, sound, face):
    texts, sounds, faces = ["we made it", None, "oh no, not that again"], [None, sound, sound], [face, face, None]
    together = recognizer.predict(texts, sounds, faces, LABELS)
    for i, result in enumerate(together):
        alone = recognizer.predict(texts[i], sounds[i], faces[i], LABELS)
        assert result.scores == pytest.approx(alone.scores, abs=1e-4)
        assert set(result.modalities) == set(alone.modalities)


def test_multi_label_scores_are_each_their_own(recognizer):
    few = recognizer.predict("we made it", labels=["joy", "awe"], multi_label=True).scores
    many = recognizer.predict("we made it", labels=LABELS, multi_label=True).scores
    assert many["joy"] == pytest.approx(few["joy"], abs=1e-6)
    assert all(0 <= score <= 1 for score in many.values())


def test_labels_keep_the_callers_spelling_and_take_descriptions(recognizer):
    result = recognizer.predict("we made it", labels={"Happy": "", "saudade": "a longing for someone absent"})
    assert set(result.scores) == {"Happy", "saudade"}
    assert set(recognizer.predict("we made it").scores) == {"joy", "anger"}


def test_what_holds_nothing_is_absent_with_the_reason(recognizer, face):
    silence = (np.zeros(16_000, np.float32), 16_000)
    result = recognizer.predict("we made it", silence, face, LABELS)
    assert set(result.modalities) == {"text", "video"}
    assert "silence" in result.absent["audio"]
    with pytest.raises(MissingFileError, match=r"no sound file at nowhere\.wav"):
        recognizer.predict("we made it", "nowhere.wav", face, LABELS)


@pytest.mark.parametrize(
    ("sources", "error", "said"),
    [
        ({}, InputError, "text, audio and video are all None"),
        ({"text": "  "}, InputError, "text is empty"),
        ({"text": 3}, InputError, "text is a string; given int"),
        ({"audio": "nowhere.wav"}, MissingFileError, "no sound file at nowhere.wav"),
        ({"audio": (np.zeros(16_000), 16_000)}, MediaError, "silence"),
        ({"audio": np.zeros(16_000)}, InputError, "comes with its sampling rate"),
        ({"audio": (np.full(100, np.nan), 16_000)}, InputError, "NaN"),
        ({"text": ["a", "b"], "audio": ["x.wav"]}, InputError, "text has 2, audio has 1"),
        ({"text": ["a", "b"], "audio": "x.wav"}, InputError, "audio is a single item, but other inputs are lists"),
        ({"text": ["a", None]}, InputError, "item 1: nothing to work on"),
    ],
)
def test_bad_input_is_told(recognizer, sources, error, said):
    with pytest.raises(error, match=said):
        recognizer.predict(**sources, labels=LABELS)


def test_labels_are_checked_before_anything_is_read(recognizer):
    with pytest.raises(LabelError, match="no labels were given"):
        recognizer.predict("x", labels=[])
    with pytest.raises(LabelError, match="one string"):
        recognizer.predict("x", labels="joy")


def test_no_frame_is_looked_at_beyond_the_last_face_that_is_read(recognizer, monkeypatch):
    frames = np.random.default_rng(0).integers(0, 255, (9, 48, 48), dtype=np.uint8)
    looked, row = [], video._whole
    monkeypatch.setattr(video, "_whole", lambda frame: looked.append(frame) or row(frame))
    monkeypatch.setattr(ModalityConfig, "longest", 4)
    recognizer.predict(video=frames, labels=LABELS)
    assert len(looked) == 4


def test_of_a_long_recording_no_more_is_decoded_than_is_looked_at(recognizer, sound, monkeypatch, tmp_path):
    samples, rate = sound
    soundfile.write(tmp_path / "long.wav", np.tile(samples, 5), rate)
    decoded = []
    monkeypatch.setattr(audio, "log_mel", lambda given, real=audio.log_mel: decoded.append(len(given)) or real(given))
    monkeypatch.setattr(emoembed.reading.media, "LOOKED_AT", 1.5)  # seconds
    for given in (str(tmp_path / "long.wav"), (np.tile(samples, 5), rate)):
        recognizer.predict(audio=given, labels=LABELS)
    assert decoded == [24_000, 24_000]
    monkeypatch.setattr(ModalityConfig, "longest", 40)
    assert emoembed.reading.media.read(recognizer.model, "audio", (samples, rate)).values.shape == (40, 84)


def test_openface_files_are_read_where_the_model_reads_action_units(word_table, tmp_path):
    columns = ("AU12_r", "AU01_r")
    recognizer = Recognizer(build({"video": recipes.action_unit_modality(columns)}, word_table))
    path = tmp_path / "clip.csv"
    path.write_text("frame, success, AU01_r, AU12_r, AU45_c\n1, 1, 0.5, 2.0, 0\n2, 1, 0.7, 1.0, 1\n")
    values = np.array([[2.0, 0.5], [1.0, 0.7]], np.float32)
    ready = Features(values, FeatureSet("action_units", columns))
    labels = ["joy", "anger", "fear"]
    assert recognizer.predict(video=path, labels=labels) == recognizer.predict(video=ready, labels=labels)
    path.write_text("frame, success, AU01_r\n1, 1, 0.5\n")
    with pytest.raises(InputError, match=r"lack 1 columns this model reads, 'AU12_r' first"):
        recognizer.predict(video=path, labels=labels)


def test_ready_features_are_taken_by_column_name(units_model):
    recognizer = Recognizer(units_model)
    values = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    names = tuple(f"unit_{i}" for i in range(6))
    ready = Features(values, FeatureSet("units", (*names, "extra")))
    turned = Features(values[:, ::-1].copy(), FeatureSet("units", ("extra", *names[::-1])))
    one, other = (recognizer.predict(video=given, labels=LABELS).scores for given in (ready, turned))
    assert one == pytest.approx(other)
    with pytest.raises(InputError, match="lack 1 columns this model reads, 'unit_0' first"):
        recognizer.predict(video=ready.drop(["unit_0"]), labels=LABELS)


def test_encode_gives_points_of_length_one(recognizer, sound):
    points = recognizer.encode(text=["we made it", None], audio=[None, sound])
    assert np.isnan(points["text"][1]).all()
    np.testing.assert_allclose(np.linalg.norm(points["audio"][1]), 1, rtol=1e-5)
    assert recognizer.encode(text="we made it")["text"].shape == (20,)


def test_labels_come_as_any_iterable_and_nothing_else(recognizer):
    one = recognizer.predict("we made it", labels=(name for name in LABELS))
    assert one.scores == recognizer.predict("we made it", labels=LABELS).scores
    with pytest.raises(LabelError, match="a list of names or a dictionary of descriptions; given 5"):
        recognizer.predict("x", labels=5)


def test_a_text_or_label_of_unknown_signs_is_refused(recognizer):
    with pytest.raises(InputError, match="nothing in the text '快乐' is known to this model"):
        recognizer.predict("快乐", labels=LABELS)
    with pytest.raises(LabelError, match="nothing in '快乐' is known to this model"):
        recognizer.predict("joy", labels=["joy", "快乐"])


def test_batches_have_the_size_asked_for(recognizer, monkeypatch):
    texts = [f"text {i}" for i in range(7)]
    sizes, encode = [], recognizer.model.encode
    monkeypatch.setattr(recognizer.model, "encode", lambda batch: sizes.append(len(batch["text"][0])) or encode(batch))
    whole = recognizer.predict(texts, labels=LABELS)
    parts = recognizer.predict(texts, labels=LABELS, batch_size=3)
    assert sizes == [7, 3, 3, 1]
    for one, other in zip(whole, parts, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)
    for size in (0, 2.5, "many"):
        with pytest.raises(InputError, match="batch_size must be a whole number of at least 1"):
            recognizer.predict(texts, labels=LABELS, batch_size=size)
    with pytest.raises(TypeError, match="'batch'; its options are multi_label, abstain, errors, batch_size"):
        recognizer.predict(texts, labels=LABELS, batch=3)


def test_the_length_of_a_text_is_its_number_of_words_and_signs():
    texts = ["a b c d e f g h", "extraordinarily", "we won", "magnificent extraordinary celebration"]
    assert batches_of([{"text": text} for text in texts], 2) == [[1, 2], [3, 0]]


def test_texts_of_similar_length_share_a_batch_and_answers_keep_their_order(recognizer, monkeypatch):
    texts = ["joy", "joy " * 20, "anger", "anger " * 20, None, "sadness"]
    lengths, encode = [], recognizer.model.encode
    expected = [recognizer.predict(text, labels=LABELS) if text else None for text in texts]
    points = recognizer.encode([text for text in texts if text])["text"]
    monkeypatch.setattr(
        recognizer.model, "encode", lambda batch: lengths.append(batch["text"][1].tolist()) or encode(batch)
    )
    results = recognizer.predict(texts, labels=LABELS, batch_size=4, errors="skip")
    assert [len(batch) for batch in lengths] == [3, 2]  # the item without a text is in the first batch
    assert max(lengths[0]) < min(lengths[1])
    for one, other in zip(results, expected, strict=True):
        assert one.scores == pytest.approx(other.scores if other else {}, abs=1e-6)
    monkeypatch.undo()
    monkeypatch.setattr("emoembed.prediction.recognizer.BATCH_SIZE", 2)
    np.testing.assert_allclose(recognizer.encode([text for text in texts if text])["text"], points, atol=1e-6)


def test_an_error_in_a_list_names_the_item(recognizer):
    with pytest.raises(InputError, match="item 1: text is empty"):
        recognizer.predict(["ok", " ", "ok"], labels=LABELS)


def test_a_checkpoint_that_was_replaced_is_read_again(recognizer, tmp_path):
    text = "go away"
    recognizer.save_pretrained(tmp_path / "model")
    before = predict(text, labels=LABELS, model=tmp_path / "model").scores
    recognizer.adapt([{"text": "we made it", "label": "awe"}] * 40).save_pretrained(tmp_path / "model")
    assert abs(predict(text, labels=LABELS, model=tmp_path / "model").scores["awe"] - before["awe"]) > 1e-3


def test_adapting_names_what_it_cannot_use_and_keeps_what_was_taught(recognizer, sound, tmp_path):
    with pytest.raises(MissingFileError, match="row 0 of the support: no sound file at"):
        recognizer.adapt([{"text": "hi", "audio": tmp_path / "none.wav", "label": "awe"}])
    table = pd.DataFrame({"label": ["Happy", "joy", "awe"], "text": ["yes", "yay", None], "audio": [None, None, sound]})
    taught = recognizer.adapt(table)
    assert taught.model.state.taught == {"joy": {"text": 2}, "awe": {"audio": 1}}
    again = taught.adapt([{"text": "wow", "label": "awe"}])
    assert again.model.state.taught["awe"] == {"audio": 1, "text": 1}
    for support in (None, "x", {"text": "x", "label": "awe"}):
        with pytest.raises(InputError, match="a list of rows or a table"):
            recognizer.adapt(support)


def test_no_item_changes_another(recognizer):
    texts = ["we made it", "no", "so very much of everything at once and then some more", "awe"]
    together = recognizer.predict(texts, labels=LABELS)
    for text, result in zip(texts, together, strict=True):
        assert recognizer.predict(text, labels=LABELS).scores == pytest.approx(result.scores, abs=1e-5)


def test_abstaining_is_a_matter_of_the_risk_asked_for(recognizer):
    sure = recognizer.predict("we made it", labels=LABELS)
    assert sure.label == next(iter(sure.scores))
    assert not sure.abstained
    with pytest.raises(InputError, match="cannot abstain: its text was never calibrated on validation rows"):
        recognizer.predict("we made it", labels=LABELS, abstain=True)
    for bar, answered in ((1e-9, True), (1.01, False)):
        recognizer.model.modality("text").calibration.thresholds.fill_(bar)
        result = recognizer.predict("we made it", labels=LABELS, abstain=True)
        assert (result.label is not None) is answered is not result.abstained
        assert result.scores == sure.scores
    recognizer.model.modality("text").calibration.thresholds.copy_(torch.linspace(1.01, 0.0, 6))
    assert recognizer.predict("we made it", labels=LABELS, abstain=0.05).abstained
    assert not recognizer.predict("we made it", labels=LABELS, abstain=0.5).abstained
    assert not recognizer.predict("we made it", labels=LABELS, abstain=np.bool_(False)).abstained
    with pytest.raises(InputError, match=r"a share of wrong answers in 0.05..0.5; given 2"):
        recognizer.predict("we made it", labels=LABELS, abstain=2)


def test_confidence_is_that_of_the_label_answered(recognizer):
    first = recognizer.predict("we made it", labels=LABELS, multi_label=True).label
    model = with_seen(recognizer.model, [label for label in LABELS if label != first])
    model.modality("text").calibration.novelty[1] = -40.0  # of the sigmoid alone: the best label is now unlikely
    recognizer = Recognizer(model)
    for several in (False, True):
        result = recognizer.predict("we made it", labels=LABELS, multi_label=several)
        shares, own = (recognizer.predict("we made it", labels=LABELS, multi_label=m).scores for m in (False, True))
        assert result.confidence == pytest.approx(shares[result.label] * own[result.label], abs=1e-5)
        assert (result.label == first) != several  # among the labels it is still the best


def test_disagreement_is_nothing_for_one_modality_and_something_for_two(recognizer, sound):
    assert recognizer.predict("we made it", labels=LABELS).disagreement == 0.0
    result = recognizer.predict("we made it", sound, labels=LABELS)
    assert 0.0 <= result.disagreement <= 1.0
    for label in LABELS:
        assert sum(one.weights[label] for one in result.modalities.values()) == pytest.approx(1.0, abs=1e-5)


def test_what_a_modality_says_of_all_labels_alike_tells_none_of_them_from_another(recognizer, sound):
    model = recognizer.model
    model = with_seen(model, ("joy", "anger"))
    recognizer = Recognizer(model)
    model.modality("text").calibration.trust.copy_(torch.tensor([0.9, 0.1, 0.5]))
    before = recognizer.predict("we made it", sound, labels=LABELS)
    weights = before.modalities["text"].weights
    assert weights["joy"] > weights["anger"] + 0.1
    with torch.no_grad():
        model.modality("audio").bias += 8.0
    after = Recognizer(model).predict("we made it", sound, labels=LABELS)
    assert after.scores == pytest.approx(before.scores, abs=1e-4)


def test_how_a_label_sounds_changes_what_a_voice_says_of_it(recognizer, sound):
    bare = recognizer.predict(audio=sound, labels={"saudade": "a longing", "joy": ""})
    told = recognizer.predict(audio=sound, labels={"saudade": {"definition": "a longing", "sounds": "loud"}, "joy": ""})
    assert bare.scores["saudade"] != told.scores["saudade"]
    by_object = [Label("saudade", definition="a longing", sounds="loud"), "joy"]
    assert recognizer.predict(audio=sound, labels=by_object).scores == told.scores


def test_labels_once_embedded_cost_nothing_more(recognizer, monkeypatch):
    labels = ["joy", "anger", "awe"]
    first = recognizer.predict("we made it", labels=labels)

    def never(*_):
        raise AssertionError("looked up again")

    monkeypatch.setattr("emoembed.prediction.label_sets.resolve", never)
    monkeypatch.setattr("emoembed.model.model.EmotionModel.label_points", never)
    monkeypatch.setattr("emoembed.model.calibration.Reliability.of", never)
    assert recognizer.predict("we made it", labels=labels) == first


def test_skipping_answers_the_others_and_says_why(recognizer, sound):
    kept = recognizer.predict(["we made it", "oh no"], labels=LABELS)
    first, empty, second = recognizer.predict(["we made it", " ", "oh no"], labels=LABELS, errors="skip")
    assert [first.label, second.label] == [one.label for one in kept]
    assert (empty.label, empty.scores, empty.modalities) == (None, {}, {})
    assert "text is empty" in empty.absent["text"]
    assert len(empty.to_frame()) == 0
    (none,) = recognizer.predict(audio=["nowhere.wav"], labels=LABELS, errors="skip")
    assert "no sound file at" in none.absent["audio"]
    _, heard = recognizer.predict(["we made it", "oh no"], [None, "nowhere.wav"], labels=LABELS, errors="skip")
    assert (heard.label, list(heard.absent)) == (second.label, ["audio"])
    (nothing,) = recognizer.predict([None], labels=LABELS, errors="skip")
    assert "nothing to work on" in nothing.absent["text"]
    with pytest.raises(InputError, match="errors must be 'raise' or 'skip'; given 'ignore'"):
        recognizer.predict("ok", labels=LABELS, errors="ignore")


def test_columns_of_a_table_are_lists(recognizer, sound):
    table = pd.DataFrame({"text": ["we made it", None, "oh no"], "audio": [np.nan, sound, sound]})
    for texts, sounds in ((table["text"], table["audio"]), (table["text"].to_numpy(object), table["audio"].tolist())):
        results = recognizer.predict(texts, sounds, labels=LABELS)
        assert [list(one.modalities) for one in results] == [["text"], ["audio"], ["text", "audio"]]


def test_many_items_are_encoded_in_parts_with_nan_where_one_has_none(recognizer, sound):
    texts = [*[f"we made it {i}" for i in range(40)], None]
    together = recognizer.encode(texts, [*[None] * 40, sound])
    assert together["text"].shape[0] == together["audio"].shape[0] == 41
    assert np.isnan(together["audio"][:40]).all()
    assert not np.isnan(together["audio"][40]).any()
    np.testing.assert_allclose(together["text"][35], recognizer.encode(texts[35])["text"], atol=1e-5)


def test_no_more_items_are_read_than_are_encoded_next(recognizer, monkeypatch):
    read, encode = [], recognizer.model.encode
    monkeypatch.setattr(recognizer.model, "encode", lambda batch: read.append("encoded") or encode(batch))
    real = recognizer._read
    monkeypatch.setattr(recognizer, "_read", lambda item, *rest: read.append("read") or real(item, *rest))
    recognizer.encode(["we made it"] * 40)
    assert read.index("encoded") == read[:33].count("read") == 32


def test_examples_count_once_and_cells_of_nothing_are_nothing(recognizer):
    rows = [{"text": "we made it", "audio": float("nan"), "label": ["joy", "happy"]}]
    assert recognizer.adapt(rows).model.state.taught == {"joy": {"text": 1}}
    with pytest.raises(InputError, match="a table is not a list of items; give one of its columns: text"):
        recognizer.predict(pd.DataFrame({"text": ["we made it"]}), labels=LABELS)


def test_a_skipped_item_is_plain_json(recognizer):
    (result,) = recognizer.predict([" "], labels=LABELS, errors="skip")
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["confidence"] is None


def test_a_model_is_uploaded_as_a_checkpoint_that_loads(recognizer, monkeypatch):
    uploaded = {}

    class Hub:
        def __init__(self, token):
            uploaded["token"] = token

        def create_repo(self, name, private, exist_ok):
            uploaded.update(private=private, exist_ok=exist_ok)
            return SimpleNamespace(repo_id=name)

        def upload_folder(self, repo_id, folder_path, commit_message):
            uploaded.update(repo_id=repo_id, labels=Recognizer.from_pretrained(folder_path).labels)
            return "https://hub/commit"

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert recognizer.push_to_hub("me/mine", private=True, token="secret") == "https://hub/commit"
    assert uploaded == {
        **{"token": "secret", "private": True, "exist_ok": True},
        **{"repo_id": "me/mine", "labels": recognizer.labels},
    }
