import json

import numpy as np
import pytest
import torch

from emoembed.errors import CheckpointError, InputError
from emoembed.labels.projections import LabelParts, LabelProjection
from emoembed.labels.space import CUE_DIMS
from emoembed.model.config import ModalityConfig, ModelConfig
from emoembed.model.state import State


def batch_of(model, rows=4):
    frames = {
        "text": torch.randint(4, 20, (rows, 7, 1)).float(),
        "audio": torch.randn(rows, 30, 84),
        "video": torch.rand(rows, 2, 2304),
    }
    return {name: (frames[name], torch.full((rows,), frames[name].shape[1])) for name in model.modalities}


def test_an_unseen_label_moves_no_other_logit(three_model):
    batch = batch_of(three_model)
    few = three_model(batch, three_model.embed(["joy", "anger"]))
    more = three_model(batch, three_model.embed(["joy", "awe", "anger"]))
    assert more.shape == (4, 3)
    torch.testing.assert_close(more[:, [0, 2]], few)


def test_an_absent_modality_counts_for_nothing(three_model):
    batch = batch_of(three_model)
    labels = three_model.embed(["joy", "anger"])
    frames = batch["audio"][0]
    absent = {**batch, "audio": (frames, torch.tensor([30, 0, 30, 30]))}
    without = {name: (f[1:2], n[1:2]) for name, (f, n) in batch.items() if name != "audio"}
    torch.testing.assert_close(three_model(absent, labels)[1:2], three_model(without, labels), rtol=1e-4, atol=1e-4)


def test_weights_sum_to_one_over_what_is_there(three_model):
    batch = batch_of(three_model)
    batch["audio"] = (batch["audio"][0], torch.tensor([30, 0, 30, 30]))
    logits = three_model.score(three_model.encode(batch), three_model.label_points(["joy", "anger"]))
    weights = three_model.weights(logits)
    torch.testing.assert_close(sum(weights.values()), torch.ones(4, 2))
    assert bool((weights["audio"][1] == 0).all())


@torch.no_grad()
def test_a_modality_counts_by_its_learned_weight(three_model):
    logits = three_model.score(three_model.encode(batch_of(three_model)), three_model.label_points(["joy", "anger"]))
    three_model.modality("audio").log_weight.fill_(np.log(2))
    shares = {"text": 0.25, "audio": 0.5, "video": 0.25}
    for known in (None, three_model.label_trust(three_model.label_points(["joy", "anger"]))):
        for name, weight in three_model.weights(logits, known).items():
            torch.testing.assert_close(weight, torch.full((4, 2), shares[name]))


@torch.no_grad()
def test_among_labels_what_a_modality_says_of_all_alike_counts_for_nothing(three_model):
    points = three_model.label_points(["joy", "anger"])
    logits = three_model.score(three_model.encode(batch_of(three_model)), points)
    trust = three_model.label_trust(points)
    trust["audio"].weight.copy_(torch.tensor([1.0, 0.2]))
    louder = {**logits, "audio": logits["audio"] + 5.0}
    fused, again = (three_model.fuse(one, trust, among=True) for one in (logits, louder))
    torch.testing.assert_close(again, fused, atol=1e-4, rtol=0)
    assert (three_model.fuse(louder, trust) - three_model.fuse(logits, trust)).min() > 0.1


@torch.no_grad()
def test_probabilities_among_labels_and_of_each_by_itself_are_calibrated_apart(three_model):
    points = three_model.label_points(["joy", "anger"])
    logits = three_model.score(three_model.encode(batch_of(three_model)), points)
    three_model.modality("audio").calibration.slopes.copy_(torch.tensor([2.0, 3.0]))
    three_model.modality("audio").calibration.offsets.copy_(torch.tensor([0.5, -1.0]))
    known = three_model.label_trust(points)
    among, alone = (three_model.calibrated(logits, known, multi_label=several)["audio"] for several in (False, True))
    torch.testing.assert_close(among, 2 * logits["audio"] + 0.5)
    torch.testing.assert_close(alone, 3 * logits["audio"] - 1.0)


