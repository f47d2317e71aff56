import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.errors import InputError, LabelError
from emoembed.evaluation import held_out
from emoembed.evaluation.folds import Fold
from emoembed.evaluation.study import Study
from emoembed.labels.emotion import find
from emoembed.labels.phrases import SentenceEncoder
from emoembed.reading.rows import EmotionData
from emoembed.training import loop, recipes

QUICK = loop.TrainConfig(epochs=1, batch_size=8, bf16=False)


def train_without(fold, unseen, seed, *, base, cache, **settings):
    recipe = held_out.recipe_of(fold, unseen, seed, base=base, **settings)
    return held_out.train_without(fold, unseen, recipe, cache=cache)


@pytest.fixture
def fold(manifest, text_model, tmp_path):
    return Study(str(manifest), manifest.parent, text_model, cache=tmp_path / "cache").folds[0]


@pytest.fixture
def taught(monkeypatch):
    """The (train, valid) data sets given to `fit`, in order."""
    training_rows = []

    def spy(model, rows, valid, *args, **kwargs):
        training_rows.append((rows, valid))
        return loop.optimise(model, rows, valid, *args, **kwargs)

    monkeypatch.setattr("emoembed.training.fit.optimise", spy)
    return training_rows


def test_neither_training_nor_stopping_sees_a_row_of_an_unseen_emotion(fold, text_model, taught, tmp_path):
    train_without(fold, ["fear", "joy"], 0, base=text_model, cache=tmp_path, training=QUICK)
    ((rows, valid),) = taught
    for data, whole in ((rows, fold.train), (valid, fold.valid)):
        unseen = whole.targets[:, [whole.labels.index("fear"), whole.labels.index("joy")]].any(axis=1)
        assert set(data.labels) == {"anger", "sadness"}
        assert set(data.ids) == {i for i, bears in zip(whole.ids, unseen, strict=True) if not bears}
        assert unseen.sum() == len(whole) // 2


def test_what_rows_of_an_unseen_emotion_hold_reaches_no_part_of_the_model(text_model, tmp_path):
    noise = np.random.default_rng(0)
    frames = {f"faces/{i}": noise.random((1, 48 * 48), np.float32) for i in range(18)}
    targets = np.tile(np.eye(3, dtype=np.float32), (6, 1))
    rows = EmotionData(tuple(frames), {"video": frames}, ("anger", "joy", "sadness"), targets, np.zeros(18, bool))
    changed = {
        row: np.square(image) if bears[1] else image
        for (row, image), bears in zip(frames.items(), targets, strict=True)
    }
    parts = []
    for data in (rows, replace(rows, inputs={"video": changed})):
        modalities = {"video": recipes.video_modality()}
        fold = Fold("faces", "video", data, data, data, {}, modalities, phrases=text_model.phrases)
        model = train_without(fold, ("joy",), 0, base=text_model, cache=tmp_path, training=QUICK)
        parts.append(model.state_dict())
    assert len(list((tmp_path / "held_out").iterdir())) == 2
    for name, value in parts[0].items():
        torch.testing.assert_close(parts[1][name], value, rtol=1e-4, atol=1e-5, equal_nan=True)


def test_a_model_is_trained_once_and_then_read(fold, text_model, taught, tmp_path):
    def make(unseen=("fear",), seed=0, training=QUICK):
        return train_without(fold, unseen, seed, base=text_model, cache=tmp_path, training=training)

    first, again = make(), make()
    assert len(taught) == 1
    assert all((first.state_dict()[k] == v).all() for k, v in again.state_dict().items() if v.isfinite().all())
    make(seed=1), make(unseen=("joy",)), make(training=loop.TrainConfig(epochs=1, batch_size=16, bf16=False))
    make(training=replace(QUICK, pull=0.25))
    assert len(taught) == 5
    train_without(fold, ("fear",), 0, base=text_model, cache=tmp_path, training=QUICK, augmented=False)
    assert len(taught) == 6


