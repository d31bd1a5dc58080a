"""`forecast train` and `predict` with covariates, and the same model through MLflow."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.conftest import QUICK, run_forecast
from tests.forecast.test_covariate_forecasts import FUTURE, PAST

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

COLUMNS = ["--known", "price,event", "--past", "visits", "--static", "region"]
DAY = FUTURE.groupby("item_id", sort=False).head(24)
PREDICT = ["predict", "--model", "sales/1", "--data", "past.parquet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder in which a model with covariates was trained."""
    folder = tmp_path_factory.mktemp("covariates")
    PAST.to_parquet(folder / "past.parquet")
    DAY.to_csv(folder / "future.csv", index=False)
    words = ["train", "--data", "past.parquet", "--network", "feedforward", "--prediction-length", "24"]
    quick = [word for setting in QUICK for word in ("--set", setting)]
    done = run_forecast(folder, *words, "--name", "sales", *COLUMNS, *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def by_command(folder: Path) -> pd.DataFrame:
    done = run_forecast(folder, *PREDICT, "--future", "future.csv", "--output", "out.parquet")
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(folder / "out.parquet")


def test_a_file_is_forecast_with_what_is_known_of_its_future(by_command: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        by_command[["item_id", "timestamp"]], DAY[["item_id", "timestamp"]].reset_index(drop=True)
    )
    assert np.isfinite(by_command["0.5"]).all()


def test_without_the_future_the_message_says_what_is_needed(folder: Path) -> None:
    done = run_forecast(folder, *PREDICT, "--output", "none.parquet")
    assert done.returncode == 2
    assert "'shop 0' lacks price, event of 2024-01-19 00:00:00: 24 steps after its end are needed" in done.stderr
    assert "--future on the command line" in done.stderr
    assert not (folder / "none.parquet").exists()


def test_a_column_that_is_not_there_is_named_before_any_training(folder: Path) -> None:
    words = ["train", "--data", "past.parquet", "--prediction-length", "24", "--name", "other"]
    done = run_forecast(folder, *words, "--known", "price,weather")
    assert done.returncode == 2
    assert "there is no column 'weather', a covariate; found 'item_id', 'timestamp', 'target', 'price'" in done.stderr


def test_the_run_says_what_was_read(folder: Path, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/.forecast/mlflow.db")
    run = client.search_runs([client.get_experiment_by_name("sales").experiment_id])[0]
    assert run.data.params["forecaster.covariates.known"] == "['price', 'event']"
    resolved = yaml.safe_load(
        Path(client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path))).read_text()
    )
    assert resolved["covariates"]["categories"] == {"event": ["fair"], "region": ["north", "south"]}


def test_mlflow_takes_one_table_that_goes_on_without_a_target(folder: Path, by_command: pd.DataFrame) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{folder}/.forecast/mlflow.db")
    model = mlflow.pyfunc.load_model("models:/sales/1")
    columns = {column.name: (column.type.name, column.required) for column in model.metadata.signature.inputs}
    assert columns["price"] == ("double", False)
    assert columns["event"] == columns["region"] == ("string", False)
    answer = model.predict(pd.concat([PAST, DAY], ignore_index=True))
    np.testing.assert_allclose(answer["0.5"], by_command["0.5"], rtol=1e-5)
    assert answer["timestamp"].tolist() == by_command["timestamp"].tolist()


def test_data_digest_tells_covariates_apart() -> None:
    from forecast import CovariatesConfig, read_series
    from pipelines.record import data_digest

    known, static = CovariatesConfig(known=("price",)), CovariatesConfig(static=("region",))
    digests = {
        data_digest(read_series(frame, covariates=covariates))
        for frame, covariates in (
            (PAST, None),
            (PAST, known),
            (PAST.assign(price=PAST["price"] + 1), known),
            (PAST, static),
            (PAST.assign(region=PAST["region"].str.upper()), static),
        )
    }
    assert len(digests) == 5
