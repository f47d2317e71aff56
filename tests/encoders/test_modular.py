import pytest
import torch

from emoembed.encoders.modular import ModularEncoder, ModularSettings
from emoembed.errors import InputError

PATH = ((0, 3), (2, 4), (1, 2))
SETTINGS = ModularSettings(modules=5, active=2, width=6, path=PATH, dropout=0.0)


@pytest.fixture
def encoder():
    return ModularEncoder(7, 4, SETTINGS).eval()


@torch.no_grad()
def test_a_layer_adds_the_outputs_of_its_active_modules(encoder):
    features = torch.randn(3, 7)
    expected = features
    for layer, active in zip(encoder.layers, PATH, strict=True):
        first, second = (layer[module] for module in active)
        expected = torch.relu(expected @ first.weight.T + first.bias) + torch.relu(
            expected @ second.weight.T + second.bias
        )
    torch.testing.assert_close(encoder.network(features), encoder.last(expected))


def modules_on(encoder, path):
    return [layer[module] for layer, active in zip(encoder.layers, path, strict=True) for module in active]


def test_modules_off_the_path_have_no_influence(encoder):
    features = torch.randn(3, 7)
    before = encoder.network(features)
    on_path = set(map(id, modules_on(encoder, PATH)))
    with torch.no_grad():
        for layer in encoder.layers:
            for module in layer:
                if id(module) not in on_path:
                    module.weight.fill_(100.0)
    assert torch.equal(encoder.network(features), before)
    encoder.path = ((1, 2),) * 3
    assert not torch.allclose(encoder.network(features), before)


def test_frozen_modules_keep_every_bit_through_training(encoder):
    frozen = modules_on(encoder, ((0,), (2,), (1,)))
    before = [module.weight.clone() for module in frozen]
    for module in frozen:
        module.requires_grad_(False)
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        encoder.network(torch.randn(3, 7)).square().sum().backward()
        optimizer.step()
    assert all(torch.equal(module.weight, kept) for module, kept in zip(frozen, before, strict=True))
    assert not torch.equal(encoder.layers[0][3].weight, before[0])


def test_by_default_the_path_uses_the_first_modules():
    assert ModularSettings().path == ((0, 1, 2),) * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"active": 11}, "cannot use 11 of 10 modules"),
        ({"path": ((0, 1, 2),) * 2}, "in each of 3 layers"),
        ({"path": ((0, 1, 1),) * 3}, "3 different modules"),
        ({"path": ((0, 1, 10),) * 3}, "from 0 to 9"),
        ({"width": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ModularSettings(**settings)
