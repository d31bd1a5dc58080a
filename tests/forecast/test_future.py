import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import CovariatesConfig, read_future, read_series
from forecast.errors import DataError, ParameterError
from tests.forecast.test_covariates import KNOWN, of, shops

BOTH = CovariatesConfig(known=("price", "event"), past=("visits",))


def past(**columns):
    return read_series(shops(price=[1, 2, 3, 4, 5, 6], **columns), covariates=KNOWN)


def future(days=2, **columns):
    """The days after both shops' ends."""
    times = list(pd.date_range("2024-01-04", periods=days)) * 2
    frame = pd.DataFrame({"item_id": ["a"] * days + ["b"] * days, "timestamp": times, "price": range(7, 7 + 2 * days)})
    return frame.assign(**columns)


def refusal(frame, table=None):
    with pytest.raises(DataError) as error:
        read_future(frame, past() if table is None else table, KNOWN)
    return error.value.code, str(error.value)


def test_rows_follow_the_series_they_belong_to_whatever_their_order():
    table = read_future(future().iloc[[3, 0, 2, 1]], past(), KNOWN)
    assert table.lengths.tolist() == [3, 3]
    assert of(table, "price") == [[1, 2, 3, 7, 8], [4, 5, 6, 9, 10]]


def test_the_rest_of_a_series_stays_as_it_was():
    frame = shops(price=1.0, event=["x", None, "y"] * 2, visits=range(6))
    table = read_future(future(event=["y", "z", None, "x"]), read_series(frame, covariates=BOTH), BOTH)
    labels = np.array([*table.covariates.categories["event"], None])
    events = [[labels[-1 if np.isnan(code) else int(code)] for code in series] for series in of(table, "event")]
    assert events == [["x", None, "y", "y", "z"], ["x", None, "y", None, "x"]]
    np.testing.assert_array_equal(of(table, "visits"), [[0, 1, 2, np.nan, np.nan], [3, 4, 5, np.nan, np.nan]])


@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_it_is_known_up_to_the_first_step_without_a_row(there):
    frame = future(3)[there]
    table = read_future(frame, past(), KNOWN)
    expected = [(3 if all(part) else part.index(False)) for part in (there[:3], there[3:])]
    assert (table.covariates.lengths - table.lengths).tolist() == expected
    for series, steps in enumerate(expected):
        assert of(table, "price")[series][3:] == list(range(7 + 3 * series, 7 + 3 * series + steps))


def test_what_is_not_asked_for_is_passed_over():
    before = pd.DataFrame({"item_id": "a", "timestamp": [pd.Timestamp("2024-01-03T05")], "price": -1})
    others = future().assign(item_id="c")
    table = read_future(pd.concat([before, others, future()]), past(), KNOWN)
    assert of(table, "price") == [[1, 2, 3, 7, 8], [4, 5, 6, 9, 10]]


def test_a_missing_value_is_no_missing_row():
    table = read_future(future(price=[None, 8, 9, 10]), past(), KNOWN)
    np.testing.assert_array_equal(of(table, "price"), [[1, 2, 3, np.nan, 8], [4, 5, 6, 9, 10]])


def test_it_takes_the_place_of_what_was_known_before():
    table = read_future(future(1), past().drop_last(1), KNOWN)
    assert of(table, "price") == [[1, 2], [4, 5]]
    again = read_future(future(1), read_future(future(), past(), KNOWN), KNOWN)
    assert of(again, "price") == [[1, 2, 3, 7], [4, 5, 6, 8]]


def test_parts_of_a_table_can_be_given_a_future():
    table = past().select(np.array([1])).keep_last(2)
    assert of(read_future(future(), table, KNOWN), "price") == [[5, 6, 9, 10]]


def test_one_series_needs_no_item_id():
    one = shops(price=range(6)).iloc[:3].drop(columns="item_id")
    table = read_series(one, covariates=KNOWN)
    rows = future().iloc[:2].drop(columns="item_id")
    assert of(read_future(rows, table, KNOWN), "price") == [[0, 1, 2, 7, 8]]
    code, message = refusal(rows)
    assert (code, message.split(";")[0]) == (
        "missing-column",
        "the future table has no item ids, and there are 2 series",
    )


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_files_and_other_names(tmp_path, suffix):
    frame = shops(price=range(6)).replace({"item_id": {"a": "7", "b": "8"}})
    rows = future().replace({"item_id": {"a": 7, "b": 8}}).rename(columns={"item_id": "shop", "timestamp": "day"})
    path = tmp_path / f"future.{suffix}"
    (rows.to_parquet if suffix == "parquet" else rows.to_csv)(path, index=False)
    table = read_series(frame, covariates=KNOWN)
    table = read_future(path, table, KNOWN, item_id="shop", timestamp="day")
    assert of(table, "price") == [[0, 1, 2, 7, 8], [3, 4, 5, 9, 10]]


@pytest.mark.parametrize("freq", ["h", "D"])
def test_local_days_and_hours(freq):
    times = pd.date_range("2024-04-05", periods=6, freq=freq, tz="Australia/Melbourne")  # the clocks go back
    frame = pd.DataFrame({"timestamp": times, "target": 1.0, "price": range(6)})
    table = read_series(frame.iloc[:4], covariates=KNOWN)
    for zone in ("Australia/Melbourne", "UTC"):
        rows = frame.iloc[4:].assign(timestamp=frame["timestamp"].dt.tz_convert(zone))[["timestamp", "price"]]
        assert of(read_future(rows, table, KNOWN), "price") == [[0, 1, 2, 3, 4, 5]]


def test_steps():
    table = read_series(pd.DataFrame({"timestamp": range(3), "target": 1.0, "price": 1.0}), covariates=KNOWN)
    rows = pd.DataFrame({"timestamp": [3, 4], "price": [5, 6]})
    assert of(read_future(rows, table, KNOWN), "price") == [[1, 1, 1, 5, 6]]


class TestRefusals:
    def test_a_model_that_knows_nothing_in_advance(self):
        with pytest.raises(ParameterError, match="reads no covariates known in advance; leave the future table out"):
            read_future(future(), past(), CovariatesConfig(past=("price",)))

    def test_series_without_the_covariate(self):
        assert refusal(future(), read_series(shops()))[0] == "missing-covariate"

    def test_a_column_that_is_not_there(self):
        code, message = refusal(future().drop(columns="price"))
        assert code == "missing-column"
        assert "no column 'price', a covariate; found 'item_id', 'timestamp'" in message

    def test_text_in_place_of_numbers(self):
        code, message = refusal(future(price="many"))
        assert code == "bad-covariate"
        assert message.startswith("row 0 has the price 'many', which is not a number (4 such rows)")

    def test_a_time_off_the_grid(self):
        code, message = refusal(future().assign(timestamp=pd.Timestamp("2024-01-04T05:00")))
        assert code == "irregular-timestamps"
        assert message.startswith("the future table has 'a' at 2024-01-04 05:00:00, which is off its grid of D")

    def test_a_time_twice(self):
        code, message = refusal(pd.concat([future(), future().iloc[[3]]]))
        assert code == "duplicate-timestamps"
        assert message.startswith("the future table has 'b' at 2024-01-05 00:00:00 more than once")

    @pytest.mark.parametrize(
        ("times", "found"),
        [
            (pd.date_range("2024-01-04", periods=4, tz="UTC"), "times with a zone"),
            (range(4), "steps"),
        ],
    )
    def test_times_of_another_kind(self, times, found):
        code, message = refusal(future().assign(timestamp=times))
        assert code == "bad-timestamp"
        assert message.startswith(f"the future table tells {found}, the series tell times without a zone")
