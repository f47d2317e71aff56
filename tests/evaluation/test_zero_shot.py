import numpy as np
import pandas as pd
import pytest
import torch

from emoembed import metrics
from emoembed.evaluation import zero_shot
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.study import Study
from emoembed.reading.rows import EmotionData

LABELS = ("joy", "anger", "fear")

STUDY = Study("toy", None, None)


def rows(targets, several=False, labels=LABELS):
    targets = np.asarray(targets, np.float32)
    ids = tuple(f"r{i}" for i in range(len(targets)))
    return EmotionData(ids, {}, labels[: targets.shape[1]], targets, np.full(len(ids), several))


def test_seen_and_unseen_recall_by_hand():
    logits = np.array([[4.0, 0, 1], [4, 0, 5], [0, 4, 1], [0, 4, 1], [0, 1, 5], [3, 1, 2]])
    scored = rows(np.eye(3)[[0, 0, 1, 1, 2, 2]])
    # validation margins of the seen labels over fear are all 9, so the offset must not exceed 9
    valid_logits = np.array([[9.0, 0, 0], [0, 9, 0]])
    measured, predicted = zero_shot._single_label(logits, scored, valid_logits, rows(np.eye(2)[[0, 1]]), ["fear"])
    offset = zero_shot.seen_offset(valid_logits, np.array([0, 1]), np.array([True, True, False]))
    answered = (logits - offset * np.array([1, 1, 0])).argmax(axis=1)
    assert measured["seen_uar"] == pytest.approx(np.mean([np.mean(answered[:2] == 0), np.mean(answered[2:4] == 1)]))
    assert measured["unseen_uar"] == pytest.approx(np.mean(answered[4:] == 2))
    assert measured["harmonic"] == pytest.approx(metrics.harmonic_mean(measured["seen_uar"], measured["unseen_uar"]))
    assert measured["seen_uar_closed"] == 1.0
    np.testing.assert_array_equal(predicted.argmax(axis=1), answered)
    assert (measured["chance_uar"], measured["majority_uar"]) == (pytest.approx(1 / 3), 0.5)


@pytest.mark.parametrize("several", [False, True])
def test_exclusive_labels_rank_by_probability_and_others_by_logit(several, monkeypatch):
    # the unseen label's logit is the same in every row; what competes with it is not
    logits = np.array([[5.0, 0, 1], [0, 5, 1], [0, 0, 1], [0.5, 0, 1]])
    scored = rows(np.eye(3)[[0, 1, 2, 2]], several)
    monkeypatch.setattr(zero_shot, "score_rows", lambda model, points, labels: {"fused": points["video"].numpy()})
    fold = Fold("toy", "video", scored, rows(np.eye(3)[[0, 1]], several), scored, {})
    valid = np.array([[9.0, 0, 0], [0, 9, 0]])
    encoded = {"test": {"video": torch.tensor(logits)}, "valid": {"video": torch.tensor(valid)}}
    (measured,) = zero_shot.measure(None, fold, ["fear"], "test", {}, encoded)
    assert measured["auc"] == (0.5 if several else 1.0)


@pytest.mark.parametrize("several", [False, True])
def test_the_untrained_baseline_is_ranked_as_models_are(several, monkeypatch):
    logits = np.array([[5.0, 0, 1], [0, 5, 1], [0, 0, 1], [0.5, 0, 1]])
    scored = rows(np.eye(3)[[0, 1, 2, 2]], several)
    monkeypatch.setattr(zero_shot, "predict_logits", lambda model, rows, labels=None: {"fused": logits})
    monkeypatch.setattr(zero_shot, "untrained_model", lambda fold, base: "a model")
    fold = Fold("toy", "text", scored, scored, scored, {})
    found = zero_shot.untrained_similarity([fold], None, ["fear"], "test")
    assert found["fear"]["auc"] == (0.5 if several else 1.0)


def test_a_label_validation_lacks_does_not_play_the_unseen_one(monkeypatch):
    valid = rows(np.eye(4)[[0, 0, 0]], False, labels=("joy", "anger", "fear", "disgust"))
    left_out = []
    monkeypatch.setattr(Study, "model", lambda study, fold, out, seed: left_out.append(out))
    monkeypatch.setattr(zero_shot, "predict_logits", lambda model, rows: {"fused": np.zeros((3, 3))})
    monkeypatch.setattr(zero_shot, "best_offset", lambda *a: 0.0)
    fold = Fold("toy", "text", valid, valid, valid, {})
    for seed in range(3):
        zero_shot.pseudo_offset(STUDY, fold, (valid.labels[2],), seed)
    assert left_out == [(valid.labels[2], valid.labels[0])] * 3
    assert zero_shot.pseudo_offset(STUDY, fold, (valid.labels[0],), 0) is None


def test_one_label_is_not_trained_on_alone_for_an_offset():
    valid = rows(np.eye(3)[[0, 1, 2]], False)
    assert zero_shot.pseudo_offset(STUDY, Fold("toy", "text", valid, valid, valid, {}), (valid.labels[2],), 0) is None


