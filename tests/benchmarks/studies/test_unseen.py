from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from studies import novelty, unseen
from studies.novelty import Scores
from studies.unseen import UnseenStudy

from emoembed.corpora.corpus import Corpus, make_samples
from emoembed.evaluation import few_shot, held_out
from emoembed.evaluation.study import Study
from emoembed.model.expectation import HeldOut
from emoembed.training import recipes
from emoembed.training.config import TrainConfig


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setitem(held_out.HELD_OUT_TRAINING, "text", TrainConfig(epochs=1, batch_size=8, bf16=False))


def study_of(manifest, model, cache, seeds=(0,)):
    return Study(str(manifest), manifest.parent, model, seeds=seeds, cache=cache)


@pytest.fixture
def folds(manifest, text_model):
    return list(Study(str(manifest), manifest.parent, text_model).folds)


def test_each_label_is_held_out_taught_and_looked_at(folds, text_model, tmp_path):
    results = unseen.each(UnseenStudy(folds, "text", text_model, seeds=2, draws=2, cache=tmp_path))
    assert sorted(results.alone["unseen"]) == sorted(list(folds[0].train.labels) * 2)
    assert results.zero.equals(results.alone)
    assert [one.label for one in results.expected] == list(folds[0].train.labels)
    assert set(results.few["shots"]) == set(unseen.SHOTS)
    assert {name.split(",")[0] for name in results.calibration.index} == {"by itself", "among labels"}
    beside = unseen.beside_untrained(results, folds, text_model, "valid")
    assert not beside.isna().any().any()


def test_measures_of_later_seeds_are_kept(folds, text_model, tmp_path, monkeypatch):
    study = UnseenStudy(folds, "text", text_model, 2, draws=1, cache=tmp_path, measures_file=tmp_path / "each.csv")
    first = unseen.each(study)
    trained = []
    train = held_out.train_without
    monkeypatch.setattr(
        held_out,
        "train_without",
        lambda *given, **named: trained.append(given[2].config.seed) or train(*given, **named),
    )
    again = unseen.each(replace(study, seeds=3))
    assert set(trained) == {0, 2}
    pd.testing.assert_frame_equal(again.alone[again.alone["seed"] < 2].reset_index(drop=True), first.alone)
    assert len(again.alone) == 3 * len(folds[0].train.labels)
    unseen.each(replace(study, split="test"))
    assert set(trained) == {0, 1, 2}  # measures of another split are others


def test_the_interval_of_a_mean_holds_it_and_knows_the_spread():
    draw = np.random.default_rng(0)
    labels = [f"l{i}" for i in range(20)]
    table = pd.DataFrame({"unseen": labels * 2, "seed": [0] * 20 + [1] * 20, "fold": "f", "auc": draw.random(40)})
    row = unseen.over_labels(table.assign(ap=0.5), ("auc", "ap"))
    assert row.loc["auc", "low"] < row.loc["auc", "mean"] < row.loc["auc", "high"]
    assert row.loc["auc", "mean"] == pytest.approx(table["auc"].mean())
    assert row.loc["ap", ["low", "high"]].tolist() == [0.5, 0.5]


def test_over_seeds_figures_are_means_and_bounds_the_widest():
    table = pd.DataFrame({"UAR": [0.2, 0.4, 0.9], "UAR low": [0.15, 0.3, 0.8], "UAR high": [0.3, 0.5, 1.0], "rows": 9})
    table.index = pd.MultiIndex.from_tuples([("b", 0), ("b", 1), ("a", 0)], names=["way", "seed"])
    means = unseen.over_seeds(table, ["way"])
    assert list(means.index) == ["b", "a"]
    assert means.loc["b"].tolist() == pytest.approx([0.3, 0.15, 0.5, 9])


def test_a_gain_is_over_the_same_label_without_examples():
    rows = [
        ("a", 0, 0.2),
        ("a", 8, 0.4),
        ("a", 8, 0.6),
        ("b", 0, 0.5),
        ("b", 8, 0.6),
        ("b", 8, 0.6),
        ("c", 0, 0.5),
        ("c", 8, 0.7),
    ]
    table = pd.DataFrame([{"unseen": u, "shots": n, "ap": v, "fold": "f", "seed": 0} for u, n, v in rows])
    gain = few_shot.gain(table, 8)
    assert gain["gain"] == pytest.approx((0.3 + 0.1 + 0.2) / 3)
    assert gain["low"] == pytest.approx(0.1)
    assert gain["high"] == pytest.approx(0.3)


