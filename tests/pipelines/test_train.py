"""`forecast train`: what a run holds, what is registered, and who becomes champion."""

import signal
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import QUICK, clean_environment, run_forecast

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

from forecast import Forecaster, read_series  # noqa: E402
from forecast.pyfunc import saved_folder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own


@pytest.fixture(scope="module")
def client(trained: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{trained}/.forecast/mlflow.db")


@pytest.fixture(scope="module")
def run(client: mlflow.MlflowClient) -> mlflow.entities.Run:
    experiment = client.get_experiment_by_name("counts")
    return client.search_runs([experiment.experiment_id])[0]


def download(client: mlflow.MlflowClient, folder: Path) -> Path:
    mlflow.set_tracking_uri(client.tracking_uri)
    return Path(mlflow.artifacts.download_artifacts("models:/counts/1", dst_path=str(folder)))


def test_the_run_is_finished_and_named_after_its_network(run: mlflow.entities.Run) -> None:
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "gru h24 seed0"


def test_the_run_holds_settings_data_and_code(run: mlflow.entities.Run, table_path: Path) -> None:
    assert run.data.params["forecaster.network.hidden_size"] == "16"
    assert run.data.params["forecaster.training.seed"] == "0"
    assert run.data.params["data.path"] == str(table_path)
    tags = run.data.tags
    assert tags["data.frequency"] == "h"
    assert tags["data.start"] == "2016-10-03 00:00:00"
    assert len(tags["data.sha256"]) == 64
    assert tags["package.torch"]
    assert "better" in tags["mlflow.note.content"]


def test_losses_are_logged_by_epoch(client: mlflow.MlflowClient, run: mlflow.entities.Run) -> None:
    for name in ("train/loss", "validation/loss", "train/learning_rate"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [0, 1]


def test_final_metrics_stand_next_to_the_baselines(run: mlflow.entities.Run) -> None:
    for name in ("mase", "rmsse", "smape", "wql", "coverage80"):
        assert run.data.metrics[f"backtest/{name}"] > 0
        assert run.data.metrics[f"baseline/{name}"] > 0


def test_the_configuration_of_a_run_repeats_it_to_the_same_weights(
    client: mlflow.MlflowClient, run: mlflow.entities.Run, trained: Path, tmp_path: Path
) -> None:
    config = client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path))
    done = run_forecast(tmp_path, "train", "--recipe", config)
    assert done.returncode == 0, done.stdout + done.stderr
    model = Forecaster.load(saved_folder(download(client, tmp_path / "model")))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/.forecast/mlflow.db")
    folder = mlflow.artifacts.download_artifacts("models:/counts/1", dst_path=str(tmp_path / "again"))
    again = Forecaster.load(saved_folder(folder)).network.state_dict()
    for name, tensor in model.network.state_dict().items():
        assert tensor.equal(again[name]), name


def test_only_what_was_registered_leaves_no_checkpoints(trained: Path) -> None:
    assert not list((trained / ".forecast").rglob("*.ckpt"))
    assert not list((trained / ".forecast" / "running").iterdir())


def test_the_model_is_registered_with_signature_and_example(client: mlflow.MlflowClient, tmp_path: Path) -> None:
    logged = download(client, tmp_path)
    model = mlflow.models.Model.load(str(logged))
    assert model.signature.inputs.input_names() == ["item_id", "timestamp", "target"]
    assert [param.name for param in model.signature.params] == ["prediction_length", "quantile_levels"]
    assert (logged / "input_example.json").is_file()
    assert not [path for path in logged.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".ckpt")]


def test_the_gate_says_what_it_decided(client: mlflow.MlflowClient, trained: Path) -> None:
    version = client.get_model_version("counts", "1")
    better = float(version.tags["mase"]) < float(version.tags["baseline_mase"])
    assert ("champion" in version.aliases) is better
    output = (trained / "train.out").read_text()
    assert ("counts/1 is the champion" if better else "counts/1 is registered, but not live") in output


def test_the_embedded_store_writes_ahead(trained: Path) -> None:
    with sqlite3.connect(trained / ".forecast" / "mlflow.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_everything_is_kept_in_the_working_folder_of_the_store(trained: Path) -> None:
    assert {path.name for path in trained.iterdir() if path.is_dir()} == {".forecast"}
    assert list((trained / ".forecast" / "artifacts" / "counts").rglob("model.safetensors"))


def test_progress_is_told_and_no_trace_or_foreign_log_line_is(trained: Path) -> None:
    output, complaints = (trained / "train.out").read_text(), (trained / "train.err").read_text()
    assert "judging gru on the last" in output
    assert "Traceback" not in complaints
    assert "INFO" not in complaints


def test_a_worse_model_does_not_replace_the_champion(trained: Path, table_path: Path) -> None:
    words = ["train", "--data", str(table_path), "--network", "feedforward", "--prediction-length", "24"]
    quick = [word for setting in QUICK for word in ("--set", setting)]
    useless = ["--set", "training.learning_rate=1e-9", "--set", "network.shortcut=0"]
    done = run_forecast(trained, *words, "--name", "counts", *quick, *useless)
    assert done.returncode == 0, done.stderr
    assert "is registered, but not live" in done.stdout
    assert "does not beat" in done.stdout


def test_a_logged_model_that_was_altered_is_not_verified(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.errors import ModelDamaged
    from pipelines.registry import verify

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{trained}/.forecast/mlflow.db")
    weights = next((trained / ".forecast" / "artifacts").rglob("m-*/**/model.safetensors"))
    model_id = next(part for part in weights.parts if part.startswith("m-"))
    whole = weights.read_bytes()
    verify(f"models:/{model_id}")
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with pytest.raises(ModelDamaged, match="is not the file that was saved"):
            verify(f"models:/{model_id}")
    finally:
        weights.write_bytes(whole)


def test_ctrl_c_ends_the_run_as_killed_and_registers_nothing(trained: Path, table_path: Path) -> None:
    words = [
        "train",
        "--data",
        str(table_path),
        "--prediction-length",
        "24",
        "--network",
        "lstm",
        "--name",
        "interrupted",
    ]
    with subprocess.Popen(
        [str(Path(sys.executable).with_name("forecast")), *words, "--set", "training.max_epochs=10000"],
        cwd=trained,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        assert any(line.startswith("training lstm:") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        output, complaints = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "ends as KILLED, and nothing is registered" in output
    assert "Traceback" not in complaints
    client = mlflow.MlflowClient(f"sqlite:///{trained}/.forecast/mlflow.db")
    experiment = client.get_experiment_by_name("interrupted")
    assert [run.info.status for run in client.search_runs([experiment.experiment_id])] == ["KILLED"]
    assert not client.search_registered_models("name = 'interrupted'")


def test_data_digest_tells_tables_apart(table_path: Path) -> None:
    from pipelines.record import data_digest

    frame = pd.read_parquet(table_path)
    table = read_series(frame)
    assert data_digest(table) == data_digest(read_series(frame.sample(frac=1, random_state=0).sort_values("item_id")))
    changed = frame.copy()
    changed.loc[changed.index[5], "target"] += 1
    assert data_digest(read_series(changed)) != data_digest(table)
