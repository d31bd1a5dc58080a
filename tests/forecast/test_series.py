import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import DataError, DataWarning, ParameterError
from forecast.series import lay_out, read_series

MELBOURNE = "Australia/Melbourne"
BACK, FORWARD = "2024-04-07", "2024-10-06"  # clocks go back at 3:00, forward at 2:00


def series(times, target=None, item_id="a"):
    return pd.DataFrame(
        {"item_id": item_id, "timestamp": times, "target": np.arange(len(times)) * 1.0 if target is None else target}
    )


def days(periods, start="2024-01-01", freq="D", **options):
    return pd.date_range(start, periods=periods, freq=freq, **options)


def refusal(data, **options):
    with pytest.raises(DataError) as error:
        read_series(data, **options)
    return error.value


def same(one, other):
    assert one.item_ids.tolist() == other.item_ids.tolist()
    for name in ("values", "observed", "offsets", "lengths", "starts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.frequency, one.tz, one.wall_clock) == (other.frequency, other.tz, other.wall_clock)


@st.composite
def tables(draw):
    """A few series on one grid, with gaps and missing values, the first without either."""
    freq = draw(st.sampled_from(["15min", "h", "D", "B", "W", "MS", "ME", "QE"]))
    frames = [series(days(40, freq=freq), item_id="whole")]
    for number in range(draw(st.integers(0, 3))):
        times = days(30, freq=freq)[draw(st.lists(st.integers(0, 29), min_size=1, max_size=30, unique=True))]
        values = draw(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=len(times), max_size=len(times)))
        frames.append(series(times, values, f"item {number}"))
    return freq, pd.concat(frames, ignore_index=True)


@given(tables(), st.randoms(use_true_random=False))
@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_the_order_of_rows_does_not_matter(table, random):
    _, frame = table
    order = list(range(len(frame)))
    random.shuffle(order)
    shuffled = frame.iloc[order]
    # Items keep the order of their first appearance; categories pin it.
    shuffled = shuffled.sort_values(
        "item_id", key=lambda ids: pd.factorize(frame["item_id"])[1].get_indexer(ids), kind="stable"
    )
    same(read_series(shuffled), read_series(frame))


@given(tables())
@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_values_stand_at_their_times_and_nothing_else_is_observed(drawn):
    freq, frame = drawn
    table = read_series(frame)
    assert table.frequency.alias == freq
    grid = pd.DataFrame(
        {
            "item_id": np.repeat(table.item_ids, table.lengths),
            "timestamp": np.concatenate(
                [table.frequency.advance(s, np.arange(n)) for s, n in zip(table.starts, table.lengths, strict=True)]
            ),
            "found": table.values,
            "observed": table.observed,
        }
    )
    joined = grid.merge(frame, on=["item_id", "timestamp"], how="left")
    assert joined["target"].notna().equals(joined["observed"])
    assert joined["observed"].sum() == len(frame)
    seen = joined[joined["observed"]]
    np.testing.assert_array_equal(seen["found"], seen["target"].astype(np.float32))
    assert (joined["found"][~joined["observed"]] == 0).all()


def test_a_gap_is_masked_and_told():
    frame = series(days(6).delete([2, 3]))
    with pytest.warns(DataWarning) as caught:
        table = read_series(frame)
    assert table.values.tolist() == [0, 1, 0, 0, 2, 3]
    assert table.observed.tolist() == [True, True, False, False, True, True]
    assert str(caught[0].message) == (
        "1 of 1 series have missing values, 2 of 6 steps in all ('a' most, 2); they are masked, not filled in"
    )
    assert table.warnings(0) == ["2 missing values, the first at 2024-01-03 00:00:00: masked, not filled in"]


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_missing_values_at_both_ends_keep_their_steps():
    table = read_series(series(days(5), [np.nan, 1, np.nan, 2, np.nan]))
    assert table.lengths.tolist() == [5]
    assert table.observed.tolist() == [False, True, False, True, False]
    assert table.warnings(0) == ["3 missing values, the first at 2024-01-01 00:00:00: masked, not filled in"]


def test_whole_numbers_count_steps():
    with pytest.warns(DataWarning, match="1 of 4 steps"):
        table = read_series(series([7, 8, 10]))
    assert table.frequency.alias == "step"
    assert table.timestamps(np.array([11, 12])).tolist() == [11, 12]


