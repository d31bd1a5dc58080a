"""Models come and go under load: nobody notices but by the version; a registry may do as it likes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import clean_environment, free_port
from tests.service.conftest import STARTUP, TINY, Service, Start

BODY = {"inputs": [{"target": [float(hour % 24) for hour in range(168)]}]}
GOOD, OTHER, BAD = "1", "2", "3"

REGISTER = """
import sys, mlflow
mlflow.set_experiment("tests")
for folder in sys.argv[1:]:
    with mlflow.start_run() as run:
        mlflow.set_tags({"data": "counts.parquet", "data.sha256": "abc", "network": "lstm"})
        mlflow.log_metrics({"backtest/MASE": 0.5, "baseline/MASE": 0.75, "train/loss": 1.0})
        model = mlflow.pyfunc.log_model(
            name="model", loader_module="forecast.pyfunc", data_path=folder, pip_requirements=[]
        )
    mlflow.register_model(model.model_uri, "tiny", tags={"baseline": "seasonal naive 24"})
mlflow.MlflowClient().set_registered_model_alias("tiny", "champion", "1")
"""


class Tracking:
    """A real MLflow server whose alias can be moved, and which can be made to hang."""

    def __init__(self, url: str, process: "subprocess.Popen[bytes]") -> None:
        self.url, self.process = url, process

    def point_to(self, version: str) -> None:
        path = "/api/2.0/mlflow/registered-models/alias"
        body = {"name": "tiny", "alias": "champion", "version": version}
        httpx.post(self.url + path, json=body, timeout=30).raise_for_status()


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    folder = tmp_path_factory.mktemp("server")
    broken = shutil.copytree(TINY, folder / "broken")
    golden = json.loads((broken / "golden.json").read_text())
    golden["forecast"][0][0] += 5
    (broken / "golden.json").write_text(json.dumps(golden))
    url = f"http://127.0.0.1:{free_port()}"
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = clean_environment(PATH=scripts, MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_TRACKING_URI=url)
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", *store, "--port", url.rpartition(":")[2], "--workers", "1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True)
        try:
            until(lambda: httpx.get(url + "/health").status_code == 200, 2 * STARTUP)
            words = [sys.executable, "-c", REGISTER, str(TINY), str(TINY), str(broken)]
            done = subprocess.run(
                words, cwd=folder, env=environ, capture_output=True, text=True, timeout=4 * STARTUP, check=False
            )
            assert done.returncode == 0, done.stderr
            yield Tracking(url, process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def running(start: Start, tracking: Tracking, cache: Path) -> Service:
    tracking.point_to(GOOD)
    service = start(
        FORECAST_MODELS="@champion",
        MLFLOW_TRACKING_URI=tracking.url,
        FORECAST_POLL_SECONDS="0.1",
        FORECAST_CACHE=str(cache),
    )
    service.wait_until_ready()
    return service


def until(holds: Callable[[], bool], seconds: float = STARTUP) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"not within {seconds} s")


def card(service: Service) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(service.url + "/v1/models/tiny", timeout=30).json()
    return answer


def metric(service: Service, name: str) -> float:
    lines = httpx.get(service.url + "/metrics", timeout=30).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@contextmanager
def load(url: str, callers: int = 4) -> Iterator[list[httpx.Response]]:
    """Callers that ask one request after the other, and what they were answered."""
    answers: list[httpx.Response] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while not over.is_set():
                answers.append(client.post("/v1/forecast", json=BODY))

    threads = [threading.Thread(target=ask) for _ in range(callers)]
    for thread in threads:
        thread.start()
    yield answers
    over.set()
    for thread in threads:
        thread.join()


def assert_all_answered(answers: list[httpx.Response]) -> set[str]:
    """Nobody failed, and every answer names what made it, in head and body; the versions."""
    assert answers
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        named = answer.headers["x-model-name"], answer.headers["x-model-version"]
        assert named == (answer.json()["model"]["name"], answer.json()["model"]["version"])
    return {answer.headers["x-model-version"] for answer in answers}


def test_the_card_tells_where_a_model_comes_from(running: Service) -> None:
    told = card(running)
    assert told["origin"] == {
        "data": {"data": "counts.parquet", "data.sha256": "abc"},
        "metrics": {"MASE": 0.5},
        "baseline": "seasonal naive 24",
        "baseline_metrics": {"MASE": 0.75},
    }
    assert (told["source"], told["registry_away_since"], told["refused"]) == ("registry", None, None)
    loaded = subprocess.run(
        ["grep", "-c", "mlflow", f"/proc/{running.process.pid}/maps"], capture_output=True, text=True
    )
    assert loaded.stdout.strip() == "0"


def reload(running: Service, tracking: Tracking, times: int) -> None:
    before = metric(running, 'forecast_reloads_total{result="swapped"}')
    with load(running.url) as answers:
        for number in range(times):
            version = (OTHER, GOOD)[number % 2]
            tracking.point_to(version)
            until(lambda version=version: card(running)["version"] == version)  # type: ignore[misc]
    assert assert_all_answered(answers) == {GOOD, OTHER}
    assert metric(running, 'forecast_reloads_total{result="swapped"}') == before + times
    assert metric(running, 'forecast_model_info{model="tiny",run_id=') == 1


def test_reloads_under_load(running: Service, tracking: Tracking) -> None:
    tracking.point_to(GOOD)
    until(lambda: card(running)["version"] == GOOD)
    reload(running, tracking, 4)


@pytest.mark.slow
def test_a_hundred_reloads_under_load(running: Service, tracking: Tracking) -> None:
    tracking.point_to(GOOD)
    until(lambda: card(running)["version"] == GOOD)
    reload(running, tracking, 100)


def test_a_bad_version_is_refused_and_the_old_one_stays(running: Service, tracking: Tracking) -> None:
    tracking.point_to(GOOD)
    until(lambda: card(running)["version"] == GOOD)
    with load(running.url, 2) as answers:
        tracking.point_to(BAD)
        until(lambda: card(running)["refused"] is not None)
    assert assert_all_answered(answers) == {GOOD}
    refused = card(running)["refused"]
    assert refused["version"] == BAD
    assert "does not give its golden forecast" in refused["reason"]
    assert metric(running, 'forecast_reloads_total{result="refused"}') == 1  # and is not tried again and again
    tracking.point_to(GOOD)
    until(lambda: card(running)["refused"] is None)


def hang(running: Service, tracking: Tracking, seconds: float) -> None:
    os.killpg(tracking.process.pid, signal.SIGSTOP)
    try:
        with load(running.url) as answers:
            until(lambda: card(running)["registry_away_since"] is not None)
            time.sleep(seconds)
    finally:
        os.killpg(tracking.process.pid, signal.SIGCONT)
    assert_all_answered(answers)
    until(lambda: card(running)["registry_away_since"] is None)


def test_a_registry_that_hangs_is_waited_for_by_nobody(running: Service, tracking: Tracking) -> None:
    hang(running, tracking, 0)


@pytest.mark.slow
def test_a_registry_that_hangs_for_a_minute(running: Service, tracking: Tracking) -> None:
    hang(running, tracking, 60)


def test_without_a_registry_the_last_verified_copy_answers(
    start: Start, running: Service, tracking: Tracking, cache: Path, tmp_path: Path
) -> None:
    version = card(running)["version"]
    os.killpg(tracking.process.pid, signal.SIGSTOP)
    copy = shutil.copytree(cache, tmp_path / "cache")
    try:
        alone = start(FORECAST_MODEL="tiny@champion", MLFLOW_TRACKING_URI=tracking.url, FORECAST_CACHE=str(copy))
        alone.wait_until_ready()
        assert assert_all_answered([httpx.post(alone.url + "/v1/forecast", json=BODY, timeout=30)]) == {version}
        told = card(alone)
        assert (told["source"], told["version"], told["origin"]["metrics"]) == ("cache", version, {"MASE": 0.5})
        assert told["registry_away_since"]
        [warning] = [line for line in alone.logged() if line["level"] == "WARNING"]
        assert f"tiny version {version} is the last verified copy, from the cache" in warning["message"]
        for altered in copy.glob("*/tiny/*/golden.json"):
            altered.write_text(altered.read_text() + " ")
        nothing = start(FORECAST_MODEL="tiny@champion", MLFLOW_TRACKING_URI=tracking.url, FORECAST_CACHE=str(copy))
        assert nothing.process.wait(timeout=STARTUP) == 2
        assert re.search("^error: the model registry at .* cannot be used", nothing.log.read_text(), re.MULTILINE)
    finally:
        os.killpg(tracking.process.pid, signal.SIGCONT)
