import time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar import Frequency, calendar_features
from forecast.series import read_series
from forecast.table import SeriesTable
from forecast.windows import Origins, Windows

CONTEXT, HORIZON = 6, 3


def make_table(lengths, freq="h", seed=0, starts=None):
    """Series of random values, a tenth of them missing."""
    random = np.random.default_rng(seed)
    lengths = np.asarray(lengths, np.int64)
    observed = random.random(lengths.sum()) > 0.1
    values = np.where(observed, random.normal(size=lengths.sum()), 0).astype(np.float32)
    frequency = Frequency.parse(freq)
    first = np.datetime64("2024-01-01", "us")
    starts = np.full(len(lengths), first) if starts is None else np.asarray(starts, "M8[us]")
    if frequency.kind == "step":
        starts = np.zeros(len(lengths), np.int64)
    ids = np.array([f"item {i}" for i in range(len(lengths))], object)
    return SeriesTable(ids, values, observed, np.cumsum(lengths) - lengths, lengths, starts, frequency)


def cut(table, series, origin):
    """A window by hand: values and mask from CONTEXT before to HORIZON after."""
    values, observed = np.zeros(CONTEXT + HORIZON, np.float32), np.zeros(CONTEXT + HORIZON, bool)
    for k, step in enumerate(range(origin - CONTEXT, origin + HORIZON)):
        if 0 <= step < table.lengths[series]:
            observed[k] = table.observed[table.offsets[series] + step]
            values[k] = table.values[table.offsets[series] + step] if observed[k] else 0
    return values, observed


lengths_strategy = st.lists(st.integers(1, 20), min_size=1, max_size=5)


@given(lengths_strategy, st.integers(0, 100))
def test_every_window_is_the_stretch_around_its_origin(lengths, seed):
    table = make_table(lengths, seed=seed)
    pairs = [(series, origin) for series, length in enumerate(lengths) for origin in range(length + 1)]
    series, origin = torch.tensor(pairs).T
    batch = Windows(table, CONTEXT, HORIZON).gather(series, origin)
    for k, pair in enumerate(pairs):
        values, observed = cut(table, *pair)
        np.testing.assert_array_equal(torch.cat((batch.context[k], batch.target[k])), values)
        np.testing.assert_array_equal(torch.cat((batch.observed[k], batch.target_observed[k])), observed)


@given(lengths_strategy, st.data())
def test_a_context_knows_nothing_of_its_future_nor_a_target_of_its_past(lengths, data):
    table = make_table(lengths)
    series = data.draw(st.integers(0, len(lengths) - 1))
    origin = data.draw(st.integers(0, lengths[series]))
    before = Windows(table, CONTEXT, HORIZON).gather(torch.tensor([series]), torch.tensor([origin]))
    at = table.offsets[series] + origin

    def after_changing(stretch):
        table.values[stretch], table.observed[stretch] = 99, True
        return Windows(table, CONTEXT, HORIZON).gather(torch.tensor([series]), torch.tensor([origin]))

    values, observed = table.values.copy(), table.observed.copy()
    future = after_changing(slice(at, None))
    torch.testing.assert_close(future.context, before.context, rtol=0, atol=0)
    torch.testing.assert_close(future.observed, before.observed)
    table.values[:], table.observed[:] = values, observed
    past = after_changing(slice(0, at))
    torch.testing.assert_close(past.target, before.target, rtol=0, atol=0)
    torch.testing.assert_close(past.target_observed, before.target_observed)


@given(st.lists(st.tuples(st.integers(-3, 12), st.integers(-3, 12)), min_size=1, max_size=8))
def test_origins_are_those_of_a_list_and_no_others(stretches):
    first, last = torch.tensor(stretches).T
    origins = Origins(first, last)
    listed = [(series, origin) for series, (low, high) in enumerate(stretches) for origin in range(low, high + 1)]
    assert len(origins) == len(listed)
    series, origin = origins.window(torch.arange(len(origins)))
    assert list(zip(series.tolist(), origin.tolist(), strict=True)) == listed


