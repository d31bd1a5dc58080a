"""AutoETS and AutoTheta against statsforecast called directly, and what they do where it gives up."""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm
from statsforecast import models as theirs

from forecast import AutoETS, AutoTheta, SeasonalNaive, read_series
from forecast.errors import DataWarning, ParameterError
from forecast.statistical import fill_in

BOTH = pytest.mark.parametrize("model", [AutoETS, AutoTheta])


def waves(length, season=12, seed=0, level=50.0):
    """A trend, a season and noise."""
    t = np.arange(length)
    noise = np.random.default_rng(seed).normal(size=length)
    return level + 0.1 * t + 8 * np.sin(2 * np.pi * t / season) + noise


def table_of(*lists):
    frames = [pd.DataFrame({"item_id": f"s{i}", "timestamp": range(len(v)), "target": v}) for i, v in enumerate(lists)]
    return read_series(pd.concat(frames))


def asked_directly(model, values, horizon, season=12):
    y = np.asarray(values, np.float32).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(theirs, model.__name__)(season).forecast(y=y, h=horizon, level=[80])


@BOTH
def test_forecasts_are_those_of_statsforecast_with_its_own_intervals(model):
    series = [waves(100), waves(61, seed=1), -waves(90, seed=2)]
    answer = model(12).forecast(table_of(*series), 18, [0.1, 0.5, 0.75, 0.9])
    assert answer.shape == (3, 18, 5)
    assert answer.dtype == np.float32
    for found, values in zip(answer, series, strict=True):
        direct = asked_directly(model, values, 18)
        np.testing.assert_allclose(found[:, 0], direct["mean"], rtol=1e-5)
        np.testing.assert_array_equal(found[:, 2], found[:, 0])
        width = direct["hi-80"] - direct["lo-80"]
        np.testing.assert_allclose(found[:, 4] - found[:, 1], width, rtol=1e-4)
        np.testing.assert_allclose(found[:, 3] - found[:, 2], width * norm.ppf(0.75) / norm.ppf(0.9) / 2, rtol=1e-3)


def test_quantiles_of_ets_are_those_of_statsforecast_at_every_level():
    found = AutoETS(12).forecast(table_of(waves(100)), 6, [0.05, 0.3, 0.95])[0]
    direct = theirs.AutoETS(12).forecast(y=waves(100).astype(np.float32).astype(float), h=6, level=[40, 90])
    for column, name in ((1, "lo-90"), (2, "lo-40"), (3, "hi-90")):
        np.testing.assert_allclose(found[:, column], direct[name], rtol=1e-5)


@BOTH
def test_history_beyond_the_context_is_not_read(model):
    values = waves(120)
    short, whole = model(12, context_length=50), model(12)
    assert (short.context_length, whole.context_length, model(1).context_length) == (60, 240, 200)
    other = np.concatenate((np.full(60, 1e3), values[60:]))
    found = short.forecast(table_of(values, other), 6, [0.5])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0, :, 0], asked_directly(model, values[60:], 6)["mean"], rtol=1e-5)


@BOTH
def test_series_of_all_lengths_are_forecast_and_seasonal_naive_stands_in(model):
    lists = [waves(length) for length in (1, 2, 3, 40)]
    table = table_of(*lists)
    with pytest.warns(DataWarning) as caught:
        found = model(4).forecast(table, 6, [0.1, 0.5, 0.9])
    assert [str(warning.message) for warning in caught] == [
        f"{model.__name__} gives no forecast for 2 of 4 series: 's1' (2 steps), 's2' (3 steps); "
        "seasonal naive stands in"
    ]
    np.testing.assert_array_equal(found[0], np.full((6, 4), np.float32(lists[0][0])))
    naive = SeasonalNaive(4).forecast(table, 6, [0.1, 0.5, 0.9])
    np.testing.assert_array_equal(found[1:3], naive[1:3])
    np.testing.assert_allclose(found[3, :, 0], asked_directly(model, lists[3], 6, 4)["mean"], rtol=1e-5)


