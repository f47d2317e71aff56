"""How models are made: what tempering and rating do to them."""

from dataclasses import replace

import torch

from emoembed import recipes
from emoembed.recognizer import Recognizer
from emoembed.transformer import ratings_of


def test_tempered_adapters_lie_between_untrained_and_trained_and_stay_so(text_model, tmp_path):
    for parameter in text_model.encoders["text"].adapters.up.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    batch = {"text": (torch.randint(4, 20, (3, 6, 1)).float(), torch.tensor([6, 4, 6]))}
    with torch.no_grad():
        trained = text_model.encode(batch)["text"]
        tempered = recipes.temper(text_model, 0.5).encode(batch)["text"]
        Recognizer(text_model).save_pretrained(tmp_path / "half")
        again = Recognizer.from_pretrained(tmp_path / "half").model.encode(batch)["text"]
        untrained = recipes.temper(text_model, 0.0).encode(batch)["text"]
    assert not torch.allclose(tempered, trained, atol=1e-3)
    assert not torch.allclose(tempered, untrained, atol=1e-3)
    torch.testing.assert_close(again, tempered, atol=2e-3, rtol=0)


def test_texts_are_rated_as_the_rated_sentences_were(text_model, corpus_of):
    texts = [f"{word} {end}" for word in ("joy", "sad") for end in "abcdefghijkl"]
    rated = replace(corpus_of(texts), multi_label=True)
    rated.samples["valence"] = [1.0] * 12 + [-1.0] * 12
    rated.samples["arousal"] = rated.samples["dominance"] = 0.0
    data = recipes.rate_texts(text_model, rated, texts, penalty=0.01)
    with torch.no_grad():
        points = text_model.encode(data.batch(range(24)))["text"]
    valence = ratings_of(points)[:, 0]
    assert valence[:12].min() > valence[12:].max()
    assert data.ratings[:12, 0].min() > 0 > data.ratings[12:, 0].max()
    before = text_model.encoders["text"].ratings.weight.clone()
    copy = recipes.build(text_model.config.modalities, text_model.phrases, 3, like=text_model)
    torch.testing.assert_close(copy.encoders["text"].ratings.weight, before)
    torch.testing.assert_close(copy.space.vad_map, text_model.space.vad_map)
