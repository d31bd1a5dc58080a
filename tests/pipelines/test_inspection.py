"""A look inside as files: the page, the summary and the tables of every network; as a command; and of every run."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, NetworkConfig, SeriesTable, TrainingConfig, read_series
from forecast.inspection import GradientRecorder, inspect_forecast
from pipelines.inspection import HEALTHY, Seen, in_words, look, write_report
from tests.conftest import QUICK, run_forecast

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

TINY = Path(__file__).parents[1] / "fixtures" / "tiny-lstm"
KINDS = ("feedforward", "cnn", "rnn", "gru", "lstm")
VIEWS = {
    "gates": ("gru", "lstm"),
    "forget_times": ("gru", "lstm"),
    "state_gradients": ("rnn", "gru", "lstm"),
    "spectra": ("rnn", "gru", "lstm"),
    "responses": ("cnn",),
    "connectivity": KINDS,
    "training": KINDS,
    "forecast_explanation": KINDS,
    "forecast_similar": KINDS,
    "forecast_states": ("rnn", "gru", "lstm"),
}


@pytest.fixture(scope="module")
def hourly() -> pd.DataFrame:
    hours = np.arange(24 * 40)
    noise = np.random.default_rng(0).normal(0, 5, (2, len(hours)))
    wave = 100 + 20 * np.sin(2 * np.pi * hours / 24) + noise
    times = pd.date_range("2024-01-01", periods=len(hours), freq="h")
    return pd.concat([pd.DataFrame({"item_id": f"shop {k}", "timestamp": times, "target": wave[k]}) for k in range(2)])


@pytest.fixture(scope="module")
def table(hourly: pd.DataFrame) -> SeriesTable:
    return read_series(hourly)


def trained(kind: str, table: SeriesTable, **training: float) -> tuple[Forecaster, GradientRecorder]:
    settings = {"max_epochs": 1, "batches_per_epoch": 12, "batch_size": 32, **training}
    recorder = GradientRecorder()
    model = Forecaster(NetworkConfig(kind=kind, hidden_size=8), 12, 48)
    model.config = model.config.model_copy(update={"training": TrainingConfig().model_copy(update=settings)})
    return model.fit(table, [recorder]), recorder


@pytest.fixture(scope="module")
def seen_of(table: SeriesTable) -> dict[str, Seen]:
    found = {}
    for kind in KINDS:
        model, recorder = trained(kind, table)
        found[kind] = look(model, table, 1, recorder.trainings)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_one_page_that_opens_offline_with_its_numbers_beside_it(
    kind: str, seen_of: dict[str, Seen], table: SeriesTable, tmp_path: Path
) -> None:
    seen = seen_of[kind]
    write_report(tmp_path, f"Inside {kind}", seen, table.frequency)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page)
    assert not re.search(r"<h2>[^<]*\bnan\b", page)
    assert "One forecast explained" in page
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert next(iter(summary)) == "findings"
    assert [one["code"] for one in summary["findings"]] == [finding.code for finding in seen.findings]
    for view, kinds in VIEWS.items():
        path = tmp_path / f"{view}.parquet"
        assert path.exists() == (kind in kinds), view
        if path.exists():
            assert (pd.read_parquet(path)["member"] == kind).all()


def test_what_is_wrong_is_said_first_with_its_number(table: SeriesTable, tmp_path: Path) -> None:
    model, recorder = trained("lstm", table, learning_rate=4.0)
    seen = look(model, table, trainings=recorder.trainings)
    assert "learning-rate-too-high" in [finding.code for finding in seen.findings]
    write_report(tmp_path, "Inside", seen, table.frequency)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    begin = page.index("Findings")
    assert "learning-rate-too-high" in page[begin : begin + 3000]
    assert HEALTHY not in page
    assert seen.scalars()["inspection/serious"] >= 1
    sentence = next(in_words(one) for one in seen.findings if one.code == "learning-rate-too-high")
    assert re.search(r"by up to [\d.,]+% of their size", sentence)


def test_an_ensemble_is_looked_at_network_by_network(table: SeriesTable, tmp_path: Path) -> None:
    members = [{"network": {"kind": kind, "hidden_size": 8}} for kind in ("lstm", "cnn")]
    training = TrainingConfig(max_epochs=1, batches_per_epoch=5, batch_size=32)
    model = Forecaster(prediction_length=12, context_length=48, training=training, members=members).fit(table)
    write_report(tmp_path, "Inside", look(model, table), table.frequency)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Network 1 lstm" in page
    assert "One forecast explained: network 2 cnn" in page
    assert set(pd.read_parquet(tmp_path / "connectivity.parquet")["member"]) == {"1 lstm", "2 cnn"}


def test_a_full_look_tries_other_learning_rates_and_optimizers(table: SeriesTable, tmp_path: Path) -> None:
    model, recorder = trained("feedforward", table)
    seen = look(model, table, 0, recorder.trainings, full=True)
    write_report(tmp_path, "Inside", seen, table.frequency)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert set(summary["optimizers"]) == {"sgd", "adam", "rmsprop"}
    assert summary["members"][0]["learning_rate"]["low"] < summary["members"][0]["learning_rate"]["high"]
    assert len(summary["landscapes"]) == 1


def test_one_forecast_is_that_of_the_network_and_its_parts_line_up(table: SeriesTable) -> None:
    model, _ = trained("gru", table)
    (seen,) = inspect_forecast(model.config, model.network, table, 1)
    assert seen.item_id == "shop 1"
    assert len(seen.times) == 48 + 12
    np.testing.assert_array_equal(
        seen.history, table.values[table.offsets[1] :][table.lengths[1] - 48 : table.lengths[1]]
    )
    assert seen.times[48] == pd.Timestamp("2024-02-10")
    # what integrated gradients add up to is the forecast itself
    assert seen.attribution.forecast[0] == pytest.approx(seen.median.mean(), rel=1e-4)
    parts = seen.table()
    assert parts["attribution"].sum() == pytest.approx(
        seen.attribution.forecast[0] - seen.attribution.baseline[0], rel=0.02, abs=0.05
    )


def test_the_command_writes_a_report_and_prints_nothing_but_json(hourly: pd.DataFrame, tmp_path: Path) -> None:
    hourly.to_parquet(tmp_path / "data.parquet")
    words = ["inspect", "--model", str(TINY), "--data", "data.parquet", "--item", "shop 1", "--output", "out", "--json"]
    done = run_forecast(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["forecasts"][0]["item_id"] == "shop 1"
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summary
    assert (tmp_path / "out" / "report.html").exists()
    assert "reading data.parquet" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--item", "shop1", "--json"], "there is no series 'shop1'; did you mean 'shop 1'?"),
        ([], "neither --output nor --json is given; say --output DIR, --json or both"),
        (["--output", "."], "--output '.' exists; name a new folder"),
    ],
)
def test_the_command_names_a_mistake(hourly: pd.DataFrame, tmp_path: Path, words: list[str], said: str) -> None:
    hourly.to_parquet(tmp_path / "data.parquet")
    done = run_forecast(tmp_path, "inspect", "--model", str(TINY), "--data", "data.parquet", *words)
    assert (done.returncode, done.stdout.count("{")) == (2, 0)
    assert said in done.stderr


def test_a_run_holds_what_was_seen_inside(trained: Path, tmp_path: Path) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{trained}/.forecast/mlflow.db")
    run = client.get_run(client.get_model_version("counts", "1").run_id)
    folder = Path(client.download_artifacts(run.info.run_id, "inspection", str(tmp_path)))
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["members"][0]["training"]["steps"] > 0  # the gradients were watched while it was trained
    assert summary["members"][0]["curve"]["epochs"] == 2
    counts = [run.data.metrics[f"inspection/{severity}"] for severity in ("serious", "warning", "note")]
    assert sum(counts) == len(summary["findings"])
    assert run.data.metrics["inspection/update_ratio"] > 0
    note, said = run.data.tags["mlflow.note.content"], (trained / "train.out").read_text()
    for finding in summary["findings"]:
        assert finding["code"] in note
        assert finding["code"] in said
    assert "`inspection/report.html` among the artifacts" in note


def test_nobody_looks_where_that_is_off(table_path: Path, tmp_path: Path) -> None:
    words = ["train", "--data", str(table_path), "--network", "feedforward", "--prediction-length", "24"]
    words += ["--name", "off", "--inspect", "off", "--set", "evaluation.refit=false"]
    done = run_forecast(tmp_path, *words, *(word for setting in QUICK for word in ("--set", setting)))
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/.forecast/mlflow.db")
    run = client.get_run(client.get_model_version("off", "1").run_id)
    assert "inspection" not in [one.path for one in client.list_artifacts(run.info.run_id)]
    assert "Inside the network" not in run.data.tags["mlflow.note.content"]
