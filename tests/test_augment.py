import pytest
import torch

from emoembed import augment


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)


def test_speech_shifts_levels_and_hides_stretches(noise):
    frames, lengths = torch.randn(16, 120, 68), torch.full((16,), 120)
    changed = augment.speech(frames, lengths, noise)
    assert changed.shape == frames.shape
    torch.testing.assert_close(changed[..., [64, 65, 67]], frames[..., [64, 65, 67]])  # pitch, voicing, tilt stay
    gain = (changed - frames)[..., 66]
    assert gain.abs().max() <= 6.0
    torch.testing.assert_close(gain, gain[:, :1].expand_as(gain))
    shifted = (changed[..., :64] - frames[..., :64] - gain[..., None]).abs() < 1e-4
    assert 0.3 < shifted.float().mean() < 0.95  # the rest is masked


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


@pytest.mark.parametrize("change", [augment.speech, augment.faces])
def test_the_generator_decides(change):
    frames, lengths = torch.rand(4, 30, 68 if change is augment.speech else 2304), torch.tensor([30, 30, 10, 5])
    first, second, other = (change(frames, lengths, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.allclose(first, other)