def test_a_model_that_starts_from_another_reader_of_facial_actions_is_not_taken_for_this_one(fold, text_model):
    def name(reader):
        folds = replace(fold, facial_actions=reader)
        recipe = held_out.recipe_of(folds, ("fear",), 0, base=text_model)
        assert recipe.facial_actions is reader
        return held_out.name_of(folds, ("fear",), recipe)

    readers = [FacialActionReader() for _ in range(2)]
    assert len({name(None), *map(name, readers)}) == 3
    assert name(readers[0]) == name(readers[0])


def test_a_model_of_labels_described_in_another_way_is_not_taken_for_this_one(fold, text_model, monkeypatch):
    recipe = held_out.recipe_of(fold, ("fear",), 0, base=text_model)
    name = held_out.name_of(fold, ("fear",), recipe)
    assert held_out.name_of(fold, ("fear",), recipe) == name
    for change in ({"definition": "a storm ahead"}, {"sounds": "a trembling voice"}, {"valence": 0.5}):
        monkeypatch.setattr(held_out, "find", lambda label, change=change: replace(find(label), **change))
        assert held_out.name_of(fold, ("fear",), recipe) != name


def test_a_face_model_is_finished_once_and_an_unfinished_one_refused(text_model, taught, tmp_path, monkeypatch):
    noise = np.random.default_rng(0)
    frames = {f"faces/{i}": noise.random((1, 48 * 48), np.float32) for i in range(18)}
    targets = np.tile(np.eye(3, dtype=np.float32), (6, 1))
    rows = EmotionData(tuple(frames), {"video": frames}, ("anger", "joy", "sadness"), targets, np.zeros(18, bool))
    modalities = {"video": recipes.video_modality()}
    fold = Fold("faces", "video", rows, rows, rows, {}, modalities, phrases=text_model.phrases)

    def make():
        return train_without(fold, ("joy",), 0, base=text_model, cache=tmp_path, training=QUICK)

    first = make()
    assert bool(first.modality("video").encoder.overview.weight.any())
    monkeypatch.setattr("emoembed.training.fit.finish_faces", lambda *given: pytest.fail("finished again"))
    again = make()
    assert all((first.state_dict()[k] == v).all() for k, v in again.state_dict().items() if v.isfinite().all())
    (kept,) = (tmp_path / "held_out").iterdir()
    weights = load_file(kept)
    save_file({k: torch.zeros_like(v) if "overview.weight" in k else v for k, v in weights.items()}, kept)
    with pytest.raises(InputError, match="delete it"):
        make()


def test_rows_of_other_corpora_are_for_the_map_alone_and_without_the_unseen_emotion(
    units_model, toy, word_table, taught, tmp_path, monkeypatch
):
    prepared = []
    monkeypatch.setattr("emoembed.training.fit.prepare", lambda _, *rest: prepared.append(rest[:2]))
    rows, ridge_rows = toy(60), toy(60, 1, labels=("rage", "anger", "joy", "awe"))
    modalities = units_model.config.modalities
    fold = Fold("units", "sequence", rows, rows, rows, {}, modalities, phrases=word_table, ridge_rows=ridge_rows)

    def make(one):
        return train_without(one, ("anger",), 0, base=units_model, cache=tmp_path, training=QUICK)

    make(fold)
    (train_rows, others), ((taught_rows, _),) = prepared[0], taught
    assert set(others.labels) == {"joy", "awe"}
    assert len(others) == 30
    assert set(train_rows.ids) == set(taught_rows.ids) < set(rows.ids)
    make(fold)
    assert len(taught) == 1
    make(replace(fold, ridge_rows=None))
    make(replace(fold, ridge_rows=ridge_rows.rows(np.arange(59))))
    assert len(taught) == 3
    assert [more is None for _, more in prepared] == [False, True, False]


