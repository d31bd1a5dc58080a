"""A database of MLflow's is asked in another process, which may end, hang and be started anew."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forecast.errors import ModelNotFound, RegistryUnavailable
from forecast.reference import ModelReference
from service.registry import apart, prepared
from service.registry.apart import ApartRegistry
from tests.service.conftest import is_running, wait_for_the_end

MAKE = """
import sys, mlflow
client = mlflow.MlflowClient(sys.argv[1], sys.argv[1])
client.create_registered_model("sales")
for _ in range(2):
    client.create_model_version("sales", "/nowhere")
client.set_registered_model_alias("sales", "champion", "1")
"""
SALES = ModelReference.parse("sales@champion")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("a registry") / "mlflow.db"
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", MAKE, f"sqlite:///{path}"], env=environment, check=True)
    settled = time.time() - 60
    os.utime(path, (settled, settled))
    return path


@pytest.fixture
def registry(database: Path) -> Iterator[ApartRegistry]:
    registry = prepared(f"sqlite:///{database}")
    assert isinstance(registry, ApartRegistry)
    yield registry
    registry._child.close()


def test_a_process_that_ended_is_started_again_for_what_has_changed(registry: ApartRegistry, database: Path) -> None:
    assert registry.find(SALES).version == "1"
    assert registry.with_alias("champion") == ["sales"]
    first = registry._child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert registry.find(SALES).version == "1"  # nothing has changed: nobody is asked
    assert registry._child.pid == first
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE registered_model_aliases SET version = 2")
    assert registry.find(SALES).version == "2"
    assert registry._child.pid != first
    with pytest.raises(ModelNotFound, match="there is no model 'sales@none' in sqlite:///"):
        registry.find(ModelReference.parse("sales@none"))


def test_one_that_hangs_is_ended(registry: ApartRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = registry._child.pid
    assert hanging is not None
    os.kill(hanging, signal.SIGSTOP)
    monkeypatch.setattr(apart, "SECONDS", 0.2)
    with pytest.raises(RegistryUnavailable, match=r"no answer within 0\.2 s"):
        registry.find(SALES)
    assert registry._child.pid is None
    assert not is_running(hanging)
    monkeypatch.setattr(apart, "SECONDS", 60.0)
    assert registry.find(SALES).name == "sales"


def test_a_file_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    registry = prepared(f"sqlite:///{tmp_path}/mlflow.db")
    assert registry is not None
    with pytest.raises(RegistryUnavailable, match="no such file"):
        registry.find(SALES)
    assert not list(tmp_path.iterdir())


def test_it_ends_with_who_asks(database: Path) -> None:
    code = "import sys; from service.registry import prepared; print(prepared(sys.argv[1])._child.pid)"
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{database}"], capture_output=True, text=True, check=True
    )
    wait_for_the_end(int(done.stdout))
