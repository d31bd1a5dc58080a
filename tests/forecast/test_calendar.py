import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar import Frequency, Irregularity, calendar_features, feature_names, infer_frequency
from forecast.errors import ParameterError

ALIASES = ["s", "15min", "30min", "h", "6h", "D", "B", "W", "MS", "ME", "2MS", "QS", "QE", "YS", "YE", "3D", "2B"]
ONE_SERIES = np.zeros(1, np.int64)


def dates(start, periods, freq):
    return pd.date_range(start, periods=periods, freq=freq).to_numpy().astype("M8[us]")


def inferred(times):
    found = infer_frequency(np.asarray(times, "M8[us]"), ONE_SERIES)
    return found.alias if isinstance(found, Frequency) else found.reason


@pytest.mark.parametrize("alias", ALIASES)
def test_a_grid_is_the_one_pandas_makes(alias):
    # 2023-12-29 is a Friday; the range starts at the first date that pandas puts on the grid.
    expected = dates("2023-12-29 07:00", 40, alias)
    frequency = Frequency.parse(alias)
    np.testing.assert_array_equal(frequency.advance(expected[0], np.arange(40)), expected)


@pytest.mark.parametrize("alias", [*ALIASES, "step"])
@given(start=st.integers(0, 20_000), steps=st.lists(st.integers(-3000, 3000), min_size=1, max_size=20))
def test_positions_undo_advance(alias, start, steps):
    frequency = Frequency.parse(alias)
    if alias == "step":
        first = np.asarray(np.int64(start))
    else:
        first = np.asarray(dates(pd.Timestamp("1990-01-01 03:00") + pd.Timedelta(days=start), 1, alias)[0])
    positions, on_grid = frequency.positions(first, frequency.advance(first, np.array(steps)))
    assert on_grid.all()
    assert positions.tolist() == steps


@pytest.mark.parametrize("alias", [*ALIASES, "step", "36h", "ms"])
def test_a_parsed_alias_is_stable(alias):
    frequency = Frequency.parse(alias)
    assert Frequency.parse(frequency.alias) == frequency


@pytest.mark.parametrize(
    ("alias", "normal"),
    [
        ("60min", "h"),
        ("24h", "D"),
        ("7D", "W"),
        ("W-MON", "W"),
        ("3MS", "QS"),
        ("12ME", "YE"),
        ("1.5h", "90min"),
        ("d", "D"),
    ],
)
def test_one_grid_has_one_name(alias, normal):
    assert Frequency.parse(alias).alias == normal


@pytest.mark.parametrize("alias", ["", "M", "H", "0h", "-1D", "C", "BME", "SME", "fortnight", "500ns", None, 5])
def test_an_unknown_alias_is_refused_with_those_there_are(alias):
    with pytest.raises(ParameterError, match=r"is not a frequency this library knows; use one of pandas' aliases: 's'"):
        Frequency.parse(alias)


def test_times_between_two_steps_are_off_the_grid():
    start = np.datetime64("2024-01-31", "us")
    for alias, time in [
        ("h", "2024-02-01T00:30"),
        ("ME", "2024-02-28"),
        ("B", "2024-02-03"),
        ("B", "2024-02-01T01:00"),
        ("2ME", "2024-02-29"),
        ("W", "2024-02-06"),
    ]:
        _, on_grid = Frequency.parse(alias).positions(start, np.array([time], "M8[us]"))
        assert not on_grid[0], (alias, time)


@pytest.mark.parametrize("alias", [alias for alias in ALIASES if alias != "2B"])
def test_the_frequency_of_a_regular_series_is_found(alias):
    assert inferred(dates("2023-01-01 00:00", 30, alias)) == Frequency.parse(alias).alias


@pytest.mark.parametrize("alias", ["15min", "h", "D", "B", "W", "MS", "ME", "QS", "YS"])
@given(data=st.data())
def test_gaps_do_not_hide_the_frequency(alias, data):
    times = dates("2020-01-01", 60, alias)
    keep = data.draw(st.lists(st.integers(0, 59), min_size=45, max_size=60, unique=True))
    assert inferred(times[np.sort(keep)]) == Frequency.parse(alias).alias


def test_the_fifteenth_of_each_month_is_a_grid():
    times = dates("2024-01-01", 12, "MS") + np.timedelta64(14, "D")
    assert inferred(times) == "MS"
    after = Frequency.parse("MS").advance(times[-1:], np.array([1, 2]))
    assert after.astype("M8[D]").astype(str).tolist() == ["2025-01-15", "2025-02-15"]


def test_the_last_day_of_each_month_keeps_being_the_last_over_a_leap_year():
    times = Frequency.parse("ME").advance(np.datetime64("2023-12-31", "us"), np.arange(4))
    assert times.astype("M8[D]").astype(str).tolist() == ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]


