"""Series from folders, globs, fsspec addresses and a real PostgreSQL are those of one file; faults are told plainly."""

import re
import shlex
from pathlib import Path

import fsspec
import pandas as pd
import pytest
import sqlalchemy as sa

from forecast.columns import Names
from forecast.config import CovariatesConfig
from forecast.errors import DataError, ForecastError, ParameterError
from forecast.table import SeriesTable
from pipelines.data.address import without_secrets
from pipelines.data.read import read_data
from pipelines.predict.rows import open_rows, read_all
from pipelines.record import data_digest
from pipelines.settings import DataConfig, TrainConfig, as_written
from tests.conftest import QUICK, run_forecast

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


def read(path: str | Path, **given: str) -> SeriesTable:
    return read_data(DataConfig(path=str(path), **given), CovariatesConfig())


@pytest.fixture(scope="module")
def frame(table_path: Path) -> pd.DataFrame:
    return pd.read_parquet(table_path).assign(item_id=lambda one: one["item_id"].astype(str))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, frame: pd.DataFrame) -> Path:
    """The table as a file for each series; one lies deeper."""
    place = tmp_path_factory.mktemp("parts")
    (place / "2016").mkdir()
    (place / ".hidden.parquet").write_text("no Parquet")
    first, second = (part for _, part in frame.groupby("item_id", sort=False, observed=True))
    first.to_parquet(place / "a.parquet")
    second.assign(extra=1).to_parquet(place / "2016" / "b.parquet")
    return place


@pytest.mark.parametrize("form", ["{}", "{}/**/*.parquet", "file://{}"])
def test_a_folder_and_a_glob_are_the_series_of_their_files(folder: Path, table_path: Path, form: str) -> None:
    table = read(form.format(folder))
    assert sorted(table.item_ids) == sorted(read(table_path).item_ids)
    assert table.observed.sum() == read(table_path).observed.sum()
    rows = open_rows(form.format(folder), Names())
    assert rows.streamed
    assert rows.count == read_all(rows).num_rows == len(pd.read_parquet(table_path))


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_an_address_of_fsspec_gives_the_numbers_of_the_file(table_path: Path, frame: pd.DataFrame, suffix: str) -> None:
    with fsspec.open(f"memory://counts.{suffix}", "wb") as file:
        frame.to_parquet(file) if suffix == "parquet" else frame.to_csv(file, index=False)
    assert data_digest(read(f"memory://counts.{suffix}")) == data_digest(read(table_path))
    assert open_rows(f"memory://counts.{suffix}", Names()).count == len(frame)


def test_a_query_and_a_table_of_postgresql_give_the_numbers_of_the_file(
    database_url: str, table_path: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    engine = sa.create_engine(database_url)
    frame.to_sql("counts", engine, index=False, chunksize=1000, method="multi")
    engine.dispose()
    expected = data_digest(read(table_path))
    assert data_digest(read(database_url, query="counts")) == expected
    query = "select item_id, timestamp, target::numeric, '100% :x' as note from counts"
    assert data_digest(read(database_url, query=query)) == expected
    for wrong, said in (("select nothing from counts", "nothing"), ("elsewhere", "there is no table 'elsewhere'")):
        with pytest.raises(DataError, match=said):
            read(database_url, query=wrong)
    with pytest.raises(DataError, match="there are no rows"):
        read(database_url, query=f"{query} where false")
    with pytest.raises(ParameterError, match="--query is missing"):
        read(database_url)


@pytest.mark.slow
def test_every_command_reads_a_database_and_keeps_its_password_to_itself(
    database_url: str, frame: pd.DataFrame, tmp_path: Path
) -> None:
    engine = sa.create_engine(database_url)
    frame.to_sql("counts", engine, index=False, chunksize=1000, method="multi")
    engine.dispose()
    secret = database_url.replace("postgres:@", "postgres:pass-word@").replace("+psycopg", "")
    (block,) = re.findall(r"```bash\n(.*?)```", DOCS.read_text(), re.DOTALL)
    train, predict = block.replace("postgresql://me@host/sales", secret).splitlines()
    quick = ["--network", "gru", *(word for one in QUICK for word in ("--set", one))]
    train, predict = shlex.split(train)[1:], shlex.split(predict)[1:]
    tune = ["tune", *train[1:], *quick, "--trials", "1", "--output", "tuned.yaml"]
    retrain = ["retrain", train[train.index("--name") + 1], "--data", secret, "--query", "counts"]
    for words in ([*train, *quick], predict, tune, retrain):
        done = run_forecast(tmp_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "pass-word" not in done.stdout + done.stderr
    assert len(pd.read_parquet(tmp_path / "forecasts.parquet")) == 2 * 24
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"pass-word" not in path.read_bytes(), path


def test_faults_are_one_clear_error(folder: Path, tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(tmp_path / "a.parquet")
    frame.drop(columns="target").to_parquet(tmp_path / "b.parquet")
    cases: list[tuple[str, str | None, type[ForecastError], str]] = [
        (str(tmp_path), None, DataError, "b.parquet': there is no column 'target'"),
        (f"{folder}/*.orc", None, DataError, "there is no Parquet or CSV file at"),
        ("memory://nowhere.parquet", None, DataError, "there is no Parquet or CSV file at"),
        ("s3://bucket/counts.parquet", None, ParameterError, "s3fs"),
        ("sqlite:///nowhere.db", "counts", DataError, "there is no database file 'nowhere.db'"),
        ("postgresql://me:hidden@127.0.0.1:1/counts", "counts", DataError, "me@127.0.0.1:1/counts' does not answer"),
        ("counts.parquet", "counts", ParameterError, "is not a database's address"),
    ]
    for path, query, kind, said in cases:
        with pytest.raises(kind) as caught:
            read_data(DataConfig(path=path, query=query), CovariatesConfig())
        assert said in str(caught.value)
        assert "hidden" not in str(caught.value)
    done = run_forecast(
        tmp_path, "train", "--data", "sqlite:///no.db", "--query", "x", "--name", "n", "--prediction-length", "24"
    )
    assert (done.returncode, done.stdout.count("\n")) == (2, 1)
    assert not (tmp_path / "no.db").exists()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:se/c@ret@host/db?sslmode=require&sslpassword=x", "postgresql://me@host/db?sslmode=require"),
        ("https://host/a.csv?sig=abc&part=1", "https://host/a.csv?part=1"),
        ("s3://bucket/a.parquet", "s3://bucket/a.parquet"),
        ("a:b@c.parquet", "a:b@c.parquet"),
    ],
)
def test_what_is_secret_in_an_address_is_not_recorded(address: str, shown: str) -> None:
    assert without_secrets(address) == shown
    config = TrainConfig.build(name="n", data={"path": address}, forecaster={"prediction_length": 24})
    assert config.data.path == address
    assert f"path: {shown}\n" in as_written(config)
