import numpy as np
import pytest
import torch

from forecast import Forecaster, read_series
from forecast.errors import DataWarning, ParameterError
from forecast.levels import level_shares
from forecast.rolling import MOST_BLOCKS, _quantiles_of_all
from forecast.table import SeriesTable
from tests.forecast.conftest import HORIZON

LEVELS = [0.1, 0.5, 0.9]


def test_the_first_block_is_the_forecast_itself(model: Forecaster, table: SeriesTable):
    longer = model.forecast(table, 3 * HORIZON, LEVELS)
    assert longer.shape == (4, 3 * HORIZON, 4)
    np.testing.assert_array_equal(longer[:, :HORIZON], model.forecast(table, HORIZON, LEVELS))


def test_a_shorter_end_is_the_start_of_a_longer_one(model: Forecaster, table: SeriesTable):
    longer = model.forecast(table, 3 * HORIZON, LEVELS)
    np.testing.assert_array_equal(model.forecast(table, 2 * HORIZON + 1, LEVELS), longer[:, : 2 * HORIZON + 1])


def test_the_whole_way_keeps_quantiles_in_order_and_grows_uncertain(model: Forecaster, table: SeriesTable):
    forecast = model.forecast(table, MOST_BLOCKS * HORIZON, LEVELS)
    assert np.isfinite(forecast).all()
    assert (np.diff(forecast[..., 1:]) >= 0).all()
    width = (forecast[..., 3] - forecast[..., 1]).mean(0)
    assert width[HORIZON:].mean() > width[:HORIZON].mean()


def test_the_day_goes_on(model: Forecaster, table: SeriesTable):
    """Four days ahead there is still a morning and a night."""
    median = model.forecast(table, 5 * HORIZON, [0.5])[..., 1]
    first, last = median[:, :HORIZON], median[:, 4 * HORIZON :]
    assert np.corrcoef(first.ravel(), last.ravel())[0, 1] > 0.6


def test_the_limit_is_stated(model: Forecaster, table: SeriesTable):
    assert model.longest_horizon == MOST_BLOCKS * HORIZON
    with pytest.raises(ParameterError, match=f"ask for 1 to {MOST_BLOCKS * HORIZON} steps"):
        model.forecast(table, MOST_BLOCKS * HORIZON + 1, LEVELS)


def test_a_person_is_warned_once_the_trained_horizon_is_passed(model: Forecaster, table: SeriesTable):
    model.predict(table, HORIZON)
    with pytest.warns(DataWarning, match="25 steps are forecast by a model trained for 24: from step 25 on"):
        frame = model.predict(table, HORIZON + 1)
    assert len(frame) == 4 * (HORIZON + 1)


def test_a_constant_series_goes_on(model: Forecaster):
    import pandas as pd

    times = pd.date_range("2024-01-01", periods=200, freq="h")
    flat = read_series(pd.Series(7.0, index=times))
    np.testing.assert_allclose(model.forecast(flat, 4 * HORIZON, LEVELS), 7.0, rtol=1e-5)


def test_quantiles_of_a_mixture_against_draws_from_it():
    levels = torch.tensor([0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975])
    z = torch.special.ndtri(levels)
    centres, sizes = torch.tensor([-2.0, 0.0, 5.0]), torch.tensor([1.0, 2.0, 0.5])
    each = (centres.view(1, 3, 1, 1) + sizes.view(1, 3, 1, 1) * z).float()
    found = _quantiles_of_all(each, levels)[0, 0]
    noise = torch.randn(3, 200_000, generator=torch.Generator().manual_seed(0))
    draws = (centres.unsqueeze(1) + sizes.unsqueeze(1) * noise).flatten()
    torch.testing.assert_close(found, draws.quantile(levels), atol=0.35, rtol=0)


def test_shares_of_levels_add_up_to_one():
    assert level_shares([0.1, 0.5, 0.9]).tolist() == pytest.approx([0.3, 0.4, 0.3])
