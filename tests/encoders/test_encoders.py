import pytest
import torch

from emoembed.encoders import faces, transformer
from emoembed.encoders.faces import FaceEncoder, FaceSettings
from emoembed.encoders.modular import ModularEncoder
from emoembed.encoders.pooled import PooledEncoder
from emoembed.encoders.recurrent import RecurrentEncoder, RecurrentSettings, WordEncoder
from emoembed.encoders.transformer import TransformerEncoder, TransformerSettings

BERT = {
    "model_type": "bert",
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
WAV2VEC2 = {
    "model_type": "wav2vec2",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [8, 8],
    "conv_stride": [5, 2],
    "conv_kernel": [10, 3],
    "num_feat_extract_layers": 2,
    "feat_extract_norm": "layer",
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "do_stable_layer_norm": True,
}
WAVLM = {**WAV2VEC2, "model_type": "wavlm", "num_buckets": 8, "max_bucket_distance": 16}
VIT = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 16,
    "patch_size": 8,
    "num_channels": 3,
}
CLIP = {**VIT, "model_type": "clip_vision_model"}

ENCODERS = {
    "lstm": (lambda: RecurrentEncoder(5, 8, RecurrentSettings(hidden=6, layers=2, cell="lstm")), 5),
    "words": (lambda: WordEncoder(8, 8, RecurrentSettings(hidden=6)), 8),
    "gru": (lambda: RecurrentEncoder(5, 8, RecurrentSettings(hidden=6)), 5),
    "face": (lambda: FaceEncoder(256, 8, FaceSettings(16, (4, 4, 6, 6))), 256),
    "pooled": (lambda: PooledEncoder(5, 8), 5),
    "modular": (lambda: ModularEncoder(5, 8), 5),
    "bert": (lambda: TransformerEncoder(1, 8, TransformerSettings(BERT, rank=2)), 1),
    "vit": (lambda: TransformerEncoder(1, 8, TransformerSettings(VIT)), 3 * 16 * 16),
    "clip": (lambda: TransformerEncoder(1, 8, TransformerSettings(CLIP, rank=2)), 3 * 16 * 16),
}


@pytest.fixture(params=list(ENCODERS))
def encoder_and_frames(request):
    build, dim = ENCODERS[request.param]
    encoder = build().eval()
    if request.param == "bert":
        return encoder, torch.randint(0, 50, (3, 21, 1)).float()
    return encoder, torch.rand(3, 21, dim)


def test_padding_is_inert(encoder_and_frames):
    encoder, frames = encoder_and_frames
    lengths = torch.tensor([21, 13, 6])
    before = encoder(frames, lengths)
    for row, length in zip(frames, lengths, strict=True):
        row[length:] = 7.0
    torch.testing.assert_close(encoder(frames, lengths), before, rtol=1e-4, atol=1e-5)


def test_a_point_is_made_of_what_is_read(encoder_and_frames):
    """`Modality` reads and places in two steps where residual features are kept beside the point."""
    encoder, frames = encoder_and_frames
    lengths = torch.tensor([21, 13, 6])
    features = encoder.read(frames, lengths)
    assert features.shape == (3, encoder.features_dim)
    torch.testing.assert_close(encoder.embed(features), encoder(frames, lengths))


def test_company_changes_nothing(encoder_and_frames):
    encoder, frames = encoder_and_frames
    lengths = torch.tensor([21, 13, 6])
    together = encoder(frames, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone = encoder(frames[i : i + 1, :length], torch.tensor([length]))
        assert alone.shape == (1, 8)
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-4)


def test_a_long_clip_of_faces_is_read_in_parts(monkeypatch):
    encoder, frames, lengths = (
        FaceEncoder(256, 8, FaceSettings(16, (4, 4, 6, 6))).eval(),
        torch.rand(2, 21, 256),
        [21, 13],
    )
    whole = encoder(frames, torch.tensor(lengths))
    together = []
    encoder.stages[0].register_forward_pre_hook(lambda _, given: together.append(len(given[0])))
    monkeypatch.setattr(faces, "FACES_AT_ONCE", 8)
    torch.testing.assert_close(encoder(frames, torch.tensor(lengths)), whole, rtol=1e-4, atol=1e-5)
    assert max(together) == 8
    assert sum(together) == 2 * sum(lengths)  # each face also mirrored


def test_a_long_clip_of_pictures_is_read_in_parts(monkeypatch):
    encoder, frames, lengths = (
        TransformerEncoder(1, 8, TransformerSettings(VIT)).eval(),
        torch.rand(2, 21, 768),
        torch.tensor([21, 13]),
    )
    together = []
    encoder.trunk.register_forward_pre_hook(
        lambda _, __, given: together.append(len(given["pixel_values"])), with_kwargs=True
    )
    monkeypatch.setattr(transformer, "IMAGES_AT_ONCE", 8)
    with torch.no_grad():
        parts = encoder(frames, lengths)
    assert together == [8, 8, 8, 8, 2]
    torch.testing.assert_close(encoder(frames, lengths), parts, rtol=1e-4, atol=1e-5)
    assert together[-1] == 34


