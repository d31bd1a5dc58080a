import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecast.calibration import LEAST, MOST, TOO_FEW, shrink, stretch, stretch_factors

LEVELS = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])
Z = torch.special.ndtri(LEVELS.double()).float()


def forecasts(number, horizon, spread):
    """Normal quantiles about 0, of the given standard deviation at each step."""
    return (torch.as_tensor(spread).view(1, -1, 1) * Z).expand(number, horizon, -1)


def errors(number, horizon, seed=0):
    return torch.randn(number, horizon, generator=torch.Generator().manual_seed(seed))


def everything(actual):
    return torch.ones_like(actual, dtype=bool)


@pytest.mark.parametrize("too_wide", [0.5, 1.0, 2.0])
def test_quantiles_hold_what_they_say_afterwards(too_wide):
    quantiles, actual = forecasts(2000, 3, too_wide), errors(2000, 3)
    factors = stretch_factors(quantiles, actual, everything(actual), LEVELS)
    torch.testing.assert_close(
        factors.mean(0), torch.tensor([1, 1, 1.0, 1, 1]).where(LEVELS == 0.5, 1 / too_wide), rtol=0.1, atol=0
    )
    fresh = errors(20_000, 3, seed=1)
    held = (fresh.unsqueeze(-1) <= stretch(forecasts(20_000, 3, too_wide), factors, 2)).float().mean((0, 1))
    torch.testing.assert_close(held, LEVELS, atol=0.02, rtol=0)


def test_every_lead_time_has_its_own_factor():
    actual = errors(5000, 3) * torch.tensor([1.0, 2.0, 4.0])
    factors = stretch_factors(forecasts(5000, 3, 1.0), actual, everything(actual), LEVELS)
    torch.testing.assert_close(factors[:, 4], torch.tensor([1.0, 2.0, 4.0]), rtol=0.08, atol=0)


def test_neighbouring_lead_times_lend_their_errors_where_there_are_few():
    quantiles, actual = forecasts(40, 24, 1.0), errors(40, 24)
    factors = stretch_factors(quantiles, actual, everything(actual), LEVELS)
    alone = (actual.abs() / Z[4]).quantile(0.8, dim=0)
    assert factors[:, 4].std() < 0.5 * alone.std()


def test_what_was_not_observed_has_no_say():
    quantiles, actual = forecasts(500, 2, 1.0), errors(500, 2)
    observed = torch.rand(500, 2) < 0.7
    hidden = actual.masked_fill(~observed, torch.nan)
    found = stretch_factors(quantiles, hidden, observed, LEVELS)
    assert torch.equal(found, stretch_factors(quantiles, actual.masked_fill(~observed, 1e9), observed, LEVELS))


def test_little_is_no_reason_to_move_anything():
    actual = errors(TOO_FEW - 1, 1)
    assert (stretch_factors(forecasts(TOO_FEW - 1, 1, 9.0), actual, everything(actual), LEVELS) == 1).all()
    flat = torch.zeros(100, 1, 5)
    assert (stretch_factors(flat, errors(100, 1), everything(flat[..., 0]), LEVELS) == 1).all()


def test_factors_stay_within_bounds():
    actual = errors(100, 1)
    assert stretch_factors(forecasts(100, 1, 1e-6), actual, everything(actual), LEVELS)[0, 4] == MOST
    assert stretch_factors(forecasts(100, 1, 1e6), actual, everything(actual), LEVELS)[0, 4] == pytest.approx(LEAST)


@given(st.lists(st.floats(0.25, 4.75, width=32), min_size=5, max_size=5), st.integers(0, 100))
def test_moved_quantiles_never_cross_and_the_median_stays(factors, seed):
    quantiles = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(seed)).sort().values
    moved = stretch(quantiles, torch.tensor(factors).expand(3, -1), 2)
    assert (moved.diff() >= 0).all()
    torch.testing.assert_close(moved[..., 2], quantiles[..., 2])


def test_a_factor_of_one_changes_nothing():
    quantiles = torch.randn(4, 3, 5).sort().values * 1e30
    assert torch.equal(stretch(quantiles, torch.ones(3, 5), 2), quantiles)


def test_few_origins_move_little_and_many_nearly_all():
    factors = torch.tensor([[0.5, 1.0, 2.0]])
    assert shrink(factors, 1).tolist() == [[0.875, 1.0, 1.25]]
    torch.testing.assert_close(shrink(factors, 1000), factors, atol=0.01, rtol=0)
