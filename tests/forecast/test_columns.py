"""Every way in: each gives the same table as the plain long frame."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from forecast.errors import DataError, DataWarning, ParameterError
from forecast.series import read_series

TIMES = pd.date_range("2024-01-01", periods=4, freq="D")


@pytest.fixture
def long():
    return pd.DataFrame(
        {
            "item_id": ["b"] * 4 + ["a"] * 3,
            "timestamp": [*TIMES, *TIMES[:3]],
            "target": [1.0, 2.0, 3.0, 4.0, -1.5, 0.0, 7.25],
        }
    )


def rows(table):
    """Item, time and value of every observed step, in the table's order."""
    return [
        (item, time, float(value))
        for item, offset, length, start in zip(table.item_ids, table.offsets, table.lengths, table.starts, strict=True)
        for time, value, seen in zip(
            table.timestamps(table.frequency.advance(start, np.arange(length))),
            table.values[offset : offset + length],
            table.observed[offset : offset + length],
            strict=True,
        )
        if seen
    ]


def expected(frame):
    return list(frame[["item_id", "timestamp", "target"]].itertuples(index=False, name=None))


def refused(code, data, **names):
    with pytest.raises(DataError) as error:
        read_series(data, **names)
    assert error.value.code == code
    assert code in DataError.CODES
    return str(error.value)


def test_a_long_frame(long):
    table = read_series(long)
    assert rows(table) == expected(long)
    assert table.item_ids.tolist() == ["b", "a"]  # in the order of their first appearance


def test_the_frame_is_not_changed(long):
    long = long.sample(frac=1, random_state=0)
    before = long.copy(deep=True)
    read_series(long)
    pd.testing.assert_frame_equal(long, before)
    read_series(long.rename(columns={"target": "y"}).set_index("timestamp"), item_id="item_id")
    pd.testing.assert_frame_equal(long, before)


def test_other_column_names(long):
    renamed = long.set_axis(["shop", "day", "sales"], axis=1)
    assert rows(read_series(renamed, item_id="shop", timestamp="day", target="sales")) == expected(long)


def test_the_names_of_nixtla_are_known(long):
    assert rows(read_series(long.set_axis(["unique_id", "ds", "y"], axis=1))) == expected(long)


def test_further_columns_are_left_alone(long):
    assert rows(read_series(long.assign(price=1.0, note="x"))) == expected(long)


@pytest.mark.parametrize("index", [["item_id", "timestamp"], ["timestamp"], ["item_id"]])
def test_columns_in_the_index(long, index):
    assert rows(read_series(long.set_index(index))) == expected(long)


def test_an_unnamed_date_index_beside_columns(long):
    assert rows(read_series(long.set_index("timestamp").rename_axis(None))) == expected(long)


@pytest.mark.parametrize("index_name", [None, "timestamp", "ds", "date"])
@pytest.mark.parametrize("zone", [None, "Australia/Melbourne"])
@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_a_wide_frame(long, index_name, zone):
    wide = long.pivot(index="timestamp", columns="item_id", values="target")
    wide = wide.rename_axis(index_name).tz_localize(zone)
    table = read_series(wide)
    assert table.item_ids.tolist() == ["a", "b"]
    assert [(item, time.tz_localize(None), value) for item, time, value in rows(table)] == sorted(expected(long))


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_a_wide_frame_of_periods(long):
    wide = long.pivot(index="timestamp", columns="item_id", values="target").to_period("D")
    assert rows(read_series(wide)) == sorted(expected(long))


def test_one_pandas_series():
    table = read_series(pd.Series([1, 2, 4], TIMES[:3], name="sales"))
    assert rows(table) == [("sales", TIMES[0], 1.0), ("sales", TIMES[1], 2.0), ("sales", TIMES[2], 4.0)]
    assert read_series(pd.Series([1.0, 2.0])).item_ids.tolist() == ["series"]


def test_a_pandas_series_of_several_items(long):
    assert rows(read_series(long.set_index(["item_id", "timestamp"])["target"])) == expected(long)


def test_a_frame_without_item_ids_is_one_series(long):
    table = read_series(long[:4].drop(columns="item_id"))
    assert table.item_ids.tolist() == ["target"]
    assert table.values.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("suffix", [".parquet", ".pq", ".csv", ".CSV"])
