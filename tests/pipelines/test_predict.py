"""Prediction in bulk: piece by piece it answers as the library does on the whole table."""

import datetime
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import CovariatesConfig, Forecaster, TrainingConfig
from forecast.columns import Names
from forecast.errors import DataError, DataWarning, ParameterError
from pipelines.predict import pieces, predict
from tests.forecast.test_covariate_forecasts import FUTURE, PAST

TINY = Path(__file__).parents[1] / "fixtures" / "tiny-lstm"


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.load(TINY)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece holds seven series at the most, so that small tables have many."""
    monkeypatch.setattr(pieces, "SERIES", 7)


def table(series: int = 40, steps: int = 200, seed: int = 0) -> pd.DataFrame:
    """Hourly series with a day's season, each of its own size, length and start."""
    random = np.random.default_rng(seed)
    parts = []
    for number in range(series):
        hours = int(random.integers(steps // 2, steps))
        start = pd.Timestamp("2024-03-20") + pd.Timedelta(hours=int(random.integers(48)))
        wave = 5 + np.sin(2 * np.pi * np.arange(hours) / 24) + 0.3 * random.standard_normal(hours)
        times = pd.date_range(start, periods=hours, freq="h", unit="us")
        parts.append(pd.DataFrame({"item_id": f"shop {number}", "timestamp": times, "target": wave * 10**number**0.3}))
    return pd.concat(parts, ignore_index=True)


def with_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    random = np.random.default_rng(1)
    frame = frame[random.random(len(frame)) > 0.1]
    return frame.assign(target=frame["target"].where(random.random(len(frame)) > 0.1))


TABLES = {
    "regular": table(),
    "gaps": with_gaps(table()),
    "a zone with a clock change": table().assign(
        timestamp=lambda f: f["timestamp"].dt.tz_localize("UTC").dt.tz_convert("Australia/Melbourne")
    ),
    "UTC": table().assign(timestamp=lambda f: f["timestamp"].dt.tz_localize("UTC")),
    "nanoseconds": table().assign(timestamp=lambda f: f["timestamp"].astype("datetime64[ns]")),
    "steps": table().assign(timestamp=lambda f: f.groupby("item_id").cumcount()),
    "text times": table().assign(timestamp=lambda f: f["timestamp"].astype(str)),
    "text times with an offset": table().assign(timestamp=lambda f: f["timestamp"].astype(str) + "+10:00"),
    "numbers as ids": table().assign(item_id=lambda f: f["item_id"].str[5:].astype(int)),
    "categories as ids": table().assign(item_id=lambda f: f["item_id"].astype("category")),
    "rows in no order within series": table().groupby("item_id", sort=False).sample(frac=1, random_state=0),
    "one series without a name": table(1).drop(columns="item_id"),
}


def read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """The same rows in the same order; numbers within the rounding of other batch sizes."""
    expected = expected.assign(item_id=expected["item_id"].astype(found["item_id"].dtype))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_freq=False, rtol=2e-5)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Gaps are told of; these tests are about the answers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* have missing values", DataWarning)
        yield


@pytest.mark.parametrize("name", TABLES)
def test_answers_are_those_of_the_whole_table(name: str, model: Forecaster, tmp_path: Path) -> None:
    TABLES[name].to_parquet(tmp_path / "in.parquet", index=False)
    summary = predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet", quantile_levels=[0.05, 0.5, 0.77])
    expected = model.predict(pd.read_parquet(tmp_path / "in.parquet"), quantile_levels=[0.05, 0.5, 0.77])
    found = read(tmp_path / "out.parquet")
    assert_same(found, expected)
    assert found["timestamp"].dtype == expected["timestamp"].dtype
    assert (summary.rows, summary.rejected) == (len(expected), 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_a_long_horizon_warns_once(model: Forecaster, tmp_path: Path) -> None:
    table(10).to_parquet(tmp_path / "in.parquet")
    with pytest.warns(DataWarning, match="60 steps are forecast by a model trained for 24") as told:
        predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet", prediction_length=60)
    assert len(told) == 1
    with pytest.warns(DataWarning):
        assert_same(read(tmp_path / "out.parquet"), model.predict(tmp_path / "in.parquet", 60))


def test_missing_values_are_told_of_as_a_whole(model: Forecaster, tmp_path: Path) -> None:
    TABLES["gaps"].to_parquet(tmp_path / "in.parquet")
    with warnings.catch_warnings(record=True) as expected:
        warnings.simplefilter("always")
        model.predict(TABLES["gaps"])
    with pytest.warns(DataWarning) as told:
        predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert [str(one.message) for one in told] == [str(one.message) for one in expected]


def test_a_csv_file_and_names_of_columns(model: Forecaster, tmp_path: Path) -> None:
    frame = table(20)
    other = {"item_id": "shop", "timestamp": "when", "target": "sold"}
    frame.rename(columns=other).to_csv(tmp_path / "in.csv", index=False)
    predict(model, tmp_path / "in.csv", tmp_path / "out.csv", columns=Names(**other))
    found = read(tmp_path / "out.csv")
    assert_same(found.assign(timestamp=pd.to_datetime(found["timestamp"])), model.predict(frame))


def test_a_frame(model: Forecaster, tmp_path: Path) -> None:
    predict(model, table(), tmp_path / "out.parquet")
    assert_same(read(tmp_path / "out.parquet"), model.predict(table()))


def test_a_folder_is_one_table_whose_files_may_cut_a_series_in_two(model: Forecaster, tmp_path: Path) -> None:
    frame = table(20).astype({"target": "float32"})
    folder = tmp_path / "data"
    (folder / "day=2").mkdir(parents=True)
    frame[:1003].to_parquet(folder / "a.parquet", row_group_size=100)
    frame[1003:1003].to_parquet(folder / "b.parquet")
    frame[1003:].astype({"target": float}).to_parquet(folder / "day=2" / "c.parquet", row_group_size=77)
    (folder / "_SUCCESS.parquet").write_text("no data")
    predict(model, folder, tmp_path / "out.parquet")
    assert_same(read(tmp_path / "out.parquet"), model.predict(frame))


def test_files_that_do_not_fit_together_are_named(model: Forecaster, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table(3).to_parquet(tmp_path / "data" / "a.parquet")
    table(3).assign(target="many").to_parquet(tmp_path / "data" / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet' does not fit .*a.parquet'.*target"):
        predict(model, tmp_path / "data", tmp_path / "out.parquet")
    (tmp_path / "data" / "b.parquet").write_bytes((tmp_path / "data" / "a.parquet").read_bytes()[:-100])
    with pytest.raises(DataError, match=r"b.parquet' cannot be read as Parquet"):
        predict(model, tmp_path / "data", tmp_path / "out.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no Parquet or CSV file at .*empty"):
        predict(model, tmp_path / "empty", tmp_path / "out.parquet")


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_series_that_comes_again_later_is_put_together(kind: str, model: Forecaster, tmp_path: Path) -> None:
    frame = table(20).sort_values("timestamp", kind="stable")
    path = tmp_path / f"in.{kind}"
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    with pytest.warns(DataWarning, match="are not together, so the whole table is read into memory"):
        predict(model, path, tmp_path / "out.parquet")
    assert_same(read(tmp_path / "out.parquet"), model.predict(frame))


HOURS = pd.date_range("2024-04-01", periods=60, freq="h", unit="us")


def broken(name: str, times: pd.DatetimeIndex = HOURS, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"item_id": name, "timestamp": times, "target": 1.0 + np.arange(len(times)) % 24} | columns)


REASONS = {
    "twice": (broken("twice", HOURS[[*range(60), 7]]), "duplicate-timestamps", "{!r} has the timestamp"),
    "off": (broken("off", HOURS.delete(5).insert(5, HOURS[5] + pd.Timedelta("7min"))), "irregular-timestamps", "05:07"),
    "short": (broken("short", HOURS[:10]), "series-too-short", "has 10 values; this model needs at least 24"),
    "empty": (broken("empty", target=np.nan), "all-missing", "all 60 are missing"),
    "gone": (broken("gone", HOURS[[0, *range(1, 60)]]), "all-missing", "no value in its last 168 steps"),
    "infinite": (broken("infinite", target=np.inf), "infinite-value", "{!r} has the value inf"),
    "huge": (broken("huge", target=1e38), "value-too-large", "which is beyond 1e+33"),
    "old": (broken("old", HOURS.insert(0, pd.Timestamp("0001-01-01"))), "bad-timestamp", "0001-01-01"),
    "daily": (broken("daily", pd.date_range("2024-01-01", periods=60, freq="D")), "frequency-mismatch", "by D"),
    "sparse": (broken("sparse", HOURS[:2].append(HOURS[2:] + pd.Timedelta("9000D"))), "too-sparse", "60 values"),
}
REASONS["gone"][0].loc[1:, "target"] = np.nan
REASONS["gone"][0].loc[1:, "timestamp"] += pd.Timedelta("10D")


@pytest.mark.parametrize("repeats", [1, 15])
def test_broken_series_are_told_of_and_do_not_stop_the_rest(repeats: int, model: Forecaster, tmp_path: Path) -> None:
    good = table(30)
    ids = good["item_id"].unique()
    mixed = []
    for number, (frame, _, _) in enumerate([*REASONS.values()] * repeats):
        own = good[good["item_id"] == ids[number]] if number < len(ids) else good[:0]
        mixed += [own, frame.assign(item_id=f"{frame['item_id'][0]} {number // len(REASONS)}")]
    mixed.append(good[good["item_id"].isin(ids[len(REASONS) * repeats :])])
    pd.concat(mixed).to_parquet(tmp_path / "in.parquet")
    summary = predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert_same(read(tmp_path / "out.parquet"), model.predict(good))
    rejects = read(tmp_path / "out.rejects.parquet")
    assert list(rejects.columns) == ["item_id", "reason", "detail", "hint"]
    assert list(rejects["item_id"]) == [f"{name} {k}" for k in range(repeats) for name in REASONS]
    for row, (_, code, words) in zip(rejects.itertuples(), [*REASONS.values()] * repeats, strict=True):
        assert row.reason == code
        assert words.format(row.item_id) in row.detail
        assert row.hint
    assert (summary.rejected, summary.reasons["all-missing"]) == (10 * repeats, 2 * repeats)
    assert f"{10 * repeats} of {30 + 10 * repeats} series are left out" in str(summary)


def test_values_that_are_no_numbers_and_rows_without_a_name(model: Forecaster, tmp_path: Path) -> None:
    good = table(12)
    frame = pd.concat([good, broken("words", target="many"), broken("nobody", item_id=None)]).astype({"target": str})
    frame.to_parquet(tmp_path / "in.parquet")
    predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet", rejects=tmp_path / "left.csv")
    assert_same(read(tmp_path / "out.parquet"), model.predict(good))
    rejects = read(tmp_path / "left.csv")
    assert rejects["item_id"].tolist()[0] == "words"
    assert rejects["item_id"].isna().tolist() == [False, True]
    assert list(rejects["reason"]) == ["bad-target", "bad-item-id"]


def test_times_with_and_without_an_offset_do_not_mix(model: Forecaster, tmp_path: Path) -> None:
    frame = table(10).assign(timestamp=lambda f: f["timestamp"].astype(str) + "Z")
    local = table(2, seed=1).assign(
        item_id=lambda f: "local " + f["item_id"], timestamp=lambda f: f["timestamp"].astype(str)
    )
    pd.concat([frame, local]).to_parquet(tmp_path / "in.parquet")
    predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert_same(read(tmp_path / "out.parquet"), model.predict(frame))
    rejects = read(tmp_path / "out.rejects.parquet")
    assert list(rejects["item_id"]) == ["local shop 0", "local shop 1"]
    assert rejects["detail"].str.contains("without a UTC offset").all()


def test_a_frequency_given_makes_gaps_of_longer_steps(model: Forecaster, tmp_path: Path) -> None:
    every_other = broken("rare", HOURS[0] + 2 * (HOURS - HOURS[0]))
    frame = pd.concat([table(9), every_other])
    frame.to_parquet(tmp_path / "in.parquet")
    assert predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet").reasons == {"frequency-mismatch": 1}
    assert predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet", freq="h").rejected == 0
    assert not (tmp_path / "out.rejects.parquet").exists()
    with pytest.raises(DataError, match="the series step by D, the model by h"):
        predict(model, broken("daily", HOURS[0] + 24 * (HOURS - HOURS[0])), tmp_path / "none.parquet", freq="D")
    assert not (tmp_path / "none.parquet").exists()


def test_too_many_rejected_is_an_error_and_the_old_output_stays(model: Forecaster, tmp_path: Path) -> None:
    pd.concat([table(3), broken("short", HOURS[:5])]).to_parquet(tmp_path / "in.parquet")
    (tmp_path / "out.parquet").write_text("of yesterday")
    with pytest.raises(DataError, match=r"1 of 4 series are left out \(1 series-too-short\).*max-rejected 0.2"):
        predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet", max_rejected=0.2)
    assert (tmp_path / "out.parquet").read_text() == "of yesterday"
    assert len(read(tmp_path / "out.rejects.parquet")) == 1
    predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet", max_rejected=0.25)
    assert len(read(tmp_path / "out.parquet")) == 3 * 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet", "out.rejects.parquet"]


def test_nothing_to_forecast_is_an_error_that_says_why(model: Forecaster, tmp_path: Path) -> None:
    frame = pd.concat([broken(name, HOURS[:5]) for name in "abcdefghij"])
    with pytest.raises(DataError, match="'a' has 5 values; this model needs at least 24") as caught:
        predict(model, frame, tmp_path / "out.parquet")
    assert len(caught.value.problems) == 10
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_rejected": 1.5}, "max-rejected 1.5 is no share"),
        ({"rejects": Path("rejects.txt")}, "neither .parquet nor .csv"),
        ({"future": Path("future.csv")}, "reads no covariates known in advance"),
        ({"freq": "fortnight"}, "'fortnight'"),
    ],
)
def test_a_bad_option_leaves_nothing_behind(
    options: dict[str, object], words: str, model: Forecaster, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=words):
        predict(model, table(2), tmp_path / "out.parquet", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def sales() -> Forecaster:
    """A model with every kind of covariate."""
    covariates = CovariatesConfig(known=("price", "event"), past=("visits",), static=("region",))
    training = TrainingConfig(max_epochs=1, batches_per_epoch=3, batch_size=16)
    return Forecaster("feedforward", 24, 48, training, covariates=covariates).fit(PAST)


def many(frame: pd.DataFrame) -> pd.DataFrame:
    """Ten times the same shops."""
    return pd.concat([frame.assign(item_id=f"{k} " + frame["item_id"]) for k in range(10)], ignore_index=True)


def test_covariates_and_what_is_known_of_the_future(sales: Forecaster, tmp_path: Path) -> None:
    past, future = many(PAST), many(FUTURE)
    past.to_parquet(tmp_path / "past.parquet")
    expected = sales.predict(past, future=future)
    orders = {
        "the same order.parquet": future,
        "another order.parquet": future.sort_values("item_id", ascending=False, kind="stable"),
        "by time.parquet": future.sort_values("timestamp", kind="stable"),
        "strangers between.csv": pd.concat([FUTURE.assign(item_id="nobody"), future, FUTURE.assign(item_id="none")]),
    }
    for name, ahead in orders.items():
        (ahead.to_parquet if name.endswith("parquet") else ahead.to_csv)(tmp_path / name, index=False)
        predict(sales, tmp_path / "past.parquet", tmp_path / "out.parquet", future=tmp_path / name)
        assert_same(read(tmp_path / "out.parquet"), expected)


def test_series_without_their_future_are_left_out(sales: Forecaster, tmp_path: Path) -> None:
    past, future = many(PAST), many(FUTURE)
    ids = past["item_id"].unique()
    future = future[future["item_id"] != ids[3]]
    future["price"] = future["price"].astype(object).where(future["item_id"] != ids[5], "cheap").astype(str)
    past["region"] = past["region"].where((past["item_id"] != ids[8]) | (past.index % 2 == 0), "moved")
    future.to_parquet(tmp_path / "future.parquet")
    predict(sales, past, tmp_path / "out.parquet", future=tmp_path / "future.parquet")
    rejects = read(tmp_path / "out.rejects.parquet")
    assert dict(zip(rejects["item_id"], rejects["reason"], strict=True)) == {
        ids[3]: "missing-covariate",
        ids[5]: "bad-covariate",
        ids[8]: "bad-covariate",
    }
    good = [one for one in ids if one not in set(rejects["item_id"])]
    expected = sales.predict(many(PAST)[lambda f: f["item_id"].isin(good)], future=many(FUTURE))
    assert_same(read(tmp_path / "out.parquet"), expected)


def test_a_future_without_names_is_for_one_series(sales: Forecaster, tmp_path: Path) -> None:
    nameless = FUTURE[FUTURE["item_id"] == PAST["item_id"][0]].drop(columns="item_id")
    nameless.to_csv(tmp_path / "future.csv", index=False)
    with pytest.raises(DataError, match="no item ids, and there are"):
        predict(sales, PAST, tmp_path / "out.parquet", future=tmp_path / "future.csv")
    one = PAST[PAST["item_id"] == PAST["item_id"][0]]
    predict(sales, one, tmp_path / "out.parquet", future=tmp_path / "future.csv")
    assert_same(read(tmp_path / "out.parquet"), sales.predict(one, future=nameless))


def test_days_on_local_clocks(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=90, freq="D", tz="Australia/Melbourne", unit="us")
    frame = pd.concat([broken(f"shop {k}", days[: 60 + k], target=10.0 + k + np.arange(60 + k) % 7) for k in range(20)])
    training = TrainingConfig(max_epochs=1, batches_per_epoch=2, batch_size=16)
    model = Forecaster("feedforward", 7, 14, training).fit(frame)
    frame.to_parquet(tmp_path / "in.parquet")
    predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert_same(read(tmp_path / "out.parquet"), model.predict(frame))


def test_ids_of_an_odd_kind(model: Forecaster, tmp_path: Path) -> None:
    frame = table(9)
    dates = {name: datetime.date(2024, 1, 1 + k) for k, name in enumerate(frame["item_id"].unique())}
    frame.assign(item_id=frame["item_id"].map(dates)).to_parquet(tmp_path / "in.parquet")
    predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert read(tmp_path / "out.parquet")["item_id"].unique().tolist() == list(dates.values())
