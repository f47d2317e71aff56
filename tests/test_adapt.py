import pytest
import torch
from torch.nn.functional import normalize

from emoembed import adapt
from emoembed.errors import InputError
from emoembed.recognizer import Recognizer


def test_shrinkage_goes_from_the_word_to_the_examples():
    word, background = normalize(torch.randn(8), dim=0), torch.zeros(8)
    examples = normalize(torch.randn(1, 8).repeat(50, 1) + 0.1 * torch.randn(50, 8), dim=1)
    goal = normalize(examples.mean(dim=0), dim=0)
    nearness = [float(adapt.shrink(word, examples[:k], background, 4.0) @ goal) for k in (1, 4, 16, 50)]
    assert nearness == sorted(nearness)
    torch.testing.assert_close(adapt.shrink(word, examples, background, 1e9), word, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(adapt.shrink(word, examples, background, 1e-9), goal, rtol=1e-4, atol=1e-4)


@pytest.fixture
def recognizer(text_model):
    return Recognizer(text_model)


SUPPORT = [{"text": "those were the days", "label": "nostalgia"}, {"text": "as we used to do", "label": "nostalgia"}]


@pytest.mark.parametrize("steps", [0, 5])
def test_only_the_taught_label_moves(recognizer, steps):
    labels = ["joy", "anger", "nostalgia"]
    before = recognizer.model.label_points(labels)["text"]
    taught = recognizer.adapt(SUPPORT, steps=steps)
    after = taught.model.label_points(labels)["text"]
    torch.testing.assert_close(after[:2], before[:2])
    assert not torch.allclose(after[2], before[2])
    torch.testing.assert_close(recognizer.model.label_points(labels)["text"], before)
    torch.testing.assert_close(after.norm(dim=1), torch.ones(3))


def test_an_adapted_model_saves_and_teaches_further(recognizer, tmp_path):
    taught = recognizer.adapt(SUPPORT)
    taught.save_pretrained(tmp_path / "mine")
    again = Recognizer.from_pretrained(tmp_path / "mine")
    assert again.model.config.adapted == ("nostalgia",)
    assert "nostalgia (2 text)" in (tmp_path / "mine/README.md").read_text()
    torch.testing.assert_close(again.model.anchors("text"), taught.model.anchors("text"), rtol=1e-2, atol=1e-2)
    more = again.adapt([{"text": "whatever next", "label": "awe"}])
    assert more.model.config.adapted == ("nostalgia", "awe")
    torch.testing.assert_close(more.model.anchors("text")[0], again.model.anchors("text")[0])


@pytest.mark.parametrize(
    ("support", "labels", "said"),
    [
        ([], None, "the support is empty"),
        ([{"text": "x"}], None, "row 0 of the support has no label"),
        ([{"text": "x", "label": "awe"}], ["joy"], "teaches awe, which labels does not name"),
        ([{"text": "x", "label": "awe", "sound": "a.wav"}], None, "row 0 of the support has sound"),
    ],
)
def test_bad_support_is_told(recognizer, support, labels, said):
    with pytest.raises(InputError, match=said):
        recognizer.adapt(support, labels)
