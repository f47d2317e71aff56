import json

import pytest
import torch

from emoembed.errors import CheckpointError, InputError
from emoembed.model import ModalityConfig, ModelConfig
from emoembed.projections import LabelProjection


def batch_of(model, rows=4):
    frames = {
        "text": torch.randint(4, 20, (rows, 7, 1)).float(),
        "audio": torch.randn(rows, 30, 68),
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
    torch.testing.assert_close(sum(weights.values()), torch.ones(4))
    assert weights["audio"][1] == 0


def test_a_projection_starts_as_an_isometry_of_the_share():
    projection = LabelProjection(phrase_dim=5, embed_dim=9, vad_share=0.25)
    words, vad = (torch.nn.functional.normalize(torch.randn(3, dim), dim=1) for dim in (5, 4))
    cosine = projection(torch.cat([words, vad], dim=1)) @ projection(torch.cat([words, vad], dim=1)).T
    torch.testing.assert_close(cosine, 0.75 * words @ words.T + 0.25 * vad @ vad.T)
    assert projection.drift() == 0


def test_a_configuration_survives_json(three_model):
    again = ModelConfig.from_dict(json.loads(json.dumps(three_model.config.to_dict())))
    assert again.modalities["audio"] == three_model.config.modalities["audio"]
    assert (again.labels, again.seen) == (three_model.config.labels, three_model.config.seen)


def test_bad_configurations_are_told():
    with pytest.raises(CheckpointError, match="encoder 'psychic' is unknown"):
        ModalityConfig("speech", "psychic", 8)
    with pytest.raises(InputError, match="vad_share"):
        ModalityConfig("speech", "pooled", 8, vad_share=2.0)
    with pytest.raises(InputError, match="modalities are some of"):
        ModelConfig({"smell": ModalityConfig("speech", "pooled", 8)}, phrase_dim=4)
