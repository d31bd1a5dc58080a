import numpy as np
import pandas as pd
import pytest

from forecast import CovariatesConfig, read_series
from forecast.errors import DataError, ParameterError

KNOWN = CovariatesConfig(known=("price",))


def shops(**columns):
    """Two shops, three days each, with further columns."""
    times = list(pd.date_range("2024-01-01", periods=3)) * 2
    return pd.DataFrame({"item_id": [*"aaabbb"], "timestamp": times, "target": range(6), **columns})


def of(table, name):
    """One covariate by series, as numbers."""
    covariates = table.covariates
    if name in covariates.names.static:
        return covariates.static[:, covariates.names.static.index(name)].tolist()
    column = covariates.values[:, covariates.names.varying.index(name)]
    spans = zip(covariates.offsets, covariates.lengths, strict=True)
    return [column[offset : offset + length].tolist() for offset, length in spans]


def refusal(frame, config):
    with pytest.raises(DataError) as error:
        read_series(frame, covariates=config)
    return error.value.code, str(error.value)


class TestReading:
    def test_without_any_there_are_none(self):
        assert read_series(shops(price=1.0)).covariates is None

    def test_values_lie_on_the_series_own_grid_whatever_the_order_of_rows(self):
        frame = shops(price=[1, 2, 3, 4, 5, 6]).drop(index=1).iloc[::-1]
        with pytest.warns(match="1 of 2 series have missing values"):
            table = read_series(frame, covariates=KNOWN)
        assert table.item_ids.tolist() == ["b", "a"]
        np.testing.assert_array_equal(of(table, "price"), [[4, 5, 6], [1, np.nan, 3]])

    def test_missing_values_are_missing(self):
        assert np.isnan(of(read_series(shops(price=[None, 2, 3, 4, 5, 6]), covariates=KNOWN), "price")[0][0])

    def test_booleans_are_numbers_and_text_is_categories(self):
        config = CovariatesConfig(known=("open",), past=("event",), static=("region",))
        event = pd.Categorical(["fair", None, "sale", None, None, "fair"])
        frame = shops(open=[True, False] * 3, event=event, region=[*"nnnsss"])
        table = read_series(frame, covariates=config)
        assert table.covariates.names.varying == ("open", "event")
        assert of(table, "open") == [[1, 0, 1], [0, 1, 0]]
        np.testing.assert_array_equal(of(table, "event"), [[0, np.nan, 1], [np.nan, np.nan, 0]])
        assert of(table, "region") == [0, 1]
        assert table.covariates.categories == {"event": ("fair", "sale"), "region": ("n", "s")}

    def test_a_trained_model_reads_a_column_as_it_was_in_training(self):
        frame = shops(store=[7, 7, 7, 8, 8, 8], price=["1", "2", None, "4", "5", "6"])
        config = CovariatesConfig(
            known=("price",), static=("store",), scales={"price": (0, 1)}, categories={"store": ("7",)}
        )
        table = read_series(frame, covariates=config)
        assert table.covariates.categories == {"store": ("7", "8")}
        np.testing.assert_array_equal(of(table, "price"), [[1, 2, np.nan], [4, 5, 6]])

    @pytest.mark.parametrize("suffix", ["parquet", "csv"])
    def test_files_are_read_with_these_columns_alone(self, tmp_path, suffix):
        frame = shops(price=[1, 2, 3, 4, 5, None], event=["x", "", "x", "y", "", ""], else_=1)
        path = tmp_path / f"shops.{suffix}"
        (frame.to_parquet if suffix == "parquet" else frame.to_csv)(path, index=False)
        table = read_series(path, covariates=CovariatesConfig(known=("price",), past=("event",)))
        np.testing.assert_array_equal(of(table, "price"), [[1, 2, 3], [4, 5, np.nan]])
        labels = table.covariates.categories["event"]
        assert [labels[int(code)] for code in of(table, "event")[0][::2]] == ["x", "x"]

    def test_a_dated_index_is_no_wide_table_where_a_covariate_stands_in_it(self):
        frame = shops(price=range(6)).iloc[:3].set_index("timestamp")[["target", "price"]]
        table = read_series(frame, covariates=KNOWN)
        assert table.item_ids.tolist() == ["target"]
        assert of(table, "price") == [[0, 1, 2]]


