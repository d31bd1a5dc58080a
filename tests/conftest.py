"""A store of its own for every test that tracks, and a table small enough to train on in a second."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pandas as pd
import pytest

# Two threads that wait for each other in turns cost the tiny networks here more than the second one gives.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from forecast.datasets import load_pedestrian
from tests.postgres import database_url, new_database  # noqa: F401 - fixtures

QUICK = ["training.max_epochs=2", "training.batches_per_epoch=10", "training.batch_size=64", "network.hidden_size=16"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest goes first, so that no core waits for it in the end."""
    items.sort(key=lambda item: item.path.name != "test_docs.py")


@pytest.fixture(scope="session")
def table_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety days of two places, in local wall-clock time, as Parquet."""
    frame = load_pedestrian()
    frame = frame[frame["item_id"].isin(["Southern Cross Station", "QV Market-Elizabeth St (West)"])]
    frame = frame[frame["timestamp"] >= pd.Timestamp("2016-10-03", tz="Australia/Melbourne")]
    path = tmp_path_factory.mktemp("data") / "counts.parquet"
    frame.assign(timestamp=frame["timestamp"].dt.tz_localize(None)).to_parquet(path)
    return path


def clean_environment(**environment: str) -> dict[str, str]:
    """This process's environment without what MLflow, used in a test, has left in it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "FORECAST"))}
    return {**inherited, **environment}


def run_forecast(folder: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The console script, in a working folder of its own."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("forecast")), *words],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=900,  # a guard against hanging, not a bar
        check=False,
    )


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, table_path: Path) -> Path:
    """A working folder (with a space in its path) in which `forecast train` was run once; its output is beside."""
    folder = tmp_path_factory.mktemp("working folder")
    words = ["train", "--data", str(table_path), "--network", "gru", "--prediction-length", "24", "--name", "counts"]
    done = run_forecast(folder, *words, *(word for setting in QUICK for word in ("--set", setting)))
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "train.out").write_text(done.stdout)
    (folder / "train.err").write_text(done.stderr)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, url: str, **environment: str) -> Iterator[None]:
    """A server until it is ready, stopped with all its children at the end."""
    log = folder / f"server-{url.rpartition(':')[2].partition('/')[0]}.log"
    with log.open("w") as output:
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(PATH=scripts, **environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()
                try:
                    if httpx.get(url, timeout=2).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            yield
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(20)
