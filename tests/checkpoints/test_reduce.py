import reduce
import torch

from emoembed.prediction.recognizer import Recognizer


def points(model, texts=("so merry", "so cross and weary")):
    return torch.from_numpy(Recognizer(model).encode(list(texts))["text"])


def with_weights(model, rank):
    """The model with adapters that are not zero and have this rank."""
    adapters = model.modality("text").encoder.adapters
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key in adapters.up:
            adapters.up[key].copy_(torch.randn(adapters.up[key].shape, generator=generator))
            adapters.up[key][:, rank:] = 0.01 * adapters.up[key][:, rank:]
    return model.train().eval()


def test_adapters_of_this_rank_stay_and_smaller_ones_are_near(text_model):
    model = with_weights(text_model, 1)
    same, smaller = reduce.with_rank(model, 2), reduce.with_rank(model, 1)
    torch.testing.assert_close(points(same), points(model), atol=1e-5, rtol=0)
    assert 0 < (points(smaller) - points(model)).abs().max() < 0.1
    assert smaller.config.modalities["text"].settings.rank == 1
    assert {weight.shape[0] for weight in smaller.modality("text").encoder.adapters.down.values()} == {1}
    assert smaller.state == model.state
    labels = model.label_points(("joy", "awe"))["text"]
    torch.testing.assert_close(smaller.label_points(("joy", "awe"))["text"], labels)