def test_a_label_whose_synonym_is_trained_on_does_not_play_the_unseen_one(monkeypatch):
    valid = rows(np.eye(4), labels=("anger", "rage", "joy", "fear"))
    left_out = []
    monkeypatch.setattr(Study, "model", lambda study, fold, out, seed: left_out.append(out))
    monkeypatch.setattr(zero_shot, "predict_logits", lambda model, rows: {"fused": np.eye(3)})
    monkeypatch.setattr(zero_shot, "best_offset", lambda *a: 0.0)
    for seed in range(3):
        zero_shot.pseudo_offset(STUDY, Fold("toy", "text", valid, valid, valid, {}), ("fear",), seed)
    assert left_out == [("fear", "joy")] * 3


def test_the_offset_of_a_second_model_is_the_one_measured_with(manifest, text_model, tmp_path, monkeypatch):
    monkeypatch.setattr(zero_shot, "pseudo_offset", lambda *a, **k: 1e6)  # no seen label is answered any more
    study = Study(str(manifest), manifest.parent, text_model, unseen="fear", epochs=1, cache=tmp_path)
    table = zero_shot.evaluate(study, pseudo_unseen=True)
    assert (table["seen_uar"][0], table["unseen_uar"][0]) == (0.0, 1.0)


def test_the_untrained_encoder_gives_up_as_much_of_seen_labels_as_a_trained_one_may(monkeypatch):
    """Its offset too is the best for a seen label in an unseen one's place, and no model is trained for it."""
    valid = rows(np.eye(3)[[0, 0, 1, 1]], False)
    logits = np.array([[1.0, 3.0], [1.0, 3.0], [0.0, 4.0], [0.0, 4.0]])
    monkeypatch.setattr(Study, "model", lambda *a: pytest.fail("trained"))
    monkeypatch.setattr(zero_shot, "untrained_model", lambda fold, base: "a model")
    monkeypatch.setattr(zero_shot, "predict_logits", lambda model, rows: {"fused": logits})
    fold = Fold("toy", "text", valid, valid, valid, {})
    offset = zero_shot.pseudo_offset(STUDY, fold, (valid.labels[2],), 0, untrained=True)
    true, seen = np.array([0, 0, 1, 1]), np.array([False, True])
    assert offset == pytest.approx(zero_shot.best_offset(logits, true, seen))
    assert ((logits - offset * seen).argmax(axis=1) == true).all()


def test_an_unseen_labels_threshold_does_not_depend_on_what_is_scored():
    generator = np.random.default_rng(0)
    bears = generator.random((60, 3)) < 0.4
    valid_logits, logits = (generator.standard_normal((60, 3)) + bears for _ in range(2))
    valid = rows(bears[:, :2], several=True)

    def unseen_f1(extra):
        scored = rows(np.concatenate([bears, np.zeros((extra, 3))]), several=True)
        low = np.full((extra, 3), -9.0)
        return zero_shot._multi_label(np.concatenate([logits, low]), scored, valid_logits, valid, ["fear"])[0]

    assert unseen_f1(0) == unseen_f1(300)


def test_seen_labels_are_answered_by_thresholds_of_validation_rows_alone():
    logits = np.array([[1.0, 1, 0], [2, 2, 0], [3, 3, 0], [4, 4, 0]])
    valid = rows([[0, 0], [0, 0], [1, 1], [1, 1]], several=True)
    scored = rows([[0, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]], several=True)
    measured, answered = zero_shot._multi_label(logits, scored, logits, valid, ["fear"])
    assert answered[:, 0].tolist() == [False, False, True, True]
    assert measured["macro_f1_seen"] == pytest.approx(0.8)


def test_a_summary_counts_folds_and_groups_alike_however_many_labels_they_hold_out():
    table = pd.DataFrame({"seed": 0, "fold": "a", "group": ["x", "y+z", "y+z", "y+z"], "auc": [0.9, 0.5, 0.5, 0.5]})
    assert zero_shot.summarize(table).loc["auc", "mean"] == pytest.approx(0.7)


def test_a_run_measures_every_unseen_label_and_seed(manifest, text_model, tmp_path):
    study = Study(str(manifest), manifest.parent, text_model, unseen="fear,joy", seeds=(0, 1), epochs=2, cache=tmp_path)
    table = zero_shot.evaluate(study)
    assert list(table["unseen"]) == ["fear", "joy", "fear", "joy"]
    assert list(table["seed"]) == [0, 0, 1, 1]
    assert (table["chance_ap"] == 0.25).all()
    assert table[["auc", "ap", "seen_uar", "harmonic"]].notna().all(axis=None)
    summary = zero_shot.summarize(table)
    assert summary.loc["auc", "mean"] == pytest.approx(table["auc"].mean())
    by_seed = table.groupby("seed")["auc"].mean()
    assert summary.loc["auc", "sd over seeds"] == pytest.approx(by_seed.std())
    assert list(zero_shot.by_label(table).index) == ["fear", "joy"]
    untrained = zero_shot.untrained_similarity(study.folds, text_model, ["fear", "joy"], "test")
    assert all(0 <= figures["auc"] <= 1 for figures in untrained.values())


def test_each_holds_every_label_out_in_turn(manifest, text_model, tmp_path):
    study = Study(str(manifest), manifest.parent, text_model, unseen="each", epochs=1, cache=tmp_path, split="test")
    table = zero_shot.evaluate(study)
    assert sorted(table["group"]) == ["anger", "fear", "joy", "sadness"]