def test_what_others_lacked_mends_the_probabilities_of_a_new_label():
    draw = torch.Generator().manual_seed(0)

    def one(label, distance):
        true = torch.randn(3000, 2, generator=draw)
        bears = torch.distributions.Categorical(logits=true).sample()
        said = true - torch.tensor([0.0, 6.0 * distance])  # a quite new label's logit lacks three
        scores = Scores(said, said, torch.nn.functional.one_hot(bears, 2).float(), several=False)
        return HeldOut(label, 1 - distance, 0.7, 6.0 * distance, 0.0), scores

    found, said = zip(*[one(str(i), 0.2 + 0.01 * i) for i in range(30)], strict=True)
    errors = unseen.UnseenResults(*[pd.DataFrame()] * 3, pooled=novelty.pooled(found, said)).calibration
    assert errors["ECE"]["among labels, calibrated"] < 0.1 < 0.15 < errors["ECE"]["among labels, as seen labels are"]
    assert (errors["ECE low"] < errors["ECE high"]).all()


def test_calibration_of_new_labels_has_its_interval_over_labels():
    right = np.repeat([True, True, False], 50)
    one = (np.full(150, 0.9), right, np.repeat(["joy", "awe", "fear"], 50))
    found = unseen.UnseenResults(*[pd.DataFrame()] * 3, pooled={"by itself": one}).calibration.loc["by itself"]
    assert found.tolist() == pytest.approx([0.9 - 2 / 3, 0.1, 0.9])  # labels are all right or all wrong


def test_emotions_absent_from_training_are_answered_by_name(folds, manifest, text_model, tmp_path, monkeypatch):
    monkeypatch.setattr(Study, "folds", tuple(folds))
    monkeypatch.setattr(unseen.shipped, "SIX", ("joy", "anger"))
    left_out = []
    real = unseen.held_out.train_without
    monkeypatch.setattr(
        unseen.held_out, "train_without", lambda fold, out, *a, **k: left_out.append(out) or real(fold, out, *a, **k)
    )
    table = unseen.six_absent(text_model, manifest.parent, str(manifest), seeds=2, cache=tmp_path)
    assert list(table.index) == [("without them", 0), ("without them", 1), ("untrained", 0)]
    assert left_out == [("joy", "anger")] * 2
    assert (
        table["rows"]
        == (folds[0].valid.targets[:, [folds[0].valid.labels.index(x) for x in ("joy", "anger")]] == 1).sum()
    ).all()


def test_an_emotion_held_out_competes_with_those_seen(folds, manifest, text_model, tmp_path, monkeypatch):
    monkeypatch.setattr(Study, "folds", tuple(folds))
    table = unseen.together(study_of(manifest, text_model, tmp_path, seeds=(0, 1)), ("joy",))
    assert table.loc[("trained", "joy"), "auc sd over seeds"] >= 0
    assert table.loc[("untrained", "joy"), "auc sd over seeds"] == 0
    assert list(table.index) == [("trained", "joy"), ("untrained", "joy")]
    assert table[["seen_uar", "unseen_uar", "harmonic"]].notna().all().all()