@pytest.mark.parametrize("day", [BACK, FORWARD])
def test_hours_over_a_clock_change_have_no_gap(day):
    times = days(48, pd.Timestamp(day, tz=MELBOURNE) - pd.Timedelta(days=1), "h")
    table = read_series(series(times))  # no DataWarning
    assert (table.frequency.alias, table.wall_clock, table.lengths[0]) == ("h", False, 48)
    back = table.timestamps(table.times(np.arange(48)[None]))
    assert back.equals(times)
    local = table.local(table.times(np.arange(48)[None]))[0]
    np.testing.assert_array_equal(local, times.tz_localize(None).to_numpy())


@pytest.mark.parametrize("day", [BACK, FORWARD])
@pytest.mark.parametrize("hour", [0, 2, 12])
def test_days_over_a_clock_change_keep_their_hour_on_the_wall(day, hour):
    naive = days(10, pd.Timestamp(day) - pd.Timedelta(days=5) + pd.Timedelta(hours=hour))
    times = naive.tz_localize(MELBOURNE, nonexistent="shift_forward", ambiguous=np.ones(10, bool))
    table = read_series(series(times[:7] if hour != 2 else times[[0, 1, 2, 3, 4]]))
    assert (table.frequency.alias, table.wall_clock) == ("D", True)
    assert table.timestamps(table.times(np.arange(10)[None])).equals(times)


@pytest.mark.parametrize("freq", ["W", "MS", "QS"])
def test_longer_steps_keep_to_local_midnight(freq):
    times = days(12, "2024-01-01", freq, tz=MELBOURNE)
    table = read_series(series(times[:8]))
    assert table.frequency.alias == freq
    assert table.timestamps(table.times(np.arange(12)[None])).equals(times)


def test_a_frequency_given_is_used():
    with pytest.warns(DataWarning, match="missing values"):
        table = read_series(series(days(5, freq="2h")), freq="h")
    assert (table.frequency.alias, table.lengths[0]) == ("h", 9)
    assert read_series(series(days(1)), freq="MS").frequency.alias == "MS"
    with pytest.raises(ParameterError, match="freq='hourly' is not a frequency"):
        read_series(series(days(5)), freq="hourly")


