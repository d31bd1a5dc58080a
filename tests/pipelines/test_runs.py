"""What a run holds, read back through MLflow's client: description, pictures, datasets, and metrics of the model."""

import json
import threading
import time
import warnings
from io import StringIO
from pathlib import Path

import pytest

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE  # noqa: E402
from rich.console import Console  # noqa: E402

from forecast import Forecaster, TrainingConfig, read_series  # noqa: E402
from forecast.errors import ParameterError  # noqa: E402
from pipelines.record import RunMetrics, complete  # noqa: E402
from pipelines.record.datasets import dataset  # noqa: E402
from pipelines.record.note import training_note  # noqa: E402
from pipelines.settings import DataConfig  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


@pytest.fixture(scope="module")
def client(trained: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{trained}/.forecast/mlflow.db")


@pytest.fixture(scope="module")
def run(client: mlflow.MlflowClient) -> mlflow.entities.Run:
    version = client.get_model_version("counts", "1")
    return client.get_run(version.run_id)


def test_the_description_reads_like_a_report(run: mlflow.entities.Run, table_path: Path) -> None:
    note, metrics = run.data.tags["mlflow.note.content"], run.data.metrics
    assert note.startswith("**gru** forecasts **counts** 24 steps ahead (1 day). It is **")
    assert f"MASE {metrics['backtest/mase']:.3f} against {metrics['baseline/mase']:.3f}" in note
    headings = [line for line in note.splitlines() if line.startswith("###")]
    assert headings == ["### Inside the network", "### How good", "### Data", "### What to look at next"]
    assert f"2 series of `{table_path}`, from 2016-10-03 00:00:00 to 2016-12-31 23:00:00, a value every hour" in note
    assert "`pictures.html` among the artifacts shows:" in note
    assert "80% intervals hold" in note
    assert 'forecast promote "counts" --history' in note


def test_the_pictures_are_an_artifact_and_their_titles_are_in_the_description(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, tmp_path: Path
) -> None:
    page = Path(client.download_artifacts(run.info.run_id, "pictures.html", str(tmp_path))).read_text(encoding="utf-8")
    assert page.count("<h2>") == 5
    _, _, last = run.data.tags["mlflow.note.content"].partition("### What to look at next")
    listed = [line[2:] for line in last.splitlines() if line.startswith("- ")]
    for title in listed[:5]:
        assert f"<h2>{title.replace(chr(39), '&#x27;')}</h2>" in page


def test_the_data_are_inputs_with_digest_schema_and_context(run: mlflow.entities.Run, table_path: Path) -> None:
    inputs = {one.tags[0].value: one.dataset for one in run.inputs.dataset_inputs}
    assert set(inputs) == {"training", "evaluation"}
    whole = inputs["evaluation"]
    assert whole.name == table_path.name
    assert run.data.tags["data.sha256"].startswith(whole.digest)
    assert inputs["training"].digest != whole.digest
    columns = json.loads(whole.schema)["mlflow_colspec"]
    assert [(one["name"], one["type"]) for one in columns] == [
        ("item_id", "string"),
        ("timestamp", "datetime"),
        ("target", "double"),
    ]
    assert json.loads(whole.source) == {"uri": str(table_path)}
    assert json.loads(whole.profile)["series"] == 2
    assert json.loads(inputs["training"].profile)["end"] < json.loads(whole.profile)["end"]


def test_metrics_belong_to_the_model_and_to_the_data(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> None:
    model = client.get_logged_model(run.data.tags["model.uri"].removeprefix("models:/"))
    found = {metric.key: metric for metric in model.metrics if metric.key.startswith("backtest/")}
    assert set(found) == {f"backtest/{name}" for name in ("mase", "rmsse", "smape", "wql", "coverage80")}
    digest = run.data.tags["data.sha256"]
    for name, metric in found.items():
        assert metric.value == run.data.metrics[name]
        assert digest.startswith(metric.dataset_digest)


def test_the_version_says_how_good_it_is(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> None:
    version = client.get_model_version("counts", "1")
    for name in ("mase", "rmsse", "smape", "wql", "coverage80"):
        assert float(version.tags[name]) == pytest.approx(run.data.metrics[f"backtest/{name}"], abs=1e-4)
    assert version.tags["network"] == "gru"
    assert version.tags["prediction_length"] == "24"
    assert version.description.startswith("gru, 24 steps ahead. It is **")
    assert "champion" in client.get_registered_model("counts").description


def test_runs_can_be_filtered_by_the_live_model(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> None:
    live = client.get_registered_model("counts").aliases.get("champion")
    found = client.search_runs([run.info.experiment_id], "tags.champion = 'counts'")
    expected = [client.get_model_version("counts", live).run_id] if live else []
    assert [one.info.run_id for one in found] == expected


def test_the_mark_moves_with_the_champion_and_back(tmp_path: Path) -> None:
    from pipelines.history import mark_runs

    store = mlflow.MlflowClient(f"sqlite:///{tmp_path}/marks.db")
    experiment = store.create_experiment("sales")
    store.create_registered_model("sales")
    runs = [store.create_run(experiment).info.run_id for _ in range(2)]
    for run_id in runs:
        store.create_model_version("sales", f"file://{tmp_path}", run_id)
    for before, now in ((None, "1"), ("1", "2"), ("2", "1"), ("1", "1"), ("7", "2")):
        mark_runs(store, "sales", before, now)
        marked = {one.info.run_id for one in store.search_runs([experiment], "tags.champion = 'sales'")}
        assert runs[int(now) - 1] in marked
        assert len(marked) == (2 if before == "7" else 1)  # a version that is gone cannot be told of


def test_findings_about_the_network_come_first() -> None:
    from forecast import SeasonalNaive
    from forecast.backtest import backtest
    from pipelines.evaluation import THIS, scores
    from pipelines.settings import TrainConfig
    from tests.pipelines.test_pictures import frame

    result = backtest(
        {THIS: SeasonalNaive(24, 6), "naive": SeasonalNaive(1, 6)}, read_series(frame(2, 99)), prediction_length=6
    )
    config = TrainConfig.build(name="sales", data={"path": "sales.csv"}, forecaster={"prediction_length": 6})
    words = ["A third of the units are never active.", "The last layer learns slowly."]
    note = training_note(config, scores(result), result, [], words)
    assert note.index("### Inside the network\n\n- A third of") < note.index("- The last layer") < note.index("### How")
    assert "Inside the network" not in training_note(config, scores(result), result, [])


def test_a_slow_store_does_not_hold_up_the_training_and_loses_nothing(tmp_path: Path, table_path: Path) -> None:
    client, run_id = _store(tmp_path)
    send, sent = client.log_batch, []

    def slowly(*words: object, **more: object) -> None:
        time.sleep(0.5)
        sent.append(threading.current_thread().name)
        send(*words, **more)

    client.log_batch = slowly
    with RunMetrics(client, run_id) as metrics:
        model = _model(6).fit(read_series(table_path), [metrics.curves()])
    assert [point.step for point in client.get_metric_history(run_id, "train/loss")] == list(range(len(model.history)))
    assert set(sent) == {"run metrics"}
    assert len(sent) < len(model.history)  # what came while a request was on its way went together


def test_nothing_is_lost_when_the_training_fails(tmp_path: Path) -> None:
    from mlflow.entities import Metric

    client, run_id = _store(tmp_path)
    points = [Metric("train/loss", 1.0, 1, step) for step in range(2500)]
    with pytest.raises(ValueError, match="broken"), RunMetrics(client, run_id) as metrics:
        _send_and_raise(metrics, points, ValueError("broken"))
    assert len(client.get_metric_history(run_id, "train/loss")) == 2500


def test_errors_of_the_store_end_the_training(tmp_path: Path, table_path: Path) -> None:
    client, _ = _store(tmp_path)
    with pytest.raises(ParameterError, match="there is no run 'nowhere'"), RunMetrics(client, "nowhere") as metrics:
        _model(6).fit(read_series(table_path), [metrics.curves()])


def test_a_store_that_is_away_is_tried_again_and_the_training_goes_on(tmp_path: Path, table_path: Path) -> None:
    client, run_id = _store(tmp_path)
    send, away = client.log_batch, threading.Event()
    away.set()

    def perhaps(*words: object, **more: object) -> None:
        if away.is_set():
            raise MlflowException("nobody there", error_code=TEMPORARILY_UNAVAILABLE)
        send(*words, **more)

    client.log_batch = perhaps
    with RunMetrics(client, run_id, Console(file=(said := StringIO()))) as metrics:
        model = _model(6).fit(read_series(table_path), [metrics.curves()])
        away.clear()
    assert said.getvalue() == "the tracking store does not answer: trying again\n"
    assert [point.step for point in client.get_metric_history(run_id, "train/loss")] == list(range(len(model.history)))
    away.set()
    points, begin = client.get_metric_history(run_id, "train/loss"), time.monotonic()
    with pytest.raises(KeyboardInterrupt), RunMetrics(client, run_id) as metrics:
        _send_and_raise(metrics, points, KeyboardInterrupt())  # who stops a training does not want to wait
    assert time.monotonic() - begin < 1


def test_epochs_that_were_not_sent_are_completed(tmp_path: Path) -> None:
    client, run_id = _store(tmp_path)
    history = [
        {"member": member, "epoch": epoch, "train_loss": 1.0, "val_loss": 2.0, "learning_rate": 0.1}
        for member in range(2)
        for epoch in range(3)
    ]
    client.log_metric(run_id, "train/loss 01", 1.0, step=0)
    complete(client, run_id, history, 2)
    for member in ("01", "02"):
        for name in ("train/loss", "validation/loss", "train/learning_rate"):
            assert [one.step for one in client.get_metric_history(run_id, f"{name} {member}")] == [0, 1, 2]


def test_a_dataset_names_covariates_and_no_password(table_path: Path) -> None:
    found = dataset(DataConfig(path="postgresql://me:secret@host/sales", target="units"), read_series(table_path))
    assert "secret" not in found.source + found.name
    assert [one["name"] for one in json.loads(found.schema)["mlflow_colspec"]] == ["item_id", "timestamp", "units"]


def _send_and_raise(metrics: RunMetrics, points: "list[mlflow.entities.Metric]", error: BaseException) -> None:
    metrics.send(points)
    raise error


def _store(folder: Path) -> tuple[mlflow.MlflowClient, str]:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    return client, client.create_run(client.create_experiment("curves")).info.run_id


def _model(epochs: int) -> Forecaster:
    training = TrainingConfig(max_epochs=epochs, batches_per_epoch=3, batch_size=16, patience=epochs)
    return Forecaster("feedforward", 24, training=training)
