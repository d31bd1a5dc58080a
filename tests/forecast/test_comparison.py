"""Comparing two models: the tests of the literature, and what must hold of any of them."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from forecast.comparison import bootstrap_interval, compare, diebold_mariano
from forecast.errors import ParameterError

errors = arrays(np.float64, st.integers(4, 40), elements=st.floats(0.01, 10))


def test_the_statistic_is_that_of_a_published_example():
    # Squared errors of two forecasts of zeros, from the tests of the package dieboldmariano.
    first, second = np.arange(6) ** 2.0, np.array([0, 2, 3, 3, 5, 6]) ** 2.0
    found = diebold_mariano(first - second)
    assert found.statistic == pytest.approx(-2.4905, abs=1e-4)
    assert found.p_value == pytest.approx(0.05513, abs=1e-4)


def test_one_step_ahead_it_is_the_paired_t_test():
    random = np.random.default_rng(1)
    first, second = random.gamma(2, size=30), random.gamma(2, size=30)
    found, expected = diebold_mariano(first - second), stats.ttest_rel(first, second)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.9)
    assert (found.mean - found.half_width(), found.mean + found.half_width()) == pytest.approx((low, high))


@pytest.mark.parametrize("horizon", [2, 4, 7])
def test_further_ahead_the_variance_is_that_of_statsmodels(horizon: int):
    difference = np.convolve(np.random.default_rng(2).normal(0.1, 1, 90 + horizon), np.ones(horizon), "valid")
    n, h = len(difference), horizon
    lags = {"maxlags": h - 1, "kernel": "uniform"}
    uncorrected = sm.OLS(difference, np.ones(n)).fit(cov_type="HAC", cov_kwds=lags).bse[0]
    found = diebold_mariano(difference, h)
    # Harvey, Leybourne and Newbold 1997, equation 9.
    assert found.statistic == pytest.approx(
        difference.mean() / uncorrected * np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)
    )


def test_a_negative_variance_is_mended_by_bartletts_weights():
    difference = np.tile([1.0, -1.0], 10) + 0.2
    lags = {"maxlags": 1, "kernel": "bartlett"}
    expected = sm.OLS(difference, np.ones(20)).fit(cov_type="HAC", cov_kwds=lags).bse[0]
    found = diebold_mariano(difference, 2)
    assert found.standard_error == pytest.approx(expected / np.sqrt((20 + 1 - 4 + 2 / 20) / 20))


@pytest.mark.parametrize(("number", "horizon"), [(1, 1), (0, 1), (3, 3)])
def test_too_few_differences_are_refused(number: int, horizon: int):
    with pytest.raises(ParameterError, match="too few"):
        diebold_mariano(np.ones(number), horizon)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        totals = random.normal(0.3, 1, 60)
        low, high = bootstrap_interval(totals, np.ones(60, int))
        inside += low <= 0.3 <= high
    assert 0.82 <= inside / 200 <= 0.96


def test_the_windows_of_a_series_are_drawn_together():
    # Twenty windows of a series that all say the same say no more than one.
    totals = np.random.default_rng(4).normal(size=30)
    once = bootstrap_interval(totals, np.ones(30, int))
    assert bootstrap_interval(20 * totals, np.full(30, 20)) == pytest.approx(once)


def test_with_many_series_they_are_drawn_anew():
    random = np.random.default_rng(5)
    series = np.repeat(np.arange(50), 2)
    champion = random.gamma(4, 0.25, 100)
    found = compare(champion, 0.9 * champion, series, np.tile([5, 9], 50))
    assert found.method == "bootstrap over series"
    assert (found.series, found.windows) == (50, 100)
    assert found.improvement == pytest.approx(0.1)
    assert 0 < found.low < 0.1 < found.high


def test_with_few_series_their_mean_is_a_series_in_time():
    random = np.random.default_rng(6)
    champion, challenger = random.gamma(4, 0.25, (2, 3, 12))  # three series, twelve windows
    places = np.tile(np.arange(12), 3)
    ends = np.repeat([100, 40, 70], 12)  # series end at different times: windows are matched from the end
    found = compare(champion.ravel(), challenger.ravel(), np.repeat([7, 2, 4], 12), places + ends)
    test = diebold_mariano((champion - challenger).mean(0))
    assert found.method == "Diebold-Mariano over windows"
    assert found.improvement == pytest.approx(test.mean / champion.mean())
    assert found.high - found.improvement == pytest.approx(test.half_width() / champion.mean())


def test_one_window_is_too_little_to_tell():
    found = compare(np.array([1.0, 2.0]), np.array([0.5, 1.0]), np.array([0, 1]), np.array([3, 3]))
    assert found.improvement == pytest.approx(0.5)
    assert not found.is_telling


def test_windows_without_an_error_of_both_are_left_out():
    champion, challenger = np.array([1.0, np.nan, 2.0, 3.0]), np.array([1.0, 1.0, 1.0, np.nan])
    found = compare(champion, challenger, np.zeros(4, int), np.arange(4))
    assert (found.windows, found.champion, found.challenger) == (2, 1.5, 1.0)
    with pytest.raises(ParameterError, match="in common"):
        compare(np.array([np.nan]), np.array([1.0]), np.zeros(1, int), np.zeros(1, int))


@given(errors, st.integers(0, 2**32 - 1), st.floats(0.1, 1000))
def test_a_unit_does_not_matter_and_exchange_turns_the_sign(champion, seed, unit):
    random = np.random.default_rng(seed)
    challenger = champion * random.uniform(0.5, 1.5, len(champion))
    series, origins = random.integers(0, 15, len(champion)), np.arange(len(champion))
    found = compare(champion, challenger, series, origins)
    scaled = compare(champion * unit, challenger * unit, series, origins)
    assert scaled.improvement == pytest.approx(found.improvement, abs=1e-9)
    if found.is_telling:
        assert (scaled.low, scaled.high) == pytest.approx((found.low, found.high), rel=1e-6, abs=1e-6)
        assert found.low - 1e-9 <= found.high
    turned = compare(challenger, champion, series, origins)
    assert turned.improvement * turned.champion == pytest.approx(-found.improvement * found.champion, abs=1e-9)


@given(errors)
def test_equal_models_are_equal(champion):
    found = compare(champion, champion, np.arange(len(champion)) // 2, np.arange(len(champion)))
    assert found.improvement == 0
    assert not found.is_telling or found.low == found.high == 0