def test_a_warning_names_the_first_few():
    with pytest.warns(DataWarning, match=r"7 of 7 series: 's0' \(2 steps\), .*'s4' \(2 steps\) and 2 more; seasonal"):
        AutoETS(4).forecast(table_of(*[[1, 2]] * 7), 1, [0.5])


@BOTH
def test_a_constant_series_goes_on_as_it_is(model):
    found = model(4).forecast(table_of([7.0] * 30, [0.0] * 30), 5, [0.1, 0.9])
    np.testing.assert_array_equal(found, np.array([7.0, 0.0])[:, None, None] * np.ones((2, 5, 3)))


@BOTH
@pytest.mark.parametrize("unit", [1e-6, 1e6, 1e30])
def test_quantiles_are_in_order_in_any_unit(model, unit):
    found = model(12).forecast(table_of(waves(60) * unit), 13, [0.01, 0.25, 0.5, 0.75, 0.99]) / np.float32(unit)
    assert (np.diff(found[..., 1:]) > 0).all()
    assert found.min() > 0
    assert found.max() < 150


@BOTH
def test_missing_values_are_filled_in_from_the_seasons_around(model):
    values = waves(96)
    gaps = values.copy()
    gaps[[0, 1, 30, 31, 32, 95]] = np.nan
    filled = values.copy()
    for i in (30, 31, 32):
        filled[i] = (values[i - 12] + values[i + 12]) / 2
    filled[95] = values[83]
    with pytest.warns(DataWarning, match="missing"):
        table = table_of(gaps)
    before = table.values.copy(), table.observed.copy()
    found = model(12).forecast(table, 12, [0.5])
    np.testing.assert_allclose(found[0, :, 0], asked_directly(model, filled[2:], 12)["mean"], rtol=1e-4)
    np.testing.assert_array_equal(table.values, before[0])
    np.testing.assert_array_equal(table.observed, before[1])


def test_a_point_that_no_season_has_is_taken_from_its_neighbours():
    values = np.array([[1.0, 9, 0, 4, 5, 9, 0, 8]], np.float32)
    observed = np.array([[1, 1, 0, 1, 1, 1, 0, 1]], bool)
    np.testing.assert_array_equal(fill_in(values, observed, 4), [[1, 9, 6.5, 4, 5, 9, 8.5, 8]])


@given(st.integers(1, 5), st.integers(1, 6), st.data())
def test_filling_in_keeps_what_was_observed_and_stays_within_it(season, seasons, data):
    shape = (3, season * seasons)
    values = data.draw(arrays.arrays(np.float32, shape, elements=st.floats(-(2.0**100), 2.0**100, width=32)))
    observed = data.draw(arrays.arrays(np.bool_, shape))
    observed[:, 0] = True
    filled = fill_in(np.where(observed, values, np.float32(0)), observed, season)
    np.testing.assert_array_equal(filled[observed], values[observed])
    for row, seen, known in zip(filled, observed, values, strict=True):
        slack = 1e-9 * np.abs(known[seen]).max()
        assert row.min() >= known[seen].min() - slack
        assert row.max() <= known[seen].max() + slack


def test_simulated_intervals_leave_numpys_random_numbers_alone():
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    AutoTheta(12).forecast(table_of(waves(60)), 3, [0.5])
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_without_statsforecast_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsforecast.models", None)
    with pytest.raises(ParameterError) as error:
        AutoETS(12)
    assert str(error.value) == (
        "AutoETS needs statsforecast, which is not installed; pip install 'forecast-inside[statistical]'"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"season_length": 0}, "season_length=0 is not positive"),
        ({"season_length": 12, "context_length": 0}, "context_length=0 is not positive"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ParameterError, match=message):
        AutoETS(**arguments)


def test_levels_and_horizons_out_of_range():
    model = AutoETS(1)
    with pytest.raises(ParameterError, match="quantile level 1 is not between"):
        model.predict(table_of([1, 2]), 1, [1])
    with pytest.raises(ParameterError, match="prediction_length=0 is out of range"):
        model.predict(table_of([1, 2]), 0)


def test_they_say_what_they_are():
    assert (repr(AutoETS(24)), repr(AutoTheta(1))) == ("AutoETS(24)", "AutoTheta(1)")