def test_raw_sound_through_wav2vec2_ignores_padding():
    encoder = TransformerEncoder(1, 8, TransformerSettings(WAV2VEC2, rank=2)).eval()
    samples = torch.randn(2, 400, 1)
    lengths = torch.tensor([400, 200])
    samples[1, 200:] = 0
    together = encoder(samples, lengths)
    assert together.shape == (2, 8)
    alone = encoder(samples[:1], lengths[:1])
    torch.testing.assert_close(alone[0], together[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_raw_sound_is_read_alone_as_in_company_whatever_norm_its_layers_have(norm):
    """wav2vec2-base's group norm runs over all time steps, padding too."""
    encoder = TransformerEncoder(1, 8, TransformerSettings({**WAV2VEC2, "feat_extract_norm": norm}, rank=2)).eval()
    lengths = torch.tensor([200, 400, 300, 200])
    samples = torch.randn(4, 400, 1)
    together = encoder(samples, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone = encoder(samples[i : i + 1, :length], lengths[i : i + 1])[0]
        torch.testing.assert_close(alone, together[i], rtol=1e-3, atol=1e-4)


def test_untrained_adapters_and_strength_zero_leave_the_trunk_alone():
    encoder = TransformerEncoder(1, 16, TransformerSettings(BERT, rank=2)).eval()
    frames, lengths = torch.randint(0, 50, (2, 5, 1)).float(), torch.tensor([5, 3])
    trunk = encoder.hidden_mean(frames, lengths, adapted=False)
    torch.testing.assert_close(encoder(frames, lengths), trunk)
    for parameter in encoder.adapters.up.parameters():
        torch.nn.init.normal_(parameter)
    assert not torch.allclose(encoder(frames, lengths), trunk)
    encoder.adapters.strength = 0.0
    torch.testing.assert_close(encoder(frames, lengths), trunk)


def test_merged_adapters_say_the_same_and_follow_them(text_model):
    encoder = text_model.modality("text").encoder
    for parameter in encoder.adapters.up.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    frames, lengths = torch.randint(4, 20, (3, 6, 1)).float(), torch.tensor([6, 4, 1])
    names = list(encoder.state_dict())
    exact = encoder(frames, lengths).detach()  # with gradients, so called with the adapters' weights
    with torch.no_grad():
        torch.testing.assert_close(encoder(frames, lengths), exact)
        assert list(encoder.state_dict()) == names
        plain = encoder.hidden_mean(frames, lengths, adapted=False)
        assert torch.cosine_similarity(exact[:, 4:], plain).min() < 0.99
        zeroed = {name: torch.zeros_like(one) if ".up." in name else one for name, one in encoder.state_dict().items()}
        kept = {name: one.clone() for name, one in encoder.state_dict().items()}
        encoder.load_state_dict(zeroed)
        assert not torch.allclose(encoder(frames, lengths), exact, atol=1e-3)
        encoder.load_state_dict(kept)
        torch.testing.assert_close(encoder(frames, lengths), exact)
        for parameter in encoder.adapters.up.parameters():
            parameter.zero_()
        untouched = torch.nn.functional.normalize(encoder.train().eval()(frames, lengths)[:, 4:], dim=1)
        torch.testing.assert_close(untouched, torch.nn.functional.normalize(plain, dim=1))


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # of WavLM's own attention
@pytest.mark.parametrize("config", [WAV2VEC2, WAVLM], ids=["wav2vec2", "wavlm"])
def test_every_adapter_of_sound_learns_and_says_the_same_merged(config):
    """WavLM's attention takes its layers' weights without calling them."""
    encoder = TransformerEncoder(1, 8, TransformerSettings(config, rank=2)).train()
    for parameter in encoder.adapters.up.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    samples, lengths = torch.randn(2, 400, 1), torch.tensor([400, 400])
    learning = encoder(samples, lengths)
    learning.sum().backward()
    assert all(one.grad is not None and bool(one.grad.any()) for one in encoder.adapters.up.parameters())
    with torch.no_grad():
        torch.testing.assert_close(encoder.eval()(samples, lengths), learning, rtol=1e-3, atol=1e-4)


def test_only_adapters_learn():
    encoder = TransformerEncoder(1, 16, TransformerSettings(BERT, rank=2)).train()
    encoder(torch.randint(0, 50, (2, 5, 1)).float(), torch.tensor([5, 3])).sum().backward()
    assert all(p.grad is None for p in encoder.trunk.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.adapters.up.parameters())


def test_merged_adapters_follow_their_model_to_another_type():
    encoder = TransformerEncoder(1, 16, TransformerSettings(BERT, rank=2)).eval()
    for parameter in encoder.adapters.up.parameters():
        torch.nn.init.normal_(parameter)
    frames, lengths = torch.randint(0, 50, (2, 5, 1)).float(), torch.tensor([5, 3])
    with torch.no_grad():
        encoder(frames, lengths)
        moved = encoder.bfloat16()(frames, lengths)
        torch.testing.assert_close(moved, encoder.train().eval()(frames, lengths), rtol=0, atol=0)


def test_labels_are_embedded_without_the_adapters(text_model):
    before = text_model.phrases.phrase_vectors(["joy", "sad"])
    for parameter in text_model.modality("text").encoder.adapters.up.parameters():
        torch.nn.init.normal_(parameter)
    text_model.train().eval()
    torch.testing.assert_close(text_model.phrases.phrase_vectors(["joy", "sad"]), before)


def test_half_a_character_is_no_text_and_stops_nothing(text_model):
    (known,) = text_model.phrases.token_ids(["joy \ud83d"])
    assert known == text_model.phrases.ids_of(text_model.phrases.encode("joy \ud83d"))
