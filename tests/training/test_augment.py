import pytest
import torch

from emoembed.encoders.masking import masked
from emoembed.training import augment


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)


def test_speech_changes_gain_and_throat_together(noise):
    frames, lengths = torch.full((16, 120, 68), -70.0), torch.full((16,), 120)
    frames[..., 20] = 0.0  # one loud band, far above any noise
    frames[..., 64] = 24.0
    frames[:, ::2, 64] = 0.0  # unvoiced
    changed = augment.speech(frames, lengths, noise)
    assert changed.shape == frames.shape
    torch.testing.assert_close(changed[..., [65, 67]], frames[..., [65, 67]])  # voicing and tilt stay
    gain = (changed - frames)[..., 66]
    assert 3.0 < gain.abs().max() <= 6.0
    torch.testing.assert_close(gain, gain[:, :1].expand_as(gain))
    assert bool((changed[:, ::2, 64] == 0.0).all())
    moved = changed[:, 1, 64] - 24.0  # semitones of F0
    loudest = changed[:, 0, :64].argmax(dim=1) - 20
    assert moved.abs().max() <= 12 * torch.log2(torch.tensor(1 / 0.92))
    assert bool((moved[loudest != 0].sign() == loudest[loudest != 0].sign()).all())
    quiet = (changed[..., :64] - gain[..., None]).amin(dim=(1, 2))
    assert bool((quiet >= -70.0 - 1e-3).all())
    assert quiet.max() > -45.0


def test_noise_goes_by_the_recording_and_not_by_its_padding(noise):
    frames = torch.full((64, 120, 68), -60.0)
    frames[..., 20:24] = -40.0
    frames[:, 70:] = 0.0  # padding
    changed = augment.speech(frames, torch.full((64,), 70), noise, gain=0.0, throat=0.0)[:, :70, :64]
    floor = -40.0 - changed.amin(dim=(1, 2))
    assert bool((floor >= 20.0 - 1e-3).all())  # 20 dB are the recording's own; noise is 30 to 70 dB down
    loud = frames.clone()
    loud[..., :20] = -90.0
    below = -40.0 - augment.speech(loud, torch.full((64,), 70), noise, gain=0.0, throat=0.0)[:, :70, :64].amin((1, 2))
    assert 30.0 - 1e-3 <= below.min() < 45.0
    quiet = augment.speech(loud, torch.full((64,), 70), noise, gain=0.0, throat=0.0, noise=False)
    torch.testing.assert_close(quiet, loud)


def test_tempo_moves_moments_and_leaves_their_sound(noise):
    frames = torch.arange(100.0)[None, :, None].repeat(40, 1, 68)
    lengths = torch.full((40,), 80)
    changed = augment.speech(frames, lengths, noise, gain=0.0, throat=0.0, noise=False, tempo=0.1)
    reached = changed[:, 60, 0]
    assert 54 <= reached.min() < 58
    assert 62 < reached.max() <= 66
    assert changed[:, :80].max() == 79.0  # the last frame is held, padding is never read
    torch.testing.assert_close(changed, changed[..., :1].expand_as(changed))
    torch.testing.assert_close(changed[:, 1:] >= changed[:, :-1], torch.ones(40, 99, 68).bool())


def test_masks_hide_bands_and_stretches_with_zeros():
    torch.manual_seed(0)
    frames = torch.ones(16, 120, 68)
    hidden = masked(frames, torch.full((16,), 120)) == 0
    assert not bool(hidden[..., 64:].any())
    assert 0.05 < hidden[..., :64].float().mean() < 0.5
    whole = hidden[..., :64].all(dim=2).sum(dim=1), hidden[..., :64].all(dim=1).sum(dim=1)
    assert 0 < whole[0].max() <= 50
    assert 0 < whole[1].max() <= 20


def test_stretches_are_hidden_where_the_recording_is_and_not_in_its_padding():
    torch.manual_seed(0)
    hidden = (masked(torch.ones(64, 120, 68), torch.full((64,), 40)) == 0)[..., :64].all(dim=2)
    assert not bool(hidden[:, 40:].any())
    assert 10 < hidden.sum(dim=1).max() <= 40


def test_the_input_itself_stays_as_it_is(noise):
    frames = torch.randn(2, 50, 68)
    before = frames.clone()
    augment.speech(frames, torch.tensor([50, 20]), noise)
    torch.testing.assert_close(frames, before, rtol=0, atol=0)


def test_faces_change_but_stay_faces(noise):
    frames = torch.rand(8, 2, 2304)
    changed = augment.faces(frames, torch.full((8,), 2), noise)
    assert changed.shape == frames.shape
    assert changed.isfinite().all()
    assert (changed - frames).abs().mean() > 0.05


def test_half_the_faces_are_mirrored(noise):
    ramp = torch.linspace(0, 1, 48).expand(200, 1, 48, 48).reshape(200, 1, 2304)
    changed = augment.faces(ramp, torch.ones(200).long(), noise).view(200, 48, 48)
    mirrored = (changed[:, :, 40:].mean(dim=(1, 2)) < changed[:, :, :8].mean(dim=(1, 2))).float().mean()
    assert 0.4 < mirrored < 0.6


def test_faces_are_turned_a_little_either_way(noise):
    ramp = torch.linspace(0, 1, 48).expand(200, 1, 48, 48).reshape(200, 1, 2304)
    changed = augment.faces(ramp, torch.ones(200).long(), noise).view(200, 48, 48)
    across, down = (changed.diff(dim=dim).flatten(1).median(dim=1).values for dim in (2, 1))
    turned = (down / across).atan()
    assert 0.2 < turned.max() < 0.27
    assert -0.27 < turned.min() < -0.2


def test_faces_change_contrast_and_a_patch_of_each_is_hidden(noise):
    changed = augment.faces(torch.ones(200, 1, 2304), torch.ones(200).long(), noise)[:, 0]
    bright = changed.amax(dim=1)
    assert 0.85 <= bright.min() < 0.9
    assert 1.1 < bright.max() <= 1.15
    hidden = (changed == 0.5).sum(dim=1)
    assert (hidden > 0).float().mean() > 0.8
    assert 100 < hidden.max() <= 15 * 15


@pytest.mark.parametrize("change", [augment.speech, augment.faces])
def test_the_generator_decides(change):
    frames, lengths = torch.rand(4, 30, 68 if change is augment.speech else 2304), torch.tensor([30, 30, 10, 5])
    first, second, other = (change(frames, lengths, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.allclose(first, other)


def test_about_every_other_recording_stays_as_it_is(noise):
    frames = torch.randn(400, 5, 68)
    same = (augment.speech(frames, torch.full((400,), 5), noise) == frames).all(dim=2).all(dim=1)
    assert 0.4 < same.float().mean() < 0.6