def test_a_model_of_other_rows_or_of_another_start_is_not_taken_for_this_one(fold, text_model, taught, tmp_path):
    def make(one, base=text_model):
        train_without(one, ("fear",), 0, base=base, cache=tmp_path, training=QUICK)

    make(fold)
    same = {row: ids.copy() for row, ids in fold.train.inputs["text"].items()}
    make(replace(fold, train=replace(fold.train, inputs={"text": same})))
    assert len(taught) == 1
    same[fold.train.ids[0]][0] += 1
    make(replace(fold, train=replace(fold.train, inputs={"text": same})))
    assert len(taught) == 2
    make(replace(fold, valid=fold.valid.rows(np.arange(len(fold.valid) - 1))))
    assert len(taught) == 3
    other = copy.deepcopy(text_model)
    with torch.no_grad():
        next(other.modality("text").encoder.trunk.parameters()).add_(0.1)
    other.phrases = SentenceEncoder(other.modality("text").encoder, text_model.phrases.tokenizer)
    make(replace(fold, phrases=None), other)
    assert len(taught) == 4


def test_a_model_knows_what_it_saw_and_takes_hubs_off_new_labels_alone(fold, text_model, tmp_path):
    model = train_without(fold, ("awe",), 0, base=text_model, cache=tmp_path / "cache")
    seen = [label for label in fold.train.labels if label != "awe"]
    assert model.state.seen_in("text") == tuple(seen)
    hubness = model.label_trust(model.label_points([*seen, "awe"]))["text"].hubness
    assert hubness[:-1].abs().max() < 1e-4
    assert hubness[-1].abs() > 1e-3


def test_clips_of_sound_and_face_lose_one_of_them_in_training(toy):
    rows, both = toy(6), {"audio": recipes.audio_modality(), "video": recipes.video_modality()}
    joint = Fold("clips", "audio", rows, rows, rows, {}, both)
    sound = replace(joint, modalities={"audio": both["audio"]})
    assert held_out.training_of(joint).modality_dropout == recipes.MODALITY_DROPOUT > 0
    assert held_out.training_of(sound).modality_dropout == 0.0


def test_text_adapters_count_in_part_where_emotions_are_held_out(fold, text_model, tmp_path):
    def strength(unseen, **changes):
        model = train_without(fold, unseen, 0, base=text_model, cache=tmp_path, training=QUICK, **changes)
        assert model.modality("text").calibration.hub_share == 1.0
        return model.modality("text").encoder.adapters.strength

    assert strength(["fear"]) == held_out.UNSEEN_STRENGTH < 1.0
    assert [strength(["fear"], strength=given) for given in (0.9, 0.0)] == [0.9, 0.0]
    assert strength([]) == 1.0


def test_a_synonym_among_the_training_labels_is_refused(manifest, text_model, tmp_path):
    table = pd.read_csv(manifest)
    table["labels"] = table["labels"].replace("sadness", "dread")
    table.to_csv(manifest, index=False)
    fold = Study(str(manifest), manifest.parent, text_model).folds[0]
    with pytest.raises(LabelError, match=r"dread is a synonym of fear: .* hold both out"):
        train_without(fold, ["fear"], 0, base=text_model, cache=tmp_path, training=QUICK)


def test_models_that_several_processes_train_ahead_are_those_of_one(fold, text_model, tmp_path, taught, monkeypatch):
    models = [(0, ("joy",), 0), (0, ("fear",), 0), (0, ("fear",), 1)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for position, unseen, seed in models[:2]:
        train_without((fold,)[position], unseen, seed, base=text_model, cache=tmp_path / "one")
    assert len(taught) == 2
    held_out.train_ahead(models, [fold], text_model, 2, cache=tmp_path / "two")
    files = {path.name: path for path in (tmp_path / "two" / "held_out").iterdir()}
    assert len(files) == 3
    for path in (tmp_path / "one" / "held_out").iterdir():
        ahead = load_file(files[path.name])
        for name, value in load_file(path).items():
            torch.testing.assert_close(ahead[name], value, rtol=0, atol=0)
    train_without(fold, ("fear",), 1, base=text_model, cache=tmp_path / "two")
    assert len(taught) == 2  # it was in the cache
    monkeypatch.setattr(held_out, "in_order", lambda *_: pytest.fail("trained again"))
    held_out.train_ahead(models, [fold], text_model, 2, cache=tmp_path / "two")
    torch.set_num_threads(threads)
