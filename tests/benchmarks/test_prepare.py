"""Published files become long tables. The files here are made up, in the published layouts."""

from pathlib import Path

import pandas as pd

from benchmarks.prepare import prepare


def rows(frame: pd.DataFrame) -> list[tuple]:
    return [(item, str(time), value) for item, time, value in frame[["item_id", "timestamp", "target"]].to_numpy()]


def test_m4_files_start_at_made_up_times_and_the_test_part_follows(tmp_path: Path) -> None:
    (tmp_path / "Hourly-train.csv").write_text('"V1","V2","V3","V4"\n"H1","605","586.5",\n"H2","1","2","3"\n')
    (tmp_path / "Hourly-test.csv").write_text('"V1","V2","V3"\n"H2","7","8"\n"H1","5","6"\n')
    (tmp_path / "Weekly-train.csv").write_text('"V1","V2","V3"\n"W1","1","2"\n')
    (tmp_path / "Weekly-test.csv").write_text('"V1","V2"\n"W1","3"\n')
    tables = prepare(tmp_path)
    assert list(tables) == ["m4_hourly_train", "m4_hourly_test", "m4_weekly_train", "m4_weekly_test"]
    assert rows(tables["m4_hourly_train"]) == [
        ("H1", "2015-01-05 00:00:00", 605.0),
        ("H1", "2015-01-05 01:00:00", 586.5),
        ("H2", "2015-01-05 00:00:00", 1.0),
        ("H2", "2015-01-05 01:00:00", 2.0),
        ("H2", "2015-01-05 02:00:00", 3.0),
    ]
    assert rows(tables["m4_hourly_test"]) == [
        ("H2", "2015-01-05 03:00:00", 7.0),
        ("H2", "2015-01-05 04:00:00", 8.0),
        ("H1", "2015-01-05 02:00:00", 5.0),
        ("H1", "2015-01-05 03:00:00", 6.0),
    ]
    assert rows(tables["m4_weekly_test"]) == [("W1", "2015-01-18 00:00:00", 3.0)]


def test_tourism_files_tell_when_each_series_starts(tmp_path: Path) -> None:
    (tmp_path / "monthly_in.csv").write_text("m1,m2\n3,2\n1979,1985\n11,1\n10.5,1\n11,2\n12,\n")
    (tmp_path / "monthly_oos.csv").write_text("m1,m2\n1,1\n1980,1985\n2,3\n13,3\n")
    (tmp_path / "quarterly_in.csv").write_text("q1\n2\n1991\n4\n5\n6\n")
    (tmp_path / "quarterly_oos.csv").write_text("q1\n1\n1992\n2\n7\n")
    tables = prepare(tmp_path)
    assert rows(tables["tourism_monthly_train"]) == [
        ("m1", "1979-11-01 00:00:00", 10.5),
        ("m1", "1979-12-01 00:00:00", 11.0),
        ("m1", "1980-01-01 00:00:00", 12.0),
        ("m2", "1985-01-01 00:00:00", 1.0),
        ("m2", "1985-02-01 00:00:00", 2.0),
    ]
    assert rows(tables["tourism_monthly_test"])[0] == ("m1", "1980-02-01 00:00:00", 13.0)
    assert [time for _, time, _ in rows(tables["tourism_quarterly_train"])] == [
        "1991-10-01 00:00:00",
        "1992-01-01 00:00:00",
    ]
    assert rows(tables["tourism_quarterly_test"]) == [("q1", "1992-04-01 00:00:00", 7.0)]


def test_electricity_keeps_its_covariates_in_utc(tmp_path: Path) -> None:
    (tmp_path / "vic_electricity.csv").write_text(
        "Time,Demand,Temperature,Date,Holiday\n2011-12-31T13:00:00Z,4382.8,21.4,2012-01-01,True\n"
    )
    (frame,) = prepare(tmp_path).values()
    assert frame.astype(str).to_numpy().tolist() == [["victoria", "2011-12-31 13:00:00", "4382.8", "21.4", "1"]]


def test_sets_whose_files_are_not_there_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "Hourly-train.csv").write_text('"V1","V2"\n"H1","605"\n')
    assert prepare(tmp_path) == {}
