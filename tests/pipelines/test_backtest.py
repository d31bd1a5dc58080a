"""`forecast backtest`: everyone on the same windows, as files and as runs."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

from forecast import Forecaster, SeasonalNaive, read_series  # noqa: E402
from forecast.backtest import backtest  # noqa: E402
from tests.conftest import run_forecast  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

TINY = Path(__file__).parents[1] / "fixtures" / "tiny-lstm"  # hourly, 24 steps ahead
RECIPE = """
network: {kind: gru, hidden_size: 8}
context_length: 48
training: {max_epochs: 1, batches_per_epoch: 2, batch_size: 16}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with three series, a recipe and a saved model."""
    folder = tmp_path_factory.mktemp("backtest")
    hours = np.arange(24 * 20)
    random = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "item_id": f"s{k}",
                "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(hours, "h"),
                "target": 100 + 20 * np.sin(2 * np.pi * hours / 24) + 5 * random.normal(size=len(hours)),
            }
        )
        for k in range(3)
    ]
    pd.concat(frames).to_parquet(folder / "data.parquet")
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    who = ["--model", str(TINY), "--recipe", "tiny.yaml", "--baselines", "naive,seasonal_naive,auto_ets"]
    windows = ["--windows", "3", "--step", "12", "--refit"]
    done = run_forecast(folder, "backtest", "--data", "data.parquet", *who, *windows, "--output", "out/first")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


EVERYONE = {str(TINY), "recipe tiny.yaml (gru)", "naive", "seasonal naive 24", "seasonal naive 168", "auto_ets"}


def test_the_figures_are_those_of_the_library(output: str, folder: Path):
    table = read_series(folder / "data.parquet")
    models = {str(TINY): Forecaster.load(TINY), "seasonal naive 24": SeasonalNaive(24)}
    expected = backtest(models, table, prediction_length=24, windows=3, step=12)
    found = pd.read_csv(folder / "out/first/leaderboard.csv", index_col="model")
    assert set(found.index) == EVERYONE
    assert found["mase"].is_monotonic_increasing
    for name in models:
        assert found.loc[name, "mase"] == pytest.approx(expected.metrics(name)["mase"])
        ahead = pd.read_parquet(folder / "out/first/per_lead_time.parquet").query("model == @name")
        assert ahead["mase"].tolist() == pytest.approx(expected.per_lead_time(name)["mase"].tolist())
        series = pd.read_parquet(folder / "out/first/per_series.parquet").query("model == @name")
        assert series["mase"].tolist() == pytest.approx(expected.per_series(name)["mase"].tolist())
        rows = pd.read_parquet(folder / "out/first/forecasts.parquet").query("model == @name")
        np.testing.assert_allclose(rows["0.5"], expected.frame(name)["0.5"], rtol=1e-5)


def test_every_file_holds_everyone(output: str, folder: Path):
    for name in ("per_series", "per_lead_time", "windows", "forecasts"):
        assert set(pd.read_parquet(folder / f"out/first/{name}.parquet")["model"]) == EVERYONE
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["first"]


def test_the_report_reads_from_top_to_bottom(output: str, folder: Path):
    report = (folder / "out/first/report.md").read_text()
    assert "9 windows of 24 steps from 3 series of data.parquet: 3 at each series' end, 12 steps apart" in report
    assert "recipes trained anew before each" in report
    assert f"it is not recorded what {TINY} has learnt from" in report
    assert "it is not recorded what" in output
    for heading in ("Everyone on the same windows", "MASE by lead time", "erred most", "Pictures"):
        assert heading in report
    page = (folder / "out/first/pictures.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 4


def test_the_run_holds_a_run_for_each(output: str, folder: Path):
    client = mlflow.MlflowClient(f"sqlite:///{folder}/.forecast/mlflow.db")
    experiment = client.get_experiment_by_name("backtest").experiment_id
    runs = client.search_runs([experiment])
    assert {run.info.status for run in runs} == {"FINISHED"}
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    nested = {run.data.tags["model"]: run for run in runs if run is not parent}
    assert set(nested) == EVERYONE
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in nested.values())
    found = pd.read_csv(folder / "out/first/leaderboard.csv", index_col="model")
    for name, run in nested.items():
        assert run.data.metrics["backtest/mase"] == pytest.approx(found.loc[name, "mase"])
        assert len(client.get_metric_history(run.info.run_id, "lead_time/mase")) == 24
    assert parent.data.params["number"] == "3"
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} >= {
        "report.md",
        "forecasts.parquet",
        "pictures.html",
    }
    assert [one.dataset.name for one in parent.inputs.dataset_inputs] == ["data.parquet"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--output", "out/first"], ["out/first", "exists", "new folder"]),
        (["--output", "new"], ["--prediction-length"]),
        (["--output", "new", "--prediction-length", "24", "--baselines", "prophet"], ["'prophet'", "auto_ets"]),
        (["--output", "new", "--prediction-length", "24", "--baselines", ""], ["nobody to judge"]),
        (["--output", "new", "--prediction-length", "24", "--refit"], ["--recipe"]),
        (["--output", "new", "--model", "nobody@champion"], ["nobody@champion"]),
        (["--output", "new", "--prediction-length", "5000"], ["no series is long enough"]),
        (["--output", "data.parquet/new", "--prediction-length", "24"], ["data.parquet/new", "cannot be written"]),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(words: list[str], expected: list[str], output: str, folder: Path):
    done = run_forecast(folder, "backtest", "--data", "data.parquet", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for part in ["error:", *expected]:
        assert part in done.stderr
    assert not (folder / "new").exists()