def test_a_file(long, tmp_path, suffix):
    path = tmp_path / f"series{suffix}"
    renamed = long.rename(columns={"item_id": "shop"}).assign(note="x")
    if suffix.lower() == ".csv":
        renamed.to_csv(path, index=False)
    else:
        renamed.to_parquet(path)
    assert rows(read_series(path, item_id="shop")) == expected(long)
    assert rows(read_series(str(path), item_id="shop")) == expected(long)


def test_a_parquet_file_with_its_columns_in_the_index(long, tmp_path):
    long.set_index(["item_id", "timestamp"]).to_parquet(tmp_path / "series.parquet")
    assert rows(read_series(tmp_path / "series.parquet")) == expected(long)


def test_ids_in_a_csv_file_are_text_whatever_they_look_like(tmp_path):
    path = tmp_path / "series.csv"
    path.write_text("item_id,timestamp,target\nNA,2024-01-01,1\nNA,2024-01-02,NA\nNA,2024-01-03,3\n007,2024-01-01,5\n")
    with pytest.warns(DataWarning, match="1 of 2 series have missing values"):
        table = read_series(path)
    assert table.item_ids.tolist() == ["NA", "007"]
    assert table.observed.tolist() == [True, False, True, True]


@pytest.mark.parametrize("kind", ["category", object, "string", "int", "float", "period"])
def test_item_ids_of_any_kind(long, kind):
    ids = long["item_id"]
    if kind in ("int", "float"):
        ids = ids.map({"a": 1, "b": 2}).astype(kind)
    elif kind == "period":
        ids = pd.PeriodIndex(ids.map({"a": "2024-01", "b": "2024-02"}), freq="M")
    else:
        ids = ids.astype(kind)
    table = read_series(long.assign(item_id=ids))
    assert table.item_ids.tolist() == list(pd.unique(pd.Series(ids)))
    assert table.values.tolist() == long["target"].tolist()


@pytest.mark.parametrize(
    "times",
    [
        TIMES.strftime("%Y-%m-%d"),
        TIMES.strftime("%Y-%m-%dT%H:%M:%S"),
        TIMES.strftime("%Y%m%d"),
        TIMES.strftime("%Y-%m-%d").astype("category"),
        TIMES.astype("category"),
        TIMES.as_unit("s"),
        TIMES.as_unit("ns"),
        TIMES.to_period("D"),
        pd.Index(TIMES.to_pydatetime(), dtype=object),
        pd.Index(TIMES.date, dtype=object),
    ],
    ids=["date text", "ISO", "compact", "text categories", "categories", "s", "ns", "period", "datetime", "date"],
)
def test_timestamps_of_any_kind(times):
    table = read_series(pd.DataFrame({"timestamp": times, "target": [1, 2, 3, 4]}))
    assert [time for _, time, _ in rows(table)] == list(TIMES)


@pytest.mark.parametrize(
    "target",
    [
        [1, 2, 3, 4],
        ["1", "2.0", " 3", "4e0"],
        [Decimal(1), Decimal(2), Decimal(3), Decimal(4)],
        pd.array([1, 2, 3, 4], dtype="Int16"),
        pd.array([1, 2, 3, 4], dtype="Float32"),
        np.array([1, 2, 3, 4], np.uint8),
        np.array([1, 2, 3, 4], np.float16),
        pd.Categorical([1, 2, 3, 4]),
    ],
    ids=["int", "text", "Decimal", "Int16", "Float32", "uint8", "float16", "category"],
)
def test_targets_of_any_numeric_kind(target):
    table = read_series(pd.DataFrame({"timestamp": TIMES, "target": target}))
    assert table.values.tolist() == [1, 2, 3, 4]


def test_truth_values_are_ones_and_zeros():
    target = pd.array([True, None, False, True], dtype="boolean")
    with pytest.warns(DataWarning, match="missing"):
        table = read_series(pd.DataFrame({"timestamp": TIMES, "target": target}))
    assert table.values.tolist() == [1, 0, 0, 1]
    assert table.observed.tolist() == [True, False, True, True]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
