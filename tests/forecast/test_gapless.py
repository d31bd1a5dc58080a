"""The short ways must give what the general ones give, or step aside."""

from datetime import UTC, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar import Frequency
from forecast.columns import Columns
from forecast.errors import DataError
from forecast.gapless import lay_out_gapless
from forecast.series import lay_out
from forecast.values import _usual_times, parse_times

ZONES = (None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3)))
VALUES = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, 1e38])) | st.floats(-10, 10),
    min_size=1,
    max_size=9,
)


@given(
    st.lists(VALUES, min_size=1, max_size=4),
    st.sampled_from(["h", "D", "15min", "step", "MS"]),
    st.sampled_from(ZONES),
    st.integers(-800_000 * 24, 3_000_000 * 24),
)
def test_gapless_series_are_laid_out_as_lay_out_does(
    series: list[list[float]], alias: str, tz: timezone | None, hour: int
) -> None:
    frequency = Frequency.parse(alias)
    lengths = np.array([len(one) for one in series])
    names = np.array([f"s{k}" for k in range(len(series))], object)
    starts = np.arange(len(series)) + hour
    if alias == "step":
        tz = None
    else:
        starts = np.datetime64("2024-01-01", "us") + starts.astype("m8[h]")
    target = np.concatenate(series)
    table = lay_out_gapless(names, target, lengths, starts, frequency, tz)
    steps = np.concatenate([np.arange(length) for length in lengths])
    times = frequency.advance(np.repeat(starts, lengths), steps)
    columns = Columns(names, np.repeat(np.arange(len(series)), lengths), times, target, tz)
    try:
        expected = lay_out(columns, frequency)
    except DataError:
        assert table is None
        return
    if table is None:
        assert alias == "MS"
        return
    for name in ("item_ids", "values", "observed", "offsets", "lengths", "starts"):
        np.testing.assert_array_equal(getattr(table, name), getattr(expected, name), err_msg=name)
        assert getattr(table, name).dtype == getattr(expected, name).dtype
    assert (table.frequency, table.tz, table.wall_clock) == (expected.frequency, expected.tz, expected.wall_clock)


DAYS = st.dates().map(str) | st.sampled_from(["2024-02-30", "0000-01-01", "2024-13-01", "0001-01-01", "9999-12-31"])
CLOCKS = st.sampled_from(["", "T05:00", " 05:00", "T05:00:30", "T05", "T24:00", "T05:60", "T23:59:60", "T05:00:00.5"])
OFFSETS = st.sampled_from(["", "Z", "+00:00", "-00:00", "+05:30", "-03:00", "-00:30", "+14:00", "+15:00", "+0100"])


@given(st.lists(st.tuples(DAYS, CLOCKS), min_size=1, max_size=4), OFFSETS, OFFSETS)
def test_usual_times_are_read_as_pandas_reads_them(parts: list[tuple[str, str]], first: str, others: str) -> None:
    texts = ["".join(part) + (others if number else first) for number, part in enumerate(parts)]
    found = _usual_times(texts)
    if found is not None:
        times, tz = parse_times(pd.Series(texts, dtype=object))
        np.testing.assert_array_equal(found[0], times)
        assert (found[0].dtype, found[1]) == (times.dtype, tz)


@pytest.mark.parametrize("text", ["2024-03-01", "2024-03-01T05:00", "2024-03-01 05:00:30Z", "2024-03-01T05:00+05:30"])
def test_usual_times_are_known(text: str) -> None:
    assert _usual_times([text, text]) is not None