class TestRefusals:
    def test_a_column_that_is_not_there(self):
        code, message = refusal(shops(), KNOWN)
        assert code == "missing-column"
        assert message.startswith("there is no column 'price', a covariate; found 'item_id', 'timestamp', 'target'")

    def test_a_column_that_is_not_in_the_file(self, tmp_path):
        shops().to_parquet(tmp_path / "shops.parquet")
        assert refusal(tmp_path / "shops.parquet", KNOWN)[0] == "missing-column"

    def test_a_column_that_is_the_series_own(self):
        frame = shops().rename(columns={"target": "y"})
        code, message = refusal(frame, CovariatesConfig(past=("y",)))
        assert code == "duplicate-column"
        assert message.startswith("the column 'y' is named as a covariate, but holds the series' own data")

    @pytest.mark.parametrize("value", [np.inf, -1e38])
    def test_a_number_too_large(self, value):
        code, message = refusal(shops(price=[1, 2, value, 4, 5, 6]), KNOWN)
        assert code == "bad-covariate"
        assert message.startswith(f"row 2 has the price {value:g}, which is beyond 1e+33")

    def test_text_where_a_model_reads_numbers(self):
        config = CovariatesConfig(known=("price",), scales={"price": (0, 1)})
        code, message = refusal(shops(price=["1", "2", "many", "4", "5", "6"]), config)
        assert code == "bad-covariate"
        assert message.startswith("row 2 has the price 'many', which is not a number")

    def test_times(self):
        code, message = refusal(shops(price=pd.Timestamp("2024-01-01")), KNOWN)
        assert (code, message.split(";")[0]) == ("bad-covariate", "the covariate 'price' holds datetime values")

    def test_a_static_covariate_that_changes(self):
        config = CovariatesConfig(static=("region", "size"))
        code, message = refusal(shops(region=[*"nns", *"sss"], size=[1, 1, 1, None, 2, 3]), config)
        assert code == "bad-covariate"
        assert message.startswith("'a' has the region 's' in its row 3, 'n' before; a static covariate is one value")
        code, message = refusal(shops(region="n", size=[1, 1, 1, None, 2, 3]), config)
        assert message.startswith("'b' has the size 3 in its row 3, 2 before")

    def test_a_static_covariate_that_is_missing_in_some_rows_does_not_change(self):
        config = CovariatesConfig(static=("size", "none"))
        table = read_series(shops(size=[1, None, 1, None, 2, None], none=[np.nan] * 3 + [5] * 3), covariates=config)
        assert of(table, "size") == [1, 2]
        np.testing.assert_array_equal(of(table, "none"), [np.nan, 5])

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            ({"known": ("a", "b"), "static": ("a",)}, "the covariate 'a' is named twice"),
            ({"past": ("a", "a")}, "the covariate 'a' is named twice"),
            ({"known": ("target",)}, "the column 'target' cannot be a covariate"),
            ({"past": ("a",), "scales": {"a": (0, 1)}, "categories": {"a": ("x",)}}, "'a' is in covariates.scales and"),
            ({"static": ("item_id",)}, "the column 'item_id' cannot be a covariate"),
        ],
    )
    def test_names_that_cannot_be(self, names, message):
        with pytest.raises(ParameterError, match=message):
            CovariatesConfig.build(**names)


class TestParts:
    """Parts of a table keep the covariates of their series and steps, and share the values."""

    @pytest.fixture
    def table(self):
        config = CovariatesConfig(known=("price",), static=("size",))
        return read_series(shops(price=range(6), size=[1] * 3 + [2] * 3), covariates=config)

    def test_what_is_dropped_from_the_end_is_then_the_future(self, table):
        short = table.drop_last(2)
        assert short.lengths.tolist() == [1, 1]
        assert of(short, "price") == [[0, 1, 2], [3, 4, 5]]
        assert short.covariates.values is table.covariates.values

    def test_what_is_dropped_from_the_start_is_gone(self, table):
        assert of(table.drop_last(1).keep_last(1), "price") == [[1, 2], [4, 5]]

    def test_selected_series(self, table):
        picked = table.select(np.array([1, 1, 0]))
        assert of(picked, "price") == [[3, 4, 5], [3, 4, 5], [0, 1, 2]]
        assert of(picked, "size") == [2, 2, 1]

    def test_a_series_that_drops_out_takes_its_covariates_along(self):
        frame = shops(price=range(6)).drop(index=[1, 2])
        assert of(read_series(frame, freq="D", covariates=KNOWN).drop_last(1), "price") == [[3, 4, 5]]

    def test_steps_after_the_last_value_become_the_future(self):
        frame = shops(price=range(6)).assign(target=[1, None, None, 1, None, 3])
        with pytest.warns(match="missing"):
            table = read_series(frame, covariates=KNOWN).drop_last_missing()
        assert table.lengths.tolist() == [1, 3]
        assert of(table, "price") == [[0, 1, 2], [3, 4, 5]]