class TestRefusals:
    """Each names the item and the place, and says what to do."""

    def test_duplicate_timestamps(self):
        frame = pd.concat([series(days(3)), series(days(3), item_id="b"), series(days(2, "2024-01-02"), item_id="b")])
        error = refusal(frame)
        assert error.code == "duplicate-timestamps"
        assert error.problems[0].item_id == "b"
        assert str(error) == (
            "'b' has the timestamp 2024-01-02 00:00:00 more than once (2 such timestamps); keep one value per time; "
            "local times repeat an hour when clocks go back: send them with their UTC offset"
        )

    def test_duplicates_are_shown_in_the_zone_they_came_in(self):
        times = days(3, tz=MELBOURNE).append(days(1, tz=MELBOURNE))
        assert "'a' has the timestamp 2024-01-01 00:00:00+11:00 more than once;" in str(refusal(series(times)))

    def test_a_table_of_several_series_without_ids(self):
        frame = pd.concat([series(days(3)), series(days(3))]).drop(columns="item_id")
        assert refusal(frame).code == "duplicate-timestamps"

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_infinite_values(self, value):
        error = refusal(series(days(3), [1, value, 3]))
        assert error.code == "infinite-value"
        assert str(error) == (
            f"'a' has the value {value} at 2024-01-02 00:00:00, which is infinite; "
            "send a number, or nothing where it is missing"
        )

    def test_values_beyond_the_range(self):
        error = refusal(series(days(3), [1, 2, -1e300]))
        assert error.code == "value-too-large"
        assert "'a' has the value -1e+300 at 2024-01-03 00:00:00, which is beyond 1e+33" in str(error)

    def test_many_problems_are_counted(self):
        error = refusal(series(days(9), [np.inf] * 9))
        assert len(error.problems) == 9
        assert str(error).endswith("\n... and 4 more")

    def test_a_series_without_any_value(self):
        frame = pd.concat([series(days(3)), series(days(3), [np.nan] * 3, "b")])
        error = refusal(frame)
        assert error.code == "all-missing"
        assert (
            str(error) == "'b' has no value at all: all 3 are missing; send at least one value, or leave the series out"
        )

    def test_mixed_frequencies(self):
        frame = pd.concat([series(days(40, freq="h")), series(days(5), item_id="b")])
        error = refusal(frame)
        assert error.code == "mixed-frequencies"
        assert str(error) == "'b' steps by D, most values by h; forecast them apart, or resample 'b'"

    @pytest.mark.parametrize(("freq", "shown"), [("D", "D"), ("MS", "MS")])
    def test_mixed_frequencies_over_a_clock_change(self, freq, shown):
        frame = pd.concat(
            [series(days(400, freq="h", tz=MELBOURNE)), series(days(8, "2024-04-01", freq, tz=MELBOURNE), item_id="b")]
        )
        error = refusal(frame)
        assert error.code == "mixed-frequencies"
        assert error.problems[0].item_id == "b"

    def test_irregular_times(self):
        times = days(6, freq="h").insert(3, pd.Timestamp("2024-01-01 02:20"))
        error = refusal(series(times))
        assert error.code == "irregular-timestamps"
        assert str(error) == (
            "'a' has the timestamp 2024-01-01 02:20:00, which is off its grid of h from 2024-01-01 00:00:00; "
            "resample the series to regular times (pandas.DataFrame.resample), or pass the right freq=..."
        )

    def test_irregular_times_are_shown_in_their_zone(self):
        times = days(6, freq="h", tz=MELBOURNE).insert(3, pd.Timestamp("2024-01-01 02:20", tz=MELBOURNE))
        assert "'a' has the timestamp 2024-01-01 02:20:00+11:00, which is off its grid of h" in str(
            refusal(series(times))
        )

    def test_times_off_the_frequency_given(self):
        error = refusal(series(days(8, "2024-01-01")), freq="B")
        assert error.code == "irregular-timestamps"
        assert "'a' has the timestamp 2024-01-06 00:00:00, which is off its grid of B" in str(error)
        error = refusal(series(days(1, "2024-01-06")), freq="B")
        assert "'a' starts at 2024-01-06 00:00:00, which is not on a grid of B" in str(error)

    def test_a_frequency_that_cannot_be_told(self):
        error = refusal(pd.concat([series(days(1)), series(days(1), item_id="b")]))
        assert error.code == "unknown-frequency"
        assert str(error) == (
            "no series has two values, so the frequency cannot be told; "
            "pass freq=..., pandas' name of it: 'h', 'D', 'MS', ..."
        )

    def test_a_date_far_from_the_others(self):
        times = days(10, freq="s").append(pd.DatetimeIndex(["2034-01-01"]))
        error = refusal(series(times))
        assert error.code == "too-sparse"
        assert "'a' spans 315619201 steps of s but has only 11 values; look for a wrong date" in str(error)

    def test_unix_times_are_no_step_numbers(self):
        error = refusal(series(1_700_000_000 + 3600 * np.arange(20)))
        assert error.code == "too-sparse"
        assert "pandas.to_datetime(..., unit='s') reads Unix times" in str(error)

    @pytest.mark.parametrize("times", [[-(2**62), 2**62], [0, 2**63 - 1]])
    def test_step_numbers_beyond_counting(self, times):
        error = refusal(series(np.array(times)))
        assert error.code == "bad-timestamp"
        assert "which lies outside -1000000000000000 to 1000000000000000; number the steps from 0" in str(error)

    def test_dates_without_room_for_a_forecast(self):
        error = refusal(series(["9999-12-30", "9999-12-31"]))
        assert error.code == "bad-timestamp"
        assert "'a' has the timestamp 9999-12-30T00:00:00.000000, which lies outside 0001-01-02 to 9000-01-01" in str(
            error
        )

    def test_a_frequency_for_step_numbers(self):
        error = refusal(series([0, 1, 2]), freq="D")
        assert error.code == "bad-timestamp"
        assert "the timestamps are whole numbers, which have no freq='D'" in str(error)
        assert "these have dates" in str(refusal(series(days(3)), freq="step"))


@pytest.mark.parametrize("size", [1e30, -1e30, 1e-30])
def test_values_of_any_size_are_kept(size):
    table = read_series(series(days(3), [size, 2 * size, 0]))
    np.testing.assert_allclose(table.values, [size, 2 * size, 0], rtol=1e-6)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=30, unique=True))
@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_any_times_give_a_table_or_a_clear_error(seconds):
    frame = series(pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s"))
    table, error = None, None
    try:
        table = read_series(frame)
    except DataError as refused:
        error = refused
    if table is not None:
        assert int(table.observed.sum()) == len(seconds)
    else:
        assert error.code in ("irregular-timestamps", "too-sparse", "mixed-frequencies")
        assert error.problems[0].item_id == "a"
        assert error.problems[0].hint


def test_lay_out_takes_the_same_columns_as_arrays():
    from forecast.columns import Columns

    times = np.array(["2024-01-02", "2024-01-01", "2024-01-03"], "M8[us]")
    columns = Columns(np.array(["a"], object), np.zeros(3, np.int64), times, np.array([2.0, 1.0, 3.0]))
    assert lay_out(columns).values.tolist() == [1, 2, 3]