def test_every_kind_of_missing_value(missing):
    frame = pd.DataFrame({"timestamp": TIMES, "target": pd.Series([1.0, missing, 3.0, 4.0], dtype=object)})
    with pytest.warns(DataWarning, match="missing values"):
        assert read_series(frame).observed.tolist() == [True, False, True, True]


def test_a_missing_column_is_named_with_those_found(long):
    message = refused("missing-column", long.rename(columns={"target": "sales"}))
    assert message == (
        "there is no column 'target'; found 'item_id', 'timestamp', 'sales'; "
        "name the column with the target: target=... (--target on the command line)"
    )
    assert "no column 'when'" in refused("missing-column", long, timestamp="when")
    assert "no column 'shop'" in refused("missing-column", long, item_id="shop")
    assert "found none" in refused("missing-column", pd.DataFrame())


def test_a_doubled_column_is_refused(long):
    message = refused("duplicate-column", pd.concat([long, long[["target"]]], axis=1))
    assert message == "2 columns are named 'target'; rename or drop all but one"


@pytest.mark.parametrize("empty", [pd.Series([], dtype=float), pd.DataFrame({"timestamp": [], "target": []})])
def test_an_empty_table_is_refused(empty):
    assert refused("empty-table", empty) == "the table has no rows; send at least one series"


@pytest.mark.parametrize("target", ["n/a!", "12,5", TIMES[0], pd.Timedelta(1, "h"), 1j, [1]], ids=str)
def test_a_target_that_is_no_number_is_shown(target):
    column = pd.Series([target] * 4) if not isinstance(target, str) else pd.Series(["1", target, "3", target])
    message = refused("bad-target", pd.DataFrame({"timestamp": TIMES, "target": column}))
    assert "which is not a number" in message
    assert "send numbers, and nothing (NaN, null) where a value is missing" in message
    if isinstance(target, str):
        assert message.startswith(f"row 1 has the target {target!r}, which is not a number (2 such rows)")


def test_a_row_without_item_id(long):
    long.loc[2, "item_id"] = None
    assert refused("bad-item-id", long) == "row 2 has no item_id; name the series each row belongs to"
    assert "must be text or numbers" in refused("bad-item-id", long.assign(item_id=[["a"]] * 7))


@pytest.mark.parametrize("missing", [None, pd.NaT])
def test_a_row_without_timestamp(long, missing):
    long["timestamp"] = long["timestamp"].astype(object)
    long.loc[5, "timestamp"] = missing
    assert refused("bad-timestamp", long) == "row 5 has no timestamp; drop the row or date it"
    steps = pd.DataFrame({"timestamp": pd.array([0, None], dtype="Int64"), "target": [1, 2]})
    assert refused("bad-timestamp", steps).startswith("row 1 has no timestamp")


@pytest.mark.parametrize("text", ["31.01.2024", "01/31/2024", "yesterday", "now", "2024-13-01", "20000-01-01", ""])
def test_a_timestamp_that_cannot_be_read(text):
    message = refused("bad-timestamp", pd.DataFrame({"timestamp": ["2024-01-01", text], "target": [1, 2]}))
    assert message.startswith(f"row 1 has the timestamp {text!r}, which is not ISO 8601 (2024-01-31T13:00); convert")


@pytest.mark.parametrize("times", [[0.0, 1.0], [True, False], pd.to_timedelta([1, 2], unit="h")], ids=str)
def test_timestamps_of_a_kind_that_is_no_time(times):
    message = refused("bad-timestamp", pd.DataFrame({"timestamp": times, "target": [1, 2]}))
    assert "row 0 has the timestamp" in message
    assert "whole numbers count steps" in message


def test_text_with_different_utc_offsets_is_read_as_utc():
    times = ["2024-04-07T01:00+11:00", "2024-04-07T02:00+11:00", "2024-04-07T02:00+10:00", "2024-04-07T03:00+10:00"]
    table = read_series(pd.DataFrame({"timestamp": times, "target": [1, 2, 3, 4]}))
    assert [str(time) for _, time, _ in rows(table)] == [f"2024-04-06 {hour}:00:00+00:00" for hour in (14, 15, 16, 17)]


