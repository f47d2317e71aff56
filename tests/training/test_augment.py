import pytest
import torch

from emoembed.training import augment


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def clean(monkeypatch):
    monkeypatch.setattr(augment, "MOST_NOISE", 0.0)


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


def test_faces_are_turned_a_little_either_way(noise, clean):
    ramp = torch.linspace(0, 1, 48).expand(200, 1, 48, 48).reshape(200, 1, 2304)
    changed = augment.faces(ramp, torch.ones(200).long(), noise).view(200, 48, 48)
    across, down = (changed.diff(dim=dim).flatten(1).median(dim=1).values for dim in (2, 1))
    turned = (down / across).atan()
    assert 0.2 < turned.max() < 0.27
    assert -0.27 < turned.min() < -0.2


def test_faces_change_contrast_and_a_patch_of_each_is_hidden(noise, clean):
    changed = augment.faces(torch.ones(200, 1, 2304), torch.ones(200).long(), noise)[:, 0]
    bright = changed.amax(dim=1)
    assert 0.85 <= bright.min() < 0.9
    assert 1.1 < bright.max() <= 1.15
    hidden = (changed == 0.5).sum(dim=1)
    assert (hidden > 0).float().mean() > 0.8
    assert 100 < hidden.max() <= 15 * 15


def test_a_third_of_the_faces_lose_detail(noise):
    images = torch.rand(300, 1, 48, 48)
    less = augment._with_less_detail(images, noise)
    changed = (less != images).flatten(1).any(dim=1)
    assert 0.25 < changed.float().mean() < 0.42
    detail = [part[changed].diff(dim=3).abs().mean() for part in (images, less)]
    assert detail[1] < 0.7 * detail[0]
    assert (less[changed].mean(dim=(1, 2, 3)) - images[changed].mean(dim=(1, 2, 3))).abs().max() < 0.02


def test_a_third_of_the_faces_get_noise(noise):
    changed = augment.faces(torch.full((300, 1, 2304), 0.5), torch.ones(300).long(), noise)[:, 0]
    deviation = changed.std(dim=1)
    assert 0.25 < (deviation > 0.001).float().mean() < 0.42
    assert 0.06 < deviation.max() <= 1.05 * augment.MOST_NOISE


def test_the_generator_decides():
    frames, lengths = torch.rand(4, 30, 2304), torch.tensor([30, 30, 10, 5])
    first, second, other = (augment.faces(frames, lengths, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.allclose(first, other)
