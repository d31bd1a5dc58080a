"""Metrics against numbers worked out by hand, and against plain loops over pandas."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import metrics
from tests.forecast.test_windows import make_table

ACTUAL = np.array([[2.0, 4, 6], [10, 0, -10]], np.float32)
FORECAST = np.array([[1.0, 4, 9], [8, 0, -10]], np.float32)
ALL = np.ones((2, 3), bool)
SOME = np.array([[True, False, True], [True, True, False]])


def series_of(table, index):
    stretch = slice(table.offsets[index], table.offsets[index] + table.lengths[index])
    return pd.Series(np.where(table.observed[stretch], table.values[stretch], np.nan).astype(float))


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 12), st.integers(0, 99))
def test_seasonal_errors_are_those_of_pandas_differences(lengths, lag, seed):
    table = make_table(lengths, seed=seed)
    error, deviation = metrics.seasonal_error(table, lag), metrics.seasonal_deviation(table, lag)
    for index in range(len(table)):
        steps = series_of(table, index).diff(lag)
        np.testing.assert_allclose(error[index], steps.abs().mean(), rtol=1e-6)
        np.testing.assert_allclose(deviation[index], np.sqrt((steps**2).mean()), rtol=1e-6)


def test_the_history_of_a_cut_table_ends_at_the_cut():
    table = make_table([20, 12])
    before = metrics.seasonal_error(table.drop_last(4), 3)
    table.values[16:20] = 1e6
    np.testing.assert_array_equal(metrics.seasonal_error(table.drop_last(4), 3), before)


def test_mase_by_hand():
    np.testing.assert_allclose(metrics.mase(ACTUAL, ALL, FORECAST, np.array([2.0, 1])), [(1 + 0 + 3) / 3 / 2, 2 / 3])
    np.testing.assert_allclose(metrics.mase(ACTUAL, SOME, FORECAST, np.array([2.0, 1])), [(1 + 3) / 2 / 2, 2 / 2])


def test_rmsse_by_hand():
    found = metrics.rmsse(ACTUAL, SOME, FORECAST, np.array([2.0, 4]))
    np.testing.assert_allclose(found, [math.sqrt((1 + 9) / 2) / 2, math.sqrt(4 / 2) / 4])


def test_smape_by_hand_counts_zero_against_zero_as_right():
    found = metrics.smape(ACTUAL, ALL, FORECAST)
    np.testing.assert_allclose(found, [200 * (1 / 3 + 0 + 3 / 15) / 3, 200 * (2 / 18) / 3], rtol=1e-6)
    assert metrics.smape(np.zeros((1, 2)), np.ones((1, 2), bool), np.array([[0.0, 5]])).tolist() == [100]


def test_wql_by_hand():
    quantiles = np.stack([FORECAST - 1, FORECAST], axis=-1)
    # Level 0.1: pinball of y - (f - 1); level 0.5: half the absolute error.
    low = sum(max(0.1 * d, -0.9 * d) for d in (2, 1, -2, 3, 1, 1))
    middle = sum(0.5 * abs(d) for d in (1, 0, -3, 2, 0, 0))
    expected = 2 * (low + middle) / 32 / 2
    assert metrics.wql(ACTUAL, ALL, quantiles, (0.1, 0.5)) == pytest.approx(expected)


def test_coverage_by_hand_counts_the_bounds_as_inside():
    assert metrics.coverage(ACTUAL, ALL, FORECAST, FORECAST + 1) == pytest.approx(4 / 6)
    assert metrics.coverage(ACTUAL, SOME, FORECAST, FORECAST + 1) == pytest.approx(2 / 4)


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_what_was_not_observed_does_not_count(garbage):
    actual = np.where(SOME, ACTUAL, garbage)
    scale = np.ones(2)
    np.testing.assert_allclose(metrics.mase(actual, SOME, FORECAST, scale), metrics.mase(ACTUAL, SOME, FORECAST, scale))
    quantiles = FORECAST[..., None]
    assert metrics.wql(actual, SOME, quantiles, [0.5]) == metrics.wql(ACTUAL, SOME, quantiles, [0.5])


def test_what_has_no_scale_or_no_value_is_undefined():
    nothing = np.zeros((2, 3), bool)
    assert np.isnan(metrics.mase(ACTUAL, ALL, FORECAST, np.array([0.0, np.nan]))).all()
    assert np.isnan(metrics.smape(ACTUAL, nothing, FORECAST)).all()
    assert math.isnan(metrics.coverage(ACTUAL, nothing, FORECAST, FORECAST))
    assert math.isnan(metrics.wql(ACTUAL * 0, ALL, FORECAST[..., None], [0.5]))


def test_metrics_of_huge_values_stay_finite():
    huge, scale = np.float32(1e30), np.full(2, 1e30)
    np.testing.assert_allclose(
        metrics.rmsse(ACTUAL * huge, ALL, FORECAST * huge, scale),
        metrics.rmsse(ACTUAL, ALL, FORECAST, np.ones(2)),
        rtol=1e-6,
    )
    huge = np.float32(1e37)
    np.testing.assert_allclose(
        metrics.smape(ACTUAL * huge, ALL, FORECAST * huge), metrics.smape(ACTUAL, ALL, FORECAST), rtol=1e-6
    )


def test_all_metrics_agree_with_a_benchmark_script_over_long_frames():
    """The competition definitions, written once more with pandas: means over series of a long table."""
    table, horizon, lag = make_table([40, 33, 28], seed=3), 4, 7
    table.observed[:] = True
    table.values[:] = np.random.default_rng(0).gamma(2, size=len(table.values))
    train = [series_of(table, index)[:-horizon].to_numpy() for index in range(3)]
    actual = np.stack([series_of(table, index)[-horizon:] for index in range(3)])
    levels = np.arange(1, 10) / 10
    quantiles = np.sort(np.random.default_rng(1).gamma(2, size=(3, horizon, 9)), axis=-1)
    median, seen = quantiles[..., 4], np.ones((3, horizon), bool)

    scores = []
    for y, f, history in zip(actual, median, train, strict=True):
        smape = np.mean(200 * np.abs(y - f) / (np.abs(y) + np.abs(f)))
        scores.append((smape, np.mean(np.abs(y - f)) / np.mean(np.abs(history[lag:] - history[:-lag]))))
    difference = actual[..., None] - quantiles
    pinball = np.maximum(levels * difference, (levels - 1) * difference)
    wql = (2 * pinball.sum((0, 1)) / np.abs(actual).sum()).mean()
    inside = np.mean((actual >= quantiles[..., 0]) & (actual <= quantiles[..., 8]))

    scale = metrics.seasonal_error(table.drop_last(horizon), lag)
    np.testing.assert_allclose(metrics.smape(actual, seen, median), [smape for smape, _ in scores], rtol=1e-6)
    np.testing.assert_allclose(metrics.mase(actual, seen, median, scale), [mase for _, mase in scores], rtol=1e-6)
    assert metrics.wql(actual, seen, quantiles, levels) == pytest.approx(wql)
    assert metrics.coverage(actual, seen, quantiles[..., 0], quantiles[..., 8]) == pytest.approx(inside)
