import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecast.config import QUANTILE_LEVELS, ForecasterConfig
from forecast.outputs import BINS, BinsHead, MeanHead, QuantileHead, build_head, pinball

LEVELS = (0.1, 0.5, 0.9)
ONE = torch.ones(4, 3)


def test_pinball_against_the_formula():
    error = torch.randn(4, 3, 5)
    taus = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])
    loss = pinball(error, taus)
    for index in np.ndindex(4, 3, 5):
        tau, one = taus[index[-1]].item(), error[index].item()
        assert loss[index].item() == pytest.approx(2 * (tau * one if one >= 0 else (tau - 1) * one), rel=1e-5)


def test_pinball_at_the_median_is_the_absolute_error():
    error = torch.randn(4, 3, 1)
    torch.testing.assert_close(pinball(error, torch.tensor([0.5])), error.abs())


@pytest.mark.parametrize("levels", [QUANTILE_LEVELS, (0.5,), (0.5, 0.9), (0.1, 0.5)])
def test_an_untrained_head_is_near_a_standard_normal(levels):
    head = QuantileHead(8, 4, levels)
    quantiles = head(torch.zeros(1, 8))[0]
    expected = torch.special.ndtri(torch.tensor(levels)).expand(4, -1)
    torch.testing.assert_close(quantiles, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("head", [QuantileHead, BinsHead])
@given(seed=st.integers(0, 1000), size=st.floats(0.01, 30))
def test_quantiles_never_cross(head, seed, size):
    torch.manual_seed(seed)
    one = head(8, 3, QUANTILE_LEVELS)
    quantiles = one.quantiles(one(torch.randn(5, 8) * size))
    assert quantiles.shape == (5, 3, len(QUANTILE_LEVELS))
    assert (quantiles.diff() >= -1e-5 * quantiles.abs().amax()).all()


@pytest.mark.parametrize(
    ("loss", "expected"), [("mse", [4.0, 0.25, 0.0]), ("mae", [2.0, 0.5, 0.0]), ("huber", [1.5, 0.125, 0.0])]
)
def test_losses_of_a_mean(loss, expected):
    head = MeanHead(8, 3, LEVELS, loss)
    error = head.error(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[3.0, 1.5, 3.0]]), torch.ones(1, 3))
    torch.testing.assert_close(error, torch.tensor([expected]))


def test_an_error_counts_in_its_unit():
    output, target = torch.randn(4, 3), torch.randn(4, 3)
    for loss, factor in (("mae", 2.0), ("mse", 4.0)):
        head = MeanHead(8, 3, LEVELS, loss)
        torch.testing.assert_close(head.error(output, target, 2 * ONE), factor * head.error(output, target, ONE))
    quantiles, head = torch.randn(4, 3, 3).sort().values, QuantileHead(8, 3, LEVELS)
    torch.testing.assert_close(head.error(quantiles, target, 3 * ONE), 3 * head.error(quantiles, target, ONE))


def test_quantiles_of_a_mean_are_those_of_its_errors():
    head = MeanHead(8, 2, LEVELS, "mae")
    errors = torch.stack((torch.arange(101.0), torch.full((101,), torch.nan)), dim=1)
    head.learn_spread(errors)
    quantiles = head.quantiles(torch.tensor([[1000.0, 7.0]]))
    torch.testing.assert_close(quantiles[0, 0], torch.tensor([1010.0, 1050.0, 1090.0]))
    torch.testing.assert_close(quantiles[0, 1], torch.full((3,), 7.0))  # nothing was observed there


def test_bins_hold_the_quantiles_of_what_they_were_trained_on():
    """With nothing to go by, the cross-entropy leads to the quantiles of the data themselves."""
    torch.manual_seed(0)
    head = BinsHead(1, 1, LEVELS)
    target = torch.distributions.Gamma(2.0, 1.0).sample((4000, 1))
    optimizer = torch.optim.Adam(head.parameters(), 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        head.error(head(torch.zeros(4000, 1)), target, torch.ones(4000, 1)).mean().backward()
        optimizer.step()
    found = head.quantiles(head(torch.zeros(1, 1)))[0, 0]
    torch.testing.assert_close(found, target.quantile(torch.tensor(LEVELS)), rtol=0.06, atol=0)


@pytest.mark.parametrize("value", [-1e9, 1e9])
def test_a_target_beyond_the_bins_counts_to_the_outermost(value):
    head = BinsHead(8, 3, LEVELS)
    output = head(torch.zeros(4, 8))
    error = head.error(output, torch.full((4, 3), value), ONE)
    outermost = output.log_softmax(-1)[..., 0 if value < 0 else BINS - 1]
    torch.testing.assert_close(error, -outermost)
    assert error.isfinite().all()


@pytest.mark.parametrize(("output", "head"), [("quantiles", QuantileHead), ("mean", MeanHead), ("bins", BinsHead)])
def test_a_configuration_names_its_head(output, head):
    built = build_head(ForecasterConfig(prediction_length=3, network={"output": output}), 8)
    assert type(built) is head
    assert built.quantiles(built(torch.zeros(2, 8))).shape == (2, 3, len(QUANTILE_LEVELS))
    assert not math.isnan(built.quantiles(built(torch.zeros(2, 8))).sum().item())