def test_the_untrained_encoder_gives_up_what_serves_it_and_not_what_serves_a_trained_one(
    folds, manifest, text_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(Study, "folds", tuple(folds))
    monkeypatch.setattr(unseen.zero_shot, "pseudo_offset", lambda *a, untrained=False, **k: 7.0 if untrained else 3.0)
    used = {}
    measure = unseen.zero_shot.measure

    def noted(model, fold, labels, split, facts, offset=None):
        used[facts["system"]] = offset
        return measure(model, fold, labels, split, facts, offset=offset)

    monkeypatch.setattr(unseen.zero_shot, "measure", noted)
    unseen.together(study_of(manifest, text_model, tmp_path), ("joy",))
    assert used == {"trained": 3.0, "untrained": 7.0}


@pytest.fixture
def speech(monkeypatch, tmp_path):
    """Three corpora of tones whose pitch says the emotion, heard through microphones of their own."""

    def load(name, _):
        labels = {"ravdess": ("joy", "sadness"), "tess": ("joy", "sadness"), "emodb": ("joy", "sadness", "boredom")}[
            name
        ]
        loud = {"ravdess": 0.05, "tess": 0.1, "emodb": 0.4}[name]
        rows = [(label, n) for n in range(6) for label in labels]
        for label, n in rows:
            time = np.arange(8000) / 16_000
            pitch = {"joy": 300, "sadness": 120, "boredom": 180}[label] + 5 * n
            soundfile.write(tmp_path / f"{name}-{label}-{n}.wav", loud * np.sin(2 * np.pi * pitch * time), 16_000)
        samples = make_samples(
            [f"{label}{n}" for label, n in rows],
            audio=[str(tmp_path / f"{name}-{label}-{n}.wav") for label, n in rows],
            labels=[(label,) for label, _ in rows],
            split=["valid" if n == 3 else "train" for _, n in rows],
            speaker=[f"s{n % 2}" for _, n in rows],
        )
        return Corpus(name, samples, labels, False)

    monkeypatch.setattr(unseen.corpora, "load", load)
    monkeypatch.setitem(recipes.TRAINING, "audio", TrainConfig(epochs=1, batch_size=4, bf16=False))


def test_a_corpus_of_speech_is_asked_of_models_of_the_others(speech, text_model, tmp_path):
    fold = unseen.speech_without("emodb", text_model, tmp_path, tmp_path)
    assert {i.partition("/")[0] for i in fold.train.ids} == {"ravdess", "tess"}
    assert {i.partition("/")[0] for i in fold.valid.ids} == {"ravdess"}
    figures = unseen.other_corpus(text_model, tmp_path, "emodb", seeds=2, cache=tmp_path)
    assert list(figures.index.get_level_values("way").unique()) == ["as it is", "attuned", "attuned, each speaker"]
    assert (figures["rows"] == 18).all()
    assert figures["AUC of boredom"].between(0, 1).all()
    assert "AUC of joy" not in figures
    means = figures.groupby("way")[["UAR", "ECE"]].mean()
    assert not means.loc["as it is"].equals(means.loc["attuned"])
    assert "AUC of boredom" not in unseen.other_corpus(text_model, tmp_path, "tess", cache=tmp_path)


def test_a_recording_that_cannot_be_read_is_left_out_and_no_other_speaker_takes_its_place(
    speech, text_model, tmp_path, monkeypatch
):
    load = unseen.corpora.load

    def broken(name, folder):
        corpus = load(name, folder)
        if name == "emodb":
            (tmp_path / "emodb-joy-0.wav").write_bytes(b"no sound")
        return corpus

    monkeypatch.setattr(unseen.corpora, "load", broken)
    groups = []
    attuned = unseen.attuned_shares
    monkeypatch.setattr(
        unseen, "attuned_shares", lambda model, rows, own: groups.append((rows.ids, own)) or attuned(model, rows, own)
    )
    assert (unseen.other_corpus(text_model, tmp_path, "emodb", cache=tmp_path)["rows"] == 17).all()
    ids, speakers = groups[-1]
    assert list(speakers) == [f"s{int(row[-1]) % 2}" for row in ids]


def test_another_corpus_is_asked_of_other_readers_of_speech(speech, text_model, tmp_path, monkeypatch):
    overviews = []
    real = unseen.held_out.train_without

    def train_without(fold, unseen, recipe, **more):
        overviews.append(fold.modalities["audio"].settings.overview)
        return real(fold, unseen, recipe, **more)

    monkeypatch.setattr(unseen.held_out, "train_without", train_without)
    alone = recipes.audio_modality().with_settings(overview=1.0)
    unseen.other_corpus(text_model, tmp_path, "tess", cache=tmp_path)
    unseen.other_corpus(text_model, tmp_path, "tess", modality=alone, cache=tmp_path)
    assert overviews == [0.5, 1.0]
