"""What is fitted without gradients, before training and after it."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from rated_texts import rate_texts

from emoembed import metrics
from emoembed.encoders.faces import FaceSettings
from emoembed.encoders.facial_actions import FacialActionReader
from emoembed.encoders.pooled import PooledSettings
from emoembed.errors import InputError
from emoembed.labels.descriptions import FACE
from emoembed.labels.projections import LabelParts
from emoembed.model.config import ModalityConfig
from emoembed.reading import corpus_rows
from emoembed.reading.rows import EmotionData, join
from emoembed.training import recipes
from emoembed.training.background import fit_background, with_seen
from emoembed.training.build import build
from emoembed.training.ridge_maps import finish_faces, fit_overviews, fit_standardization, prepare


def test_texts_are_rated_as_the_rated_sentences_were(text_model, corpus_of):
    texts = [f"{word} {end}" for word in ("joy", "sad") for end in "abcdefghijkl"]
    rated = replace(corpus_of(texts), multi_label=True)
    rated.samples["valence"] = [1.0] * 12 + [-1.0] * 12
    rated.samples["arousal"] = rated.samples["dominance"] = 0.0
    rate_texts(text_model, rated, texts, penalty=0.01)
    data = corpus_rows.text_data(rated, text_model.phrases)
    with torch.no_grad():
        points = text_model.encode(data.batch(range(24)))["text"]
    valence = points[:, 0] / points[:, 3]  # column 3 is the constant
    assert valence[:12].min() > valence[12:].max()
    before = text_model.modality("text").encoder.ratings.weight.clone()
    copy = build(text_model.config.modalities, text_model.phrases, 3, base=text_model)
    torch.testing.assert_close(copy.modality("text").encoder.ratings.weight, before)
    torch.testing.assert_close(copy.space.vad_map, text_model.space.vad_map)


def test_texts_hold_what_no_word_says_and_centre_their_scores(text_model, corpus_of):
    texts = ["so sunny", "how grey", "a b c", "d e f g", "joy", "sad"] * 4
    data = corpus_rows.text_data(corpus_of(texts, ["joy", "anger"] * 12), text_model.phrases)
    fit_background(text_model, data)
    points = text_model.encode(data.batch(range(len(data))))["text"]
    embed_dim = text_model.config.modalities["text"].embed_dim
    assert points.shape[1] == embed_dim + recipes.TEXT_RESIDUAL
    assert bool(points[:, embed_dim:].any())
    with torch.no_grad():
        words = text_model.label_points(("joy", "anger", "awe"))
        scores = text_model.score({"text": points}, words)["text"]
    assert (scores - text_model.modality("text").bias).mean(dim=0).diff().abs().max() < 1e-3


@pytest.fixture
def summed(word_table):
    """An untrained model of means and deviations whose answers are those of its map in closed form alone."""
    units = ModalityConfig(
        "units",
        "pooled",
        24,
        tuple("abcdef"),
        PooledSettings(summary="moments", overview=1.0),
        parts=LabelParts(vad_share=0.5),
    )
    return build({"video": units}, word_table)


def test_what_new_labels_owe_to_items_in_general_is_taken_off_in_every_modality(units_model, toy):
    data = toy(300, 1)
    fit_background(units_model, data)
    units_model = with_seen(units_model, data.labels)
    hubness = units_model.label_trust(units_model.label_points([*data.labels, "awe"]))["video"].hubness
    assert hubness[:-1].abs().max() < 1e-4
    assert hubness[-1].abs() > 1e-3


def test_a_ridge_map_answers_before_any_training(summed, toy):
    data = toy(90)
    prepare(summed, data)
    points = summed.encode(toy(60, 2).batch(range(60)))["video"]
    answered = (points @ summed.label_points(data.labels)["video"].T).argmax(dim=1)
    assert (answered.numpy() == toy(60, 2).targets.argmax(axis=1)).mean() > 0.9


def test_a_row_of_several_labels_is_drawn_to_their_mean(summed, toy):
    data = toy(60)
    both = replace(data, targets=np.tile(np.float32([1, 1, 0]), (60, 1)), multi_label=np.ones(60, bool))
    prepare(summed, both)
    overview = summed.modality("video").encoder.overview
    joy, anger, _ = summed.label_points(data.labels)["video"]
    torch.testing.assert_close(overview(overview.scaled(torch.zeros(1, 12)))[0], (joy + anger) / 2, atol=1e-3, rtol=0)


def test_the_spread_is_the_mean_squared_distance_of_a_labels_items_from_their_mean(units_model, toy):
    data = toy(60, noise=2.0)
    prepare(units_model, data)
    fit_background(units_model, data)
    points = units_model.encode(data.batch(np.arange(60)))["video"]
    groups = [points[torch.from_numpy(column == 1)] for column in data.targets.T]
    expected = torch.stack([group.var(dim=0, unbiased=False).sum() for group in groups]).mean()
    torch.testing.assert_close(units_model.modality("video").calibration.spread, expected, atol=1e-4, rtol=1e-3)


def faces(rows, seed=0):
    """Faces whose brightness from side to side says their label; joy is rare."""
    draw = np.random.default_rng(seed)
    labels = ("anger", "joy", "sadness")
    which = draw.choice(3, rows, p=[0.45, 0.1, 0.45])
    slope = np.linspace(-1, 1, 48)[None, :] * np.ones((48, 1))
    kinds = (slope, slope.T, -slope.T)
    frames = {
        f"r{i}": (0.5 + 0.2 * kinds[k] + 0.05 * draw.standard_normal((48, 48))).clip(0, 1).reshape(1, -1).astype("f4")
        for i, k in enumerate(which)
    }
    return EmotionData(
        tuple(frames), {"video": frames}, labels, np.eye(3, dtype=np.float32)[which], np.zeros(rows, bool)
    )


def test_faces_are_placed_by_what_the_network_has_learned_to_see(word_table):
    model = build({"video": recipes.video_modality()}, word_table)
    encoder = model.modality("video").encoder
    prepare(model, faces(120))
    assert not bool(encoder.overview.weight.any())
    finish_faces(model, faces(120))
    fit_background(model, faces(120))
    encoder.overview_share = 1.0
    scored = faces(60, 1)
    with torch.no_grad():
        points = model.encode(scored.batch(np.arange(60)))["video"]
        answered = (points @ model.label_points(scored.labels)["video"].T).argmax(dim=1).numpy()
    true = scored.targets.argmax(axis=1)
    assert metrics.uar(answered, true) > 0.9
    model.train()
    assert not torch.allclose(
        model.encode(scored.batch(np.arange(60)))["video"], points[:, : recipes.video_modality().embed_dim], atol=1e-2
    )


def test_a_face_lies_where_its_own_facial_actions_are(word_table):
    """The reader calls faces with bright lower halves smiles. The label of a face says nothing of that."""
    data, draw = faces(200), np.random.default_rng(1)
    bright = {row: np.float32(draw.uniform(0, 0.4)) for row in data.ids}
    lower = np.repeat(np.arange(48) >= 24, 48)
    data = replace(data, inputs={"video": {row: data.inputs["video"][row] + lower * bright[row] for row in data.ids}})
    column = list(FACE).index("smile")

    class Reader(FacialActionReader):
        def forward(self, frames, lengths):
            actions = torch.zeros(len(frames), len(FACE))
            below, above = frames[:, 0, 24 * 48 :].mean(dim=1), frames[:, 0, : 24 * 48].mean(dim=1)
            actions[:, column] = 5 * (below - above)
            return actions

    agreement = []
    for reader in (None, Reader()):
        model = build({"video": recipes.video_modality()}, word_table)
        prepare(model, data)
        finish_faces(model, data, reader)
        encoder, inputs = model.modality("video").encoder, data.batch(np.arange(200))["video"]
        with torch.no_grad():
            found = encoder.overview(encoder.overview.scaled(encoder.read(*inputs)))
        smiles = found[:, recipes.FACE_PARTS.action_columns[column]]
        agreement.append(np.corrcoef(smiles, Reader()(*inputs)[:, column])[0, 1])
    assert agreement[0] < 0.7 < 0.9 < agreement[1]


def test_points_without_looks_have_no_facial_actions(word_table):
    parts = replace(recipes.FACE_PARTS, cue="sounds")
    assert not parts.action_columns
    assert not replace(recipes.FACE_PARTS, cue_share=0.0).action_columns
    assert len(recipes.FACE_PARTS.action_columns) == len(FACE)


def test_labels_count_alike_in_the_map_of_faces_however_many_rows_bear_them(word_table):
    model, data = build({"video": recipes.video_modality()}, word_table), faces(60)
    prepare(model, data)
    finish_faces(model, data)
    fit_background(model, data)
    encoder, points = model.modality("video").encoder, model.label_points(data.labels)["video"]
    with torch.no_grad():
        features = encoder.read(*data.batch(np.arange(60))["video"])
        outputs = encoder.overview(encoder.overview.scaled(features))
    by_label = torch.stack([outputs[torch.from_numpy(column == 1)].mean(dim=0) for column in data.targets.T])
    torch.testing.assert_close(by_label.mean(dim=0), points[:, : outputs.shape[1]].mean(dim=0), atol=1e-3, rtol=0)


def test_in_faces_new_labels_keep_what_they_owe_to_items_in_general(word_table):
    model, data = build({"video": recipes.video_modality()}, word_table), faces(60)
    prepare(model, data)
    finish_faces(model, data)
    fit_background(model, data)
    model = with_seen(model, data.labels)
    assert not bool(model.label_trust(model.label_points(["awe", "boredom"]))["video"].hubness.any())


def test_a_video_is_placed_by_its_faces_though_only_single_ones_were_trained_on(word_table):
    """How a face varies over frames was the same in every training row: whatever it weighs, nobody learned it."""
    model = build({"video": replace(recipes.video_modality(), settings=FaceSettings(overview=0.0))}, word_table).eval()
    encoder, deviations = model.modality("video").encoder, slice(320, 640)
    torch.nn.init.normal_(encoder.out.weight[:, deviations], std=5.0)
    first, other = (torch.from_numpy(faces(2, 3).inputs["video"][row]) for row in ("r0", "r1"))
    singles, alone = torch.stack([first, other]), torch.tensor([1, 1])
    with torch.no_grad():
        before = encoder(singles, alone)
        clip = torch.cat([first, other])[None], torch.tensor([2])
        strayed = (encoder(*clip)[0] - before.mean(dim=0)).norm()
        finish_faces(model, faces(60))
        fit_background(model, faces(60))
        torch.testing.assert_close(encoder(singles, alone), before, atol=1e-4, rtol=1e-4)
        between = torch.linalg.lstsq(before.T, encoder(*clip)[0]).solution
    assert strayed > 0.05
    assert between.sum().item() == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(encoder(*clip)[0], between @ before, atol=1e-3, rtol=1e-2)


def test_a_modality_few_rows_have_is_fitted_on_those(word_table):
    units = ModalityConfig("units", "pooled", 24, tuple("abcdef"), parts=LabelParts(vad_share=0.5))
    model = build({"audio": units, "video": units}, word_table)
    draw = np.random.default_rng(0)
    ids = tuple(f"toy/{i}" for i in range(3000))
    frames = {row: draw.standard_normal((2, 6)).astype(np.float32) for row in ids}
    few = {row: frames[row] + 5.0 for row in ids[-10:]}
    targets = np.eye(2, dtype=np.float32)[np.arange(3000) % 2]
    data = EmotionData(ids, {"audio": few, "video": frames}, ("joy", "anger"), targets, np.zeros(3000, bool))
    prepare(model, data)
    torch.testing.assert_close(
        model.modality("audio").encoder.standardize.mean,
        torch.from_numpy(np.concatenate(list(few.values())).mean(axis=0)),
    )
    fit_background(model, data)
    assert int(model.modality("audio").calibration.reference.any(dim=1).sum()) == 10
    none = EmotionData(ids, {"audio": {}, "video": frames}, data.labels, targets, data.multi_label)
    with pytest.raises(InputError, match="none of 3000 rows has audio, but the model reads audio"):
        fit_standardization(model, none)


def test_corpora_count_alike_however_many_rows_they_have(summed, toy):
    def named(corpus, label):
        data = toy(30)
        data = data.rows(data.targets[:, data.labels.index(label)] == 1)
        ids = tuple(f"{corpus}/{i}" for i in data.ids)
        inputs = {"video": {new: data.inputs["video"][old] for new, old in zip(ids, data.ids, strict=True)}}
        return replace(data, ids=ids, inputs=inputs)

    few, many = named("few", "joy"), named("many", "anger")
    copies = [replace(many, ids=tuple(f"{i}-{n}" for i in many.ids)) for n in range(10)]
    for n, copy in enumerate(copies):
        own = {f"{i}-{n}": frames for i, frames in many.inputs["video"].items()}
        copies[n] = replace(copy, inputs={"video": own})
    answers = []
    for parts in ([few, many], [few, *copies]):
        fit_overviews(summed, join(parts), 400)
        overview = summed.modality("video").encoder.overview
        answers.append(overview(overview.scaled(torch.zeros(1, 12))))
    torch.testing.assert_close(answers[0], answers[1], atol=0.12, rtol=0)


def test_other_corpora_reach_the_map_in_closed_form_alone(summed, toy):
    train, ridge_rows = toy(60, 1), toy(60, 2, labels=("awe", "calm", "boredom"))
    turned = {row: -frames for row, frames in ridge_rows.inputs["video"].items()}
    ridge_rows = replace(ridge_rows, inputs={"video": turned})
    alone = deepcopy(summed)
    prepare(alone, train)
    prepare(summed, train, ridge_rows)
    one, other = alone.modality("video").encoder, summed.modality("video").encoder
    for name, buffer in one.named_buffers():
        if not name.startswith("overview"):
            torch.testing.assert_close(buffer, other.get_buffer(name))
    right = []
    for model in (alone, summed):
        points = model.encode(ridge_rows.batch(range(60)))["video"]
        answered = (points @ model.label_points(ridge_rows.labels)["video"].T).argmax(dim=1)
        right.append((answered.numpy() == ridge_rows.targets.argmax(axis=1)).mean())
    assert right[0] < 0.7 < 0.9 < right[1]
