"""How models are made: what tempering and rating do to them."""

import torch

from emoembed.prediction.recognizer import Recognizer
from emoembed.training import recipes
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


def test_few_recordings_are_read_as_statistics_and_many_by_a_network():
    few, many = recipes.speech_modality(recipes.FEW_RECORDINGS - 1), recipes.speech_modality(recipes.FEW_RECORDINGS)
    assert (few.encoder, recipes.kind_of("audio", few)) == ("pooled", "functionals")
    assert (many.encoder, recipes.kind_of("audio", many)) == ("spectrogram", "audio")


def test_noise_is_added_where_frames_are_read_and_not_to_statistics():
    frames = torch.full((32, 60, 68), -90.0)
    frames[..., 20] = 0.0
    lengths = torch.full((32,), 60)

    def quietest(modality, way="usual"):
        (change,) = recipes.augment_of({"audio": modality}, way).values()
        changed = change(frames, lengths, torch.Generator().manual_seed(0))
        return float((changed[..., :64] - changed[..., 66:67] + frames[..., 66:67]).amin(dim=(1, 2)).max())

    statistics, network = recipes.speech_modality(100), recipes.speech_modality(10_000)
    assert quietest(statistics) < -80 < -75 < quietest(network)
    assert quietest(statistics, "with noise") > -75
    assert recipes.augment_of({"audio": network}, "none") == {}


def test_projections_of_texts_and_face_images_are_locked():
    locked = {kind for kind, config in recipes.TRAINING.items() if config.lock_labels}
    assert locked == {"text", "video", "pixels"}