@pytest.mark.parametrize(("start", "alias"), [("2024-01-29", "MS"), ("2024-01-01", "ME"), ("2023-02-01", "ME")])
def test_a_day_that_not_every_month_has_is_on_no_monthly_grid(start, alias):
    start = np.array([start], "M8[us]")
    assert not Frequency.parse(alias).positions(start, start)[1].any()


def test_weekdays_only_are_business_days_once_a_weekend_was_skipped():
    assert inferred(dates("2024-01-01", 5, "D")) == "D"  # Monday to Friday
    assert inferred(dates("2024-01-01", 6, "B")) == "B"
    two_weeks = np.concatenate([dates("2024-01-01", 5, "D"), dates("2024-01-15", 5, "D")])
    assert infer_frequency(two_weeks, np.array([0, 5])).alias == "D"  # two series, neither crosses a weekend


def test_one_value_tells_no_frequency():
    assert infer_frequency(dates("2024-01-01", 3, "D"), np.arange(3)) == Irregularity("unknown")


def test_series_of_one_value_take_the_others_frequency():
    times = np.concatenate([dates("2024-01-01", 1, "D"), dates("2024-01-01", 5, "h"), dates("2024-03-01", 1, "D")])
    assert infer_frequency(times, np.array([0, 1, 6])).alias == "h"


@pytest.mark.parametrize(
    ("usual", "other"), [("h", "D"), ("D", "h"), ("D", "MS"), ("MS", "QS"), ("h", "15min"), ("D", "W")]
)
def test_a_series_that_steps_by_its_own_distance_is_named(usual, other):
    times = np.concatenate([dates("2024-01-01", 60, usual), dates("2024-01-01", 6, other)])
    found = infer_frequency(times, np.array([0, 60]))
    assert (found.reason, found.series, found.frequency.alias) == ("mixed", 1, usual)


def test_one_time_between_the_others_is_uneven_and_no_finer_grid():
    hours = dates("2024-01-01", 50, "h")
    found = infer_frequency(np.sort(np.append(hours, hours[20] + np.timedelta64(30, "m"))), ONE_SERIES)
    assert (found.reason, found.frequency.alias) == ("uneven", "h")


@given(st.lists(st.integers(-1_000_000, 1_000_000), min_size=40, max_size=40, unique=True))
def test_jitter_is_uneven(jitter):
    times = dates("2024-01-01", 40, "h") + np.array(jitter).astype("m8[us]") * 1000
    assert inferred(times) == "uneven"


def test_whole_numbers_count_steps():
    assert infer_frequency(np.arange(5), ONE_SERIES) == Frequency.parse("step")


@pytest.mark.parametrize(
    ("alias", "seasons"),
    [
        ("s", (60, 3600)),
        ("15min", (96, 672)),
        ("30min", (48, 336)),
        ("h", (24, 168)),
        ("6h", (4, 28)),
        ("D", (7, 365)),
        ("B", (5, 261)),
        ("W", (52,)),
        ("MS", (12,)),
        ("QE", (4,)),
        ("YS", ()),
        ("step", ()),
    ],
)
def test_season_lengths(alias, seasons):
    assert Frequency.parse(alias).season_lengths == seasons


def test_calendar_features_are_sines_of_the_time_of_day_week_and_year():
    times = np.array(["2024-03-07T18:00", "1969-12-31T23:00"], "M8[us]")
    features = dict(
        zip(feature_names(Frequency.parse("h")), calendar_features(Frequency.parse("h"), times).T, strict=True)
    )
    hours = np.array([18, 23])
    np.testing.assert_allclose(features["sin_day"], np.sin(2 * np.pi * hours / 24), atol=1e-6)
    np.testing.assert_allclose(features["cos_day"], np.cos(2 * np.pi * hours / 24), atol=1e-6)
    # Both days; 1970-01-01, from which weeks are counted, was a Thursday, and so is 2024-03-07.
    into_week = np.array([18, 7 * 24 - 1])
    np.testing.assert_allclose(features["sin_week"], np.sin(2 * np.pi * into_week / 168), atol=1e-6)
    into_year = (times - np.datetime64("1970-01-01", "us")).astype(float) / (365.2425 * 86_400e6)
    np.testing.assert_allclose(features["cos_year"], np.cos(2 * np.pi * into_year), atol=1e-4)


@pytest.mark.parametrize(
    ("alias", "cycles"),
    [
        ("h", "day week year"),
        ("12h", "day week year"),
        ("D", "week year"),
        ("B", "week year"),
        ("W", "year"),
        ("MS", "year"),
    ],
)
def test_cycles_shorter_than_two_steps_are_left_out(alias, cycles):
    assert feature_names(Frequency.parse(alias)) == tuple(f"{f}_{c}" for c in cycles.split() for f in ("sin", "cos"))


def test_undated_series_have_no_calendar():
    assert calendar_features(Frequency.parse("step"), np.arange(5)).shape == (5, 0)
    assert feature_names(Frequency.parse("YS")) == ()
