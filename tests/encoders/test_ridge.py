import numpy as np
import torch
from sklearn.linear_model import Ridge

from emoembed.encoders.ridge import LARGEST, RidgeMap


def test_it_is_ridge_regression_on_standardised_columns():
    torch.manual_seed(0)
    inputs, goals = torch.randn(80, 6) * 3 + 1, torch.randn(80, 4)
    ours = RidgeMap(6, 4)
    ours.fit(inputs, goals, penalty=7.0)
    scaled = ((inputs - inputs.mean(0)) / inputs.std(0)).clamp(-LARGEST, LARGEST).numpy()
    theirs = Ridge(alpha=7.0).fit(scaled, goals.numpy()).predict(scaled)
    np.testing.assert_allclose(ours(ours.scaled(inputs)).numpy(), theirs, atol=1e-4)


def test_a_constant_column_and_an_outlier_do_no_harm():
    inputs, goals = torch.randn(30, 3), torch.randn(30, 2)
    inputs[:, 1] = 4.0
    ours = RidgeMap(3, 2)
    ours.fit(inputs, goals, penalty=1.0)
    far = ours(ours.scaled(torch.tensor([[1e6, 4.0, 0.0], [1e9, 4.0, 0.0]])))
    assert bool(far.isfinite().all())
    torch.testing.assert_close(far[0], far[1])


def test_rows_weigh_as_they_are_told():
    torch.manual_seed(0)
    inputs, goals, weights = torch.randn(60, 3), torch.randn(60, 2), torch.rand(60)
    ours = RidgeMap(3, 2)
    ours.fit(inputs, goals, weights, penalty=5.0)
    scaled, weights = ours.scaled(inputs).numpy(), (weights / weights.mean()).numpy()
    theirs = Ridge(alpha=5.0).fit(scaled, goals.numpy(), sample_weight=weights).predict(scaled)
    np.testing.assert_allclose(ours(ours.scaled(inputs)).numpy(), theirs, atol=1e-4)
