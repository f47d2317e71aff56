"""How models are made: what tempering and rating do to them."""

import torch

from emoembed.prediction.recognizer import Recognizer
from emoembed.training.build import set_adapter_strength


def test_tempered_adapters_lie_between_untrained_and_trained_and_stay_so(text_model, tmp_path):
    for parameter in text_model.modality("text").encoder.adapters.up.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    batch = {"text": (torch.randint(4, 20, (3, 6, 1)).float(), torch.tensor([6, 4, 6]))}
    with torch.no_grad():
        trained = text_model.encode(batch)["text"]
        tempered = set_adapter_strength(text_model, 0.5).encode(batch)["text"]
        Recognizer(text_model).save_pretrained(tmp_path / "half")
        again = Recognizer.from_pretrained(tmp_path / "half").model.encode(batch)["text"]
        untrained = set_adapter_strength(text_model, 0.0).encode(batch)["text"]
    assert not torch.allclose(tempered, trained, atol=1e-3)
    assert not torch.allclose(tempered, untrained, atol=1e-3)
    torch.testing.assert_close(again, tempered, atol=2e-3, rtol=0)
