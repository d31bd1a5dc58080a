import math

import numpy as np
import pandas as pd
import pytest

from forecast import SeasonalNaive, read_series
from forecast.errors import DataError, ParameterError
from tests.forecast.test_windows import make_table


def steps(values):
    return read_series(pd.Series(np.asarray(values, float)))


def test_the_last_season_repeats():
    frame = SeasonalNaive(3).predict(steps([9, 1, 2, 3, 4, 5, 6]), 5, [0.5])
    assert frame["0.5"].tolist() == [4, 5, 6, 4, 5]
    assert frame["mean"].tolist() == frame["0.5"].tolist()
    assert frame["timestamp"].tolist() == [7, 8, 9, 10, 11]


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_a_missing_value_falls_back_to_the_season_before_and_then_to_the_mean():
    assert SeasonalNaive(3).predict(steps([1, 2, 3, 4, np.nan, 6]), 3, [0.5])["0.5"].tolist() == [4, 2, 6]
    assert SeasonalNaive(3).predict(steps([1, np.nan, 3, 4, np.nan, 6]), 3, [0.5])["0.5"].tolist() == [4, 3.5, 6]


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_a_value_is_looked_for_as_many_seasons_back_as_told():
    table = steps([1, 2, 3, np.nan, 5, np.nan])
    assert SeasonalNaive(2, seasons_read=2).predict(table, 2, [0.5])["0.5"].tolist() == [5, 4]
    assert SeasonalNaive(2, seasons_read=3).predict(table, 2, [0.5])["0.5"].tolist() == [5, 2]


def test_intervals_are_normal_and_widen_by_the_root_of_the_seasons_ahead():
    values = [1, 2, 3, 5, 5, 9]
    deviation = math.sqrt((4**2 + 3**2 + 6**2) / 3)
    frame = SeasonalNaive(3).predict(steps(values), 7, [0.1, 0.5, 0.9])
    for step, season in enumerate([1, 1, 1, 2, 2, 2, 3]):
        half = 1.2815515655 * deviation * math.sqrt(season)
        row = frame.iloc[step]
        assert row["0.5"] == [5, 5, 9][step % 3]
        assert row["0.9"] - row["0.5"] == pytest.approx(half, rel=1e-5)
        assert row["0.5"] - row["0.1"] == pytest.approx(half, rel=1e-5)


def test_a_history_shorter_than_a_season_has_its_mean():
    frame = SeasonalNaive(24).predict(steps([2, 4]), 3, [0.1, 0.5])
    assert frame["0.5"].tolist() == [3, 3, 3]
    assert frame["0.1"].tolist() == [3, 3, 3]  # nothing is known of its errors


def test_many_series_are_each_forecast_by_themselves():
    table = make_table([10] * 2500)
    table.observed[:] = True
    forecast = SeasonalNaive(4).forecast(table, 4, [0.5])
    np.testing.assert_array_equal(forecast[:, :, 0], table.values.reshape(2500, 10)[:, 6:])


@pytest.mark.parametrize("horizon", [0, -1, 10**9])
def test_a_horizon_out_of_range(horizon):
    with pytest.raises(ParameterError, match=f"prediction_length={horizon} is out of range; ask for 1 to 10000 steps$"):
        SeasonalNaive(1).predict(steps([1, 2]), horizon)


def test_levels_and_seasons_out_of_range():
    with pytest.raises(ParameterError, match="quantile level 1 is not between"):
        SeasonalNaive(1).predict(steps([1, 2]), 1, [1])
    with pytest.raises(ParameterError, match="season_length=0 is not positive"):
        SeasonalNaive(0)
    with pytest.raises(ParameterError, match="seasons_read=0 is not positive"):
        SeasonalNaive(1, seasons_read=0)


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_nothing_in_sight_is_refused():
    with pytest.raises(DataError, match="no value in its last 8 steps"):
        SeasonalNaive(1).predict(steps([1, *[np.nan] * 8]))


def test_it_says_what_it_is():
    assert repr(SeasonalNaive(24)) == "SeasonalNaive(24)"