def test_text_with_one_utc_offset_keeps_it():
    table = read_series(
        pd.DataFrame({"timestamp": ["2024-01-01T00:00+11:00", "2024-01-01T01:00+11:00"], "target": [1, 2]})
    )
    assert [time.isoformat() for _, time, _ in rows(table)] == [
        "2024-01-01T00:00:00+11:00",
        "2024-01-01T01:00:00+11:00",
    ]


def test_times_with_and_without_an_offset_do_not_mix():
    times = ["2024-01-01T00:00Z", "2024-01-01T01:00", "2024-01-01T02:00+01:00"]
    message = refused("bad-timestamp", pd.DataFrame({"timestamp": times, "target": [1, 2, 3]}))
    assert (
        message == "row 1 has the timestamp '2024-01-01T01:00', without a UTC offset, others have one; "
        "give all of them an offset"
    )


def test_python_datetimes_with_zones_are_read():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    times = [datetime.datetime(2024, 1, 1, hour, tzinfo=zone) for hour in range(3)]
    table = read_series(pd.DataFrame({"timestamp": times, "target": [1, 2, 3]}))
    assert [time for _, time, _ in rows(table)] == [pd.Timestamp(time) for time in times]


class TestFiles:
    def test_there_is_none(self, tmp_path):
        message = refused("no-such-file", tmp_path / "missing.parquet")
        assert message == f"there is no file '{tmp_path}/missing.parquet'; check the path"

    @pytest.mark.parametrize("name", ["series.xlsx", "series", "series.parquet.gz"])
    def test_of_another_kind(self, tmp_path, name):
        (tmp_path / name).write_text("x")
        assert "is neither .parquet nor .csv" in refused("unreadable-file", tmp_path / name)

    def test_a_folder(self, tmp_path):
        assert refused("unreadable-file", tmp_path).endswith("is a folder; name a Parquet or CSV file")
        (tmp_path / "parts.parquet").mkdir()
        assert "is a folder" in refused("unreadable-file", tmp_path / "parts.parquet")

    @pytest.mark.parametrize("content", [b"", b"PAR1garbagePAR1", b"\x00" * 100])
    def test_damaged_parquet(self, tmp_path, content):
        (tmp_path / "series.parquet").write_bytes(content)
        assert "cannot be read as Parquet" in refused("unreadable-file", tmp_path / "series.parquet")

    def test_cut_parquet(self, tmp_path, long):
        path = tmp_path / "series.parquet"
        long.to_parquet(path)
        path.write_bytes(path.read_bytes()[:-20])
        assert "cannot be read as Parquet" in refused("unreadable-file", path)

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00binary", b'a,b\n"unclosed'])
    def test_damaged_csv(self, tmp_path, content):
        (tmp_path / "series.csv").write_bytes(content)
        with pytest.raises(DataError) as error:
            read_series(tmp_path / "series.csv")
        assert error.value.code in ("unreadable-file", "missing-column")

    def test_empty_csv(self, tmp_path):
        path = tmp_path / "series.csv"
        path.write_text("")
        assert refused("empty-table", path) == f"'{path}' is empty; send at least one series"
        path.write_text("item_id,timestamp,target\n")
        assert refused("empty-table", path).startswith("the table has no rows")

    def test_without_the_column(self, tmp_path, long):
        long.drop(columns="target").to_csv(tmp_path / "a.csv", index=False)
        assert "found 'item_id', 'timestamp'" in refused("missing-column", tmp_path / "a.csv")
        long.drop(columns="timestamp").to_parquet(tmp_path / "a.parquet")
        assert "no column 'timestamp'; found 'item_id', 'target'" in refused("missing-column", tmp_path / "a.parquet")

    def test_with_other_separators_shows_the_header(self, tmp_path, long):
        long.to_csv(tmp_path / "a.csv", index=False, sep=";")
        assert "found 'item_id;timestamp;target'" in refused("missing-column", tmp_path / "a.csv")


def test_anything_else_is_no_data():
    with pytest.raises(
        ParameterError, match="series of type list cannot be read; pass a DataFrame, a Series or a file's"
    ):
        read_series([1, 2, 3])