@torch.no_grad()
@pytest.mark.parametrize("modality", ["audio", "video"])
def test_what_a_modality_is_shifted_by_moves_what_words_say_of_items_and_nothing_else(three_model, modality):
    batch, embed_dim = batch_of(three_model), three_model.config.modalities[modality].embed_dim
    before = three_model.encode(batch)[modality]
    shift = 0.3 * torch.nn.functional.normalize(torch.randn(embed_dim), dim=0)
    three_model.modality(modality).shift.copy_(shift)
    after = three_model.encode(batch)[modality]
    torch.testing.assert_close(
        after[:, :embed_dim], torch.nn.functional.normalize(before[:, :embed_dim] - shift, dim=1)
    )
    torch.testing.assert_close(after[:, embed_dim:], before[:, embed_dim:])


def test_a_modality_counts_where_it_is_reliable(three_model):
    batch, points = batch_of(three_model), three_model.label_points(["joy", "anger"])
    logits = three_model.score(three_model.encode(batch), points)
    for name in three_model.modalities:
        three_model.modality(name).calibration.familiar.copy_(points[name])
    three_model.modality("video").calibration.trust.copy_(torch.tensor([1.0, 0.05, 0.05]))
    weights = three_model.weights(logits, three_model.label_trust(points))
    torch.testing.assert_close(sum(weights.values()), torch.ones(4, 2))
    assert bool((weights["video"][:, 0] > 0.3).all())
    assert bool((weights["video"][:, 1] < 0.2).all())


@pytest.mark.parametrize("cue", ["sounds", "looks"])
def test_a_projection_starts_as_an_isometry_of_the_shares(cue):
    parts = LabelParts(vad_share=0.25, cue_share=0.25, cue=cue, vad_weights=(1.0, 1.0, 1.0, 1.0))
    projection = LabelProjection(phrase_dim=5, embed_dim=9 + CUE_DIMS[cue], parts=parts)
    sizes = (5, 4, *CUE_DIMS.values())
    words, vad, sounds, looks = (torch.nn.functional.normalize(torch.randn(3, dim), dim=1) for dim in sizes)
    cues = {"sounds": sounds, "looks": looks}[cue]
    made = projection(torch.cat([words, vad, sounds, looks], dim=1))
    torch.testing.assert_close(made @ made.T, 0.5 * words @ words.T + 0.25 * vad @ vad.T + 0.25 * cues @ cues.T)
    assert projection.drift() == 0


def test_a_modality_weighs_valence_arousal_and_dominance_its_own_way():
    deaf_to_valence = LabelParts(vad_share=1.0, vad_weights=(0.0, 1.0, 1.0, 0.5))
    projection = LabelProjection(phrase_dim=5, embed_dim=4, parts=deaf_to_valence)
    glad, sad = torch.tensor([[0.9, 0.5, 0.2, 1.0], [-0.9, 0.5, 0.2, 1.0]])
    features = torch.cat([torch.randn(2, 5), torch.stack([glad, sad])], dim=1)
    torch.testing.assert_close(*projection(features))


def test_a_configuration_survives_json(three_model):
    again = ModelConfig.from_dict(json.loads(json.dumps(three_model.config.to_dict())))
    assert again.modalities["audio"] == three_model.config.modalities["audio"]
    assert again == three_model.config
    state = State.from_dict(json.loads(json.dumps(three_model.state.to_dict())))
    assert state == three_model.state


def test_bad_configurations_are_told():
    with pytest.raises(CheckpointError, match="encoder 'psychic' is unknown"):
        ModalityConfig("speech", "psychic", 8)
    with pytest.raises(InputError, match="vad_share and cue_share must be at least 0 and sum to at most 1"):
        ModalityConfig("speech", "pooled", 8, parts=LabelParts(vad_share=0.7, cue_share=0.7))
    with pytest.raises(InputError, match="modalities must be one or more of"):
        ModelConfig({"smell": ModalityConfig("speech", "pooled", 8)}, phrase_dim=4)


def test_what_items_look_like_does_not_depend_on_which_labels_were_seen(three_model):
    trust = three_model.modality("audio").calibration
    trust.reference.fill_(0.5)
    trust.spread.fill_(0.7)
    trust.hub_share.fill_(0.3)
    trust.trust.fill_(0.1)
    three_model = three_model.with_seen({"audio": ("joy", "anger", "awe")})
    again = three_model.modality("audio").calibration
    assert three_model.state.seen_in("audio") == ("joy", "anger", "awe")
    assert bool((again.reference == 0.5).all())
    assert (again.spread, again.hub_share) == (pytest.approx(0.7), pytest.approx(0.3))
    assert again.trust.tolist() == [1.0] * 4
