import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.table import stretch_sums
from tests.forecast.test_windows import make_table


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)), max_size=6))
def test_stretch_sums_add_up_each_stretch_by_itself(stretches):
    values = np.arange(30) ** 2
    begin, lengths = np.array(stretches, np.int64).reshape(-1, 2).T
    expected = [values[b : b + n].sum() for b, n in stretches]
    assert stretch_sums(values, begin, lengths).tolist() == expected


def test_a_huge_series_does_not_drown_a_small_one():
    values = np.array([1e37, 1e37, 1e-3, 1e-3], np.float32)
    sums = stretch_sums(values, np.array([0, 2]), np.array([2, 2]))
    np.testing.assert_allclose(sums, [2e37, 2e-3], rtol=1e-6)


def test_dropping_the_last_steps_leaves_out_what_would_be_empty():
    table = make_table([5, 2, 8])
    short = table.drop_last(2)
    assert short.item_ids.tolist() == ["item 0", "item 2"]
    assert short.lengths.tolist() == [3, 6]
    assert short.starts.tolist() == table.starts[[0, 2]].tolist()
    assert short.values is table.values


def test_keeping_the_last_steps_moves_the_start():
    table = make_table([5, 2, 8], "D")
    short = table.keep_last(3)
    assert short.lengths.tolist() == [3, 2, 3]
    assert short.offsets.tolist() == [2, 5, 12]
    assert short.starts.astype("M8[D]").astype(str).tolist() == ["2024-01-03", "2024-01-01", "2024-01-06"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.data())
def test_missing_counts_what_is_not_observed_of_any_selection(lengths, data):
    table = make_table(lengths)
    picked = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6)))
    part = table.select(picked).keep_last(4)
    expected = [(~part.observed[o : o + n]).sum() for o, n in zip(part.offsets, part.lengths, strict=True)]
    assert part.missing().tolist() == expected


def test_whether_values_are_negative_is_asked_of_these_series_alone():
    table = make_table([4, 4])
    table.values[:] = [1, 0, 2, 3, 1, 1, 1, -1]
    assert not table.is_nonnegative()
    assert table.drop_last(1).is_nonnegative()
    assert table.select(np.array([0])).is_nonnegative()


@pytest.mark.parametrize("steps", [2, 5, 12])
def test_the_tail_is_padded_on_the_left(steps):
    table = make_table([5, 3])
    values, observed = table.tail(steps)
    for row, (offset, length) in enumerate(zip(table.offsets, table.lengths, strict=True)):
        kept = min(steps, length)
        np.testing.assert_array_equal(
            values[row, steps - kept :], table.values[offset + length - kept : offset + length]
        )
        np.testing.assert_array_equal(
            observed[row, steps - kept :], table.observed[offset + length - kept : offset + length]
        )
        assert not observed[row, : steps - kept].any()
        assert not values[row, : steps - kept].any()


def test_it_says_what_it_holds():
    table = make_table([5, 3])
    assert repr(table) == f"SeriesTable(2 series, 8 steps of h, {table.observed.sum()} observed)"
    table.observed[:] = True
    assert repr(table.keep_last(2)) == "SeriesTable(2 series, 4 steps of h, 4 observed)"


def test_a_complete_series_has_no_warning():
    table = make_table([3])
    table.observed[:] = [True, True, True]
    assert table.warnings(0) == []
    table.observed[1] = False
    assert table.warnings(0) == ["1 missing value at 2024-01-01 01:00:00: masked, not filled in"]