def assert_calendar(table):
    windows = Windows(table, CONTEXT, HORIZON)
    for series in range(len(table)):
        for origin in {0, 1, int(table.lengths[series])}:
            known = windows.gather(torch.tensor([series]), torch.tensor([origin])).known[0]
            steps = np.arange(origin - CONTEXT, origin + HORIZON)
            times = table.frequency.advance(table.starts[series], steps)
            stamps = table.timestamps(times)
            local = (stamps.tz_localize(None) if stamps.tz else stamps).to_numpy().astype("M8[us]")
            expected = calendar_features(table.frequency, local)
            np.testing.assert_allclose(known, expected, atol=1e-6)


@pytest.mark.parametrize("freq", ["15min", "h", "6h", "D", "B", "2B", "W", "MS", "ME", "QS"])
@given(starts=st.lists(st.integers(0, 5000), min_size=1, max_size=5))
def test_calendar_rows_are_those_of_each_windows_own_times(freq, starts):
    # Starts on shifted grids as well: some of these days are 12 hours or a few days off each other's.
    first = np.datetime64("2020-01-01", "us") + np.array(starts) * np.timedelta64(12, "h")
    if freq in ("B", "2B"):
        first = np.busday_offset(first.astype("M8[D]"), 0, roll="forward")
    if freq in ("MS", "QS"):
        first = first.astype("M8[M]")
    if freq == "ME":
        first = (first.astype("M8[M]") + 1).astype("M8[D]") - 1
    assert_calendar(make_table(range(5, 5 + len(starts)), freq, starts=first.astype("M8[us]")))


@pytest.mark.parametrize("freq", ["h", "D"])
def test_calendar_rows_follow_the_clock_on_the_wall(freq):
    # Two series over the clock change of 2024-04-07, one of another half of the year.
    frames = [
        pd.DataFrame({"item_id": name, "timestamp": pd.date_range(start, periods=60, freq=freq), "target": range(60)})
        for name, start in [("a", "2024-04-05"), ("b", "2024-04-06"), ("c", "2023-09-30")]
    ]
    frame = pd.concat(frames)
    frame["timestamp"] = frame["timestamp"].dt.tz_localize("UTC" if freq == "h" else "Australia/Melbourne")
    assert_calendar(read_series(frame.assign(timestamp=frame["timestamp"].dt.tz_convert("Australia/Melbourne"))))


def test_series_that_overlap_share_their_calendar():
    many = make_table([50] * 200)
    assert len(Windows(many, CONTEXT, HORIZON)._features) == 50 + CONTEXT + HORIZON


def test_series_far_apart_do_not_span_what_lies_between():
    table = make_table([50, 50], starts=["1970-01-01", "2024-01-01"])
    assert len(Windows(table, CONTEXT, HORIZON)._features) == 2 * (50 + CONTEXT + HORIZON)


def test_another_calendar_is_blank():
    table = make_table([10, 5], "step")
    series, origin = torch.tensor([0, 1]), torch.tensor([10, 5])
    known = Windows(table, CONTEXT, HORIZON, Frequency.parse("h")).gather(series, origin).known
    assert known.shape == (2, CONTEXT + HORIZON, 6)
    assert not known.any()
    assert Windows(table, CONTEXT, HORIZON).gather(series, origin).known.shape == (2, CONTEXT + HORIZON, 0)
    dated = make_table([10, 5])
    assert Windows(dated, CONTEXT, HORIZON, Frequency.parse("step")).gather(series, origin).known.shape[-1] == 0


def test_the_latest_window_ends_with_its_series():
    table = make_table([8, 3])
    batch = Windows(table, CONTEXT, HORIZON).latest(torch.tensor([1, 0]))
    np.testing.assert_array_equal(batch.context[0, 3:], table.values[8:])
    assert not batch.observed[0, :3].any()
    assert not batch.target_observed.any()


@pytest.mark.slow  # a clock tells little on a machine that does something else as well
def test_a_batch_costs_the_same_of_a_hundred_series_and_of_a_hundred_thousand():
    def quickest(number):
        windows = Windows(make_table([20] * number), CONTEXT, HORIZON)
        origins = Origins(torch.full_like(windows.lengths, 1), windows.lengths)
        times = []
        for _ in range(30):
            numbers = torch.randint(len(origins), (256,))
            started = time.perf_counter()
            windows.gather(*origins.window(numbers))
            times.append(time.perf_counter() - started)
        return min(times)

    assert quickest(100_000) < 5 * quickest(100)
