import numpy as np
import pytest
import torch
from studies import shipped, voice_and_face
from torch.nn.functional import cross_entropy

from emoembed.reading.rows import EmotionData
from emoembed.reading.voice_and_face import only
from emoembed.training import loop, recipes
from emoembed.training.loop import encode_rows

LABELS = ("joy", "anger", "sadness")


@pytest.fixture
def both():
    """Rows whose sound tells joy from the rest and whose face tells anger from the rest: only both tell all three."""

    def make(rows, seed):
        generator = np.random.default_rng(seed)
        true = np.arange(rows) % 3
        low = np.arange(84) < 40  # columns that are louder for joy; the others are louder without it
        audio = {
            f"{seed}-{i}": generator.standard_normal((12, 84)) + 1.5 * (low == (t == 0)) for i, t in enumerate(true)
        }
        video = {f"{seed}-{i}": generator.standard_normal((1, 4)) + 4.0 * (t == 1) for i, t in enumerate(true)}
        targets = np.eye(3, dtype=np.float32)[true]
        return EmotionData(tuple(audio), {"audio": audio, "video": video}, LABELS, targets, np.zeros(rows, bool))

    return make


@pytest.fixture
def quick(monkeypatch, word_table):
    config = loop.TrainConfig(epochs=15, batch_size=16, learning_rate=0.01, bf16=False)
    monkeypatch.setitem(recipes.TRAINING, "audio", config)
    monkeypatch.setitem(recipes.TRAINING, "action_units", config)
    monkeypatch.setattr(voice_and_face.checkpoint, "read_word_table", lambda: word_table)
    return {"audio": recipes.audio_modality(), "video": recipes.action_unit_modality(tuple("abcd"))}


def test_both_together_beat_either_alone(both, quick):
    train_rows, valid = both(96, 1), both(48, 2)
    joint = voice_and_face.train_on(quick, train_rows, valid, 0)
    alone = [
        voice_and_face.train_on({name: quick[name]}, only(train_rows, name), only(valid, name), 0)
        for name in ("audio", "video")
    ]
    best_alone = max(
        voice_and_face.uar(model, only(valid, name)) for model, name in zip(alone, ("audio", "video"), strict=True)
    )
    assert voice_and_face.uar(joint, valid) > best_alone + 0.1
    for name in ("audio", "video"):
        assert voice_and_face.uar(joint, only(valid, name)) > 0.5


def test_speech_of_other_corpora_reaches_its_ridge_map_alone(both, quick, monkeypatch):
    taught = []
    monkeypatch.setattr("emoembed.training.fit.optimise", lambda model, rows, *rest, **more: taught.append(rows))
    train_rows, valid = both(96, 1), both(48, 2)
    ridge_rows = only(both(96, 3), "audio")
    alone, joined = (voice_and_face.train_on(quick, train_rows, valid, 0, ridge_rows=one) for one in (None, ridge_rows))
    maps = [[model.modality(name).encoder.overview.weight for name in ("audio", "video")] for model in (alone, joined)]
    assert not torch.equal(maps[0][0], maps[1][0])
    torch.testing.assert_close(maps[0][1], maps[1][1])
    assert [rows.ids for rows in taught] == [train_rows.ids] * 2


def test_calibration_leaves_what_was_learned_together_in_proportion(both, quick):
    valid = both(48, 2)
    joint = voice_and_face.train_on(quick, both(96, 1), valid, 0)
    points, trust = encode_rows(joint, valid), joint.label_trust(joint.label_points(LABELS))
    slopes = [one.softmax.slope for one in trust.values()]
    raw = {name: matrix.detach() for name, matrix in joint.score(points, joint.label_points(LABELS), trust).items()}
    said = torch.from_numpy(shipped.fused(joint, valid))
    assert said.argmax(dim=1).tolist() == joint.fuse(raw, trust).argmax(dim=1).tolist()
    torch.testing.assert_close(slopes[0], slopes[1])
    goal = torch.from_numpy(valid.targets.argmax(axis=1))
    views = [joint.fuse(raw, trust).detach(), *raw.values()]
    losses = [
        sum(float(cross_entropy(factor * slopes[0] * view, goal)) for view in views) for factor in (0.8, 1.0, 1.25)
    ]
    assert losses[1] == min(losses)


def test_the_ridge_baseline_reads_what_the_models_read_and_is_scored_on_other_rows(both, three_model, monkeypatch):
    data = both(192, 1)
    parts = np.array(["train", "valid", "test"])[np.arange(192) // 3 % 3]
    monkeypatch.setattr(voice_and_face, "read_both", lambda _: (data, ("a",)))
    monkeypatch.setattr(voice_and_face, "splits_of", lambda *_: [parts, parts])
    table = voice_and_face.ridge_uar(three_model, None, "test")
    assert list(table.index) == ["sound", "action units", "both"]
    assert table.loc["both", "mean"] > 0.95
    true = data.targets.argmax(axis=1)
    inputs = voice_and_face.statistics_of(data, three_model)["both"]
    wrong = np.where(parts == "test", (true + 1) % 3, true)  # labels of test rows teach nothing
    assert voice_and_face._fold_uar(inputs, wrong, parts, "test") < 0.3


def test_statistics_of_both_are_those_of_each(both, three_model):
    data = both(6, 1)
    statistics = voice_and_face.statistics_of(data, three_model)
    assert all(len(rows) == 6 for rows in statistics.values())
    np.testing.assert_array_equal(
        statistics["both"], np.concatenate([statistics["sound"], statistics["action units"]], axis=1)
    )
    np.testing.assert_allclose(statistics["action units"][2], data.inputs["video"][data.ids[2]].mean(axis=0))


def test_weights_by_label_are_measured_on_speakers_they_were_not_fitted_on(both, quick, monkeypatch):
    joint, valid = voice_and_face.train_on(quick, both(96, 1), both(48, 2), 0), both(48, 2)
    speakers = np.repeat(["1", "2", "3", "4"], 12)
    fitted = []
    calibrate = voice_and_face.calibrate_jointly

    def keep(model, rows):
        fitted.append(rows.ids)
        calibrate(model, rows)

    monkeypatch.setattr(voice_and_face, "calibrate_jointly", keep)
    measures = voice_and_face.fusion_measures(joint, valid, speakers)
    assert list(measures) == [f"{name}, {way}" for way in ("by label", "one weight") for name in ("UAR", "AP", "AUC")]
    assert min(measures.values()) > 0.8
    assert measures["AP, by label"] != measures["AP, one weight"]
    odd, even = (tuple(np.array(valid.ids)[np.isin(speakers, names)]) for names in (["1", "3"], ["2", "4"]))
    assert fitted == [even, odd] * 2
