"""What a fault leaves behind: a process killed, a disk that is full, a store that is away, two at once."""

import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import clean_environment, free_port, run_forecast, running

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

from forecast import Forecaster  # noqa: E402
from forecast.pyfunc import saved_folder  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

RECIPE = """# A small network that takes some seconds.
prediction_length: 24
network: {kind: gru, hidden_size: 8, dropout: 0.2}
training: {max_epochs: 5, batches_per_epoch: 40, batch_size: 16}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(RECIPE)
    return tmp_path


def command(table_path: Path, name: str = "counts") -> list[str]:
    return ["train", "--data", str(table_path), "--recipe", "small.yaml", "--name", name]


def begin(folder: Path, *words: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("forecast")), *words],
        cwd=folder,
        env=clean_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(happened: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    while not happened():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def runs(folder: Path, name: str = "counts") -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{folder}/.forecast/mlflow.db")
    experiment = client.get_experiment_by_name(name)
    return client.search_runs([experiment.experiment_id]) if experiment else []


def weights(folder: Path, version: str, to: Path, name: str = "counts") -> dict[str, object]:
    mlflow.set_tracking_uri(f"sqlite:///{folder}/.forecast/mlflow.db")
    files = mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=f"{to}/{version}")
    return Forecaster.load(saved_folder(files)).network.state_dict()


def test_killed_in_mid_epoch_a_training_is_resumed_to_the_same_weights(folder: Path, table_path: Path) -> None:
    done = run_forecast(folder, *command(table_path))
    assert done.returncode == 0, done.stdout + done.stderr
    process = begin(folder, *command(table_path))
    until(lambda: list((folder / ".forecast" / "checkpoints").rglob("state.ckpt")), process)
    process.kill()
    process.communicate()
    run = runs(folder)[0]
    assert run.info.status == "RUNNING"  # nobody could say otherwise
    done = run_forecast(folder, "train", "--resume", run.info.run_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [one.info.status for one in runs(folder)] == ["FINISHED", "FINISHED"]
    first, second = (weights(folder, version, folder) for version in ("1", "2"))
    for name, tensor in first.items():
        assert tensor.equal(second[name]), name
    assert not list((folder / ".forecast" / "checkpoints").iterdir())
    again = run_forecast(folder, "train", "--resume", run.info.run_id)
    assert again.returncode == 2
    assert f"run {run.info.run_id} is done: it is registered as counts/2" in again.stderr


def test_the_run_of_a_process_that_died_is_ended_by_the_next_command(folder: Path, table_path: Path) -> None:
    process = begin(folder, *command(table_path))
    until(lambda: list((folder / ".forecast" / "running").glob("*.lock")), process)
    process.kill()
    process.communicate()
    run = runs(folder)[0]
    changed = run_forecast(folder, "train", "--resume", run.info.run_id, "--set", "network.kind=lstm")
    assert "--resume takes no other option; the run has its settings" in changed.stderr
    table = folder / "other.parquet"
    shutil.copy(table_path, table)
    done = run_forecast(folder, *command(table, "another"), "--set", "network.kind=transformer")
    assert done.returncode == 2  # before the store was looked at
    assert runs(folder)[0].info.status == "RUNNING"
    done = run_forecast(folder, *command(table, "another"), "--set", "training.max_epochs=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert runs(folder)[0].info.status == "KILLED"


def test_a_run_that_is_not_there_or_not_of_these_data_is_not_resumed(folder: Path, table_path: Path) -> None:
    data = folder / "data.parquet"
    shutil.copy(table_path, data)
    none = run_forecast(folder, "train", "--resume", "0" * 32)
    assert none.returncode == 2
    assert "there is no run" in none.stderr
    process = begin(folder, *command(data))
    until(lambda: list((folder / ".forecast" / "checkpoints").rglob("*.ckpt")), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    run = runs(folder)[0]
    assert run.info.status == "KILLED"
    assert f"go on with: forecast train --resume {run.info.run_id}" in output
    import pandas as pd

    pd.read_parquet(data).assign(target=lambda frame: frame["target"] + 1).to_parquet(data)
    other = run_forecast(folder, "train", "--resume", run.info.run_id)
    assert other.returncode == 2
    assert f"the data at {data} are not those that run {run.info.run_id} was begun with" in other.stderr


def test_a_loss_that_is_no_number_fails_the_run_and_names_the_layer(folder: Path, table_path: Path) -> None:
    wild = ["training.optimizer=sgd", "training.learning_rate=1", "training.weight_decay=1e4"]  # weights explode
    done = run_forecast(folder, *command(table_path), *(word for one in wild for word in ("--set", one)))
    assert done.returncode == 2
    assert "was the first that is not a number; lower training.learning_rate (1.0)" in done.stderr
    assert [run.info.status for run in runs(folder)] == ["FAILED"]


def test_two_at_once_on_a_new_store_do_not_disturb_each_other(folder: Path, table_path: Path) -> None:
    processes = [begin(folder, *command(table_path)) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [run.info.status for run in runs(folder)] == ["FINISHED"] * 2
    first, second = (weights(folder, version, folder) for version in ("1", "2"))
    assert all(tensor.equal(second[name]) for name, tensor in first.items())


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_left_half_done(folder: Path, table_path: Path) -> None:
    begun = time.monotonic()
    assert run_forecast(folder, *command(table_path, "whole")).returncode == 0
    seconds = time.monotonic() - begun
    expected = weights(folder, "1", folder / "whole", "whole")
    client = mlflow.MlflowClient(f"sqlite:///{folder}/.forecast/mlflow.db")
    moments, phases = random.Random(7), Counter[str]()
    for number in range(20):
        process = begin(folder, *command(table_path))
        time.sleep(moments.uniform(0.2, 1.0 if number % 2 else 0.5) * seconds)
        process.kill()
        said = process.communicate()[0].splitlines()
        phases[said[-1].partition(":")[0] if said else "starting"] += 1
        unfinished = [run for run in runs(folder) if "registered" not in run.data.tags]
        if unfinished and number % 4 == 3:
            done = run_forecast(folder, "train", "--resume", unfinished[0].info.run_id)
            assert done.returncode == 0, done.stdout + done.stderr
        for version in client.search_model_versions("name = 'counts'"):
            assert version.status == "READY"
            weights(folder, version.version, folder / str(number))  # loads, and answers as it did when saved
    assert run_forecast(folder, *command(table_path)).returncode == 0
    assert not [run for run in runs(folder) if run.info.status == "RUNNING"]
    for run in runs(folder):  # what was logged but not registered can still be
        if "registered" not in run.data.tags:
            done = run_forecast(folder, "train", "--resume", run.info.run_id)
            assert done.returncode == 0, done.stdout + done.stderr
    versions = {f"counts/{version.version}" for version in client.search_model_versions("name = 'counts'")}
    assert {run.data.tags["registered"].partition("@")[0] for run in runs(folder)} == versions
    for version in versions:  # however often it was cut off, it ends with the weights of one that never was
        found = weights(folder, version.partition("/")[2], folder / "in the end")
        assert all(tensor.equal(found[name]) for name, tensor in expected.items()), version
    print(f"killed in: {dict(phases)}; {len(versions)} versions, all with the weights of a training left alone")


@pytest.mark.slow
def test_a_store_that_is_away_for_a_while_is_waited_for(folder: Path, table_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/server.db"]
    server = [*words, "--artifacts-destination", str(folder / "files"), "--port", str(port), "--workers", "1"]
    with running(server, folder, f"{url}/health"):
        process = begin(folder, *command(table_path), MLFLOW_TRACKING_URI=url)
        until(lambda: list((folder / ".forecast" / "checkpoints").rglob("state.ckpt")), process)
    time.sleep(15)
    with running(server, folder, f"{url}/health"):
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        assert "does not answer: trying again" in output
        client = mlflow.MlflowClient(url)
        (run,) = client.search_runs([client.get_experiment_by_name("counts").experiment_id])
        assert run.info.status == "FINISHED"
        assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [0, 1, 2, 3, 4]
        assert client.get_model_version("counts", "1").status == "READY"


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [600, 1024, 3072, 6144])  # too few for the store, the run, its model, its record
def test_a_full_disk_stops_the_run_and_room_lets_it_go_on(folder: Path, table_path: Path, kilobytes: int) -> None:
    small = folder / "small disk"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        (small / "small.yaml").write_text(RECIPE)
        done = run_forecast(small, *command(table_path))
        assert done.returncode == 2, done.stdout
        assert "the disk is full" in done.stderr
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
        done = run_forecast(small, *command(table_path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert {run.info.status for run in runs(small)} <= {"FINISHED", "FAILED", "KILLED"}
        client = mlflow.MlflowClient(f"sqlite:///{small}/.forecast/mlflow.db")
        assert [str(version.version) for version in client.search_model_versions("name = 'counts'")] == ["1"]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
