"""Starting and stopping: settings, models that are not there, SIGTERM, and what the process imports."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from forecast.errors import ModelDamaged, ModelNotFound, ParameterError
from forecast.reference import ModelReference
from service.metrics import Metrics
from service.models import Keeper, Models, load
from service.settings import Settings
from tests.conftest import free_port
from tests.conftest import running as running_command
from tests.service.conftest import STARTUP, TINY, Start


def run(**environ: str) -> "subprocess.CompletedProcess[str]":
    """A start that must fail."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FORECAST_", "MLFLOW_"))}
    command = [sys.executable, "-m", "service"]
    return subprocess.run(
        command, env={**inherited, **environ}, capture_output=True, text=True, timeout=STARTUP, check=False
    )


def last_line(failed: "subprocess.CompletedProcess[str]") -> str:
    assert failed.returncode == 2, failed.stderr
    assert "Traceback" not in failed.stderr
    return failed.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "FORECAST_MODEL is not set"),
        ({"FORECAST_MODEL": "sales@champion"}, "MLFLOW_TRACKING_URI is not set"),
        ({"FORECAST_MODEL": "a/b/c"}, "'a/b/c' is not a model"),
        ({"FORECAST_MODEL": str(TINY), "FORECAST_PORT": "http"}, "FORECAST_PORT=http is not a port"),
        ({"FORECAST_MODEL": str(TINY), "FORECAST_PORT": "65536"}, "FORECAST_PORT=65536 is not a port"),
        ({"FORECAST_MODEL": str(TINY), "FORECAST_PORT": "0"}, "FORECAST_PORT=0 is not a port"),
        ({"FORECAST_MODEL": str(TINY), "FORECAST_PORT": "²"}, "FORECAST_PORT=² is not a port"),
    ],
)
def test_wrong_settings(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError) as raised:
        Settings.from_environment(environ)
    assert message in str(raised.value)
    assert all(problem.hint for problem in raised.value.problems)


def test_settings() -> None:
    settings = Settings.from_environment(
        {"FORECAST_MODEL": "sales/3", "FORECAST_HOST": "", "FORECAST_PORT": "81", "MLFLOW_TRACKING_URI": "http://x"}
    )
    assert [(model.name, model.version) for model in settings.models] == [("sales", "3")]
    assert (settings.host, settings.port, settings.tracking_uri) == ("127.0.0.1", 81, "http://x")


def test_wrong_settings_end_the_process() -> None:
    assert last_line(run(FORECAST_PORT="no")).startswith("FORECAST_PORT=no is not a port; use a number")


def test_no_model_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no model in"):
        load(Settings((ModelReference.parse(str(tmp_path)),)))


def test_a_model_that_does_not_give_its_golden_forecast_is_never_ready(tmp_path: Path) -> None:
    folder = shutil.copytree(TINY, tmp_path / "model")
    golden = json.loads((folder / "golden.json").read_text())
    golden["forecast"][0][0] += 5
    (folder / "golden.json").write_text(json.dumps(golden))
    models, failed = Models(), threading.Event()
    keeper = Keeper(Settings((ModelReference.parse(str(folder)),)), models, Metrics(), None, failed.set)
    keeper.start()
    keeper.join()
    assert failed.is_set()
    assert len(models) == 0
    assert isinstance(keeper.failure, ModelDamaged)
    assert "does not give its golden forecast" in str(keeper.failure)


def test_port_in_use(service: object, client: httpx.Client) -> None:
    failed = run(FORECAST_MODEL=str(TINY), FORECAST_PORT=str(client.base_url.port))
    assert last_line(failed).startswith(
        f"error: cannot listen on 127.0.0.1:{client.base_url.port}: Address already in use"
    )


def test_sigterm_answers_what_is_under_way(start: Start) -> None:
    running = start(FORECAST_MODEL=str(TINY))
    running.wait_until_ready()
    body = json.dumps({"inputs": [{"target": [float(hour % 24) for hour in range(168)]}]}).encode()
    port = int(running.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
        head = [
            "POST /v1/forecast HTTP/1.1",
            "Host: x",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        caller.sendall("\r\n".join([*head, "", ""]).encode() + body[:100])
        time.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url + "/livez")
        caller.sendall(body[100:])
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["predictions"][0]["steps"] == list(range(1, 25))
    assert running.process.wait(timeout=10) == 0
    assert "Traceback" not in running.log.read_text()


def test_stops_at_once_when_idle(start: Start) -> None:
    running = start(FORECAST_MODEL=str(TINY))
    running.wait_until_ready()
    with socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2]))):  # a caller that says nothing
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=5) == 0


def test_a_process_that_answers_knows_nothing_of_training() -> None:
    script = f"""
import asyncio, sys, httpx
from pathlib import Path
from service.__main__ import main
from service.app import create_app
from service.models import Models, load
from service.settings import Settings

models = Models(load(Settings.from_environment({{"FORECAST_MODEL": {str(TINY)!r}}})))

async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(models)), base_url="http://test") as client:
        return await client.post("/v1/forecast", json={{"inputs": [{{"target": list(range(48))}}]}})

assert asyncio.run(ask()).status_code == 200
print(sorted({{"pytorch_lightning", "pipelines", "mlflow", "matplotlib", "ray"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=STARTUP, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_no_registry_is_opened_for_folders_alone() -> None:
    environment = {"FORECAST_MODEL": str(TINY), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    assert Settings.from_environment(environment).tracking_uri is None
    environment["FORECAST_MODEL"] = "sales@champion"
    assert Settings.from_environment(environment).tracking_uri == "sqlite:///mlflow.db"


def test_what_lies_in_the_folder_it_is_started_in_is_not_served(tmp_path: Path) -> None:
    """A folder of somebody's own project may well hold a `service`."""
    (tmp_path / "service").mkdir()
    for name in ("service/__init__.py", "service/__main__.py", "torch.py"):
        (tmp_path / name).write_text("raise SystemExit('somebody else is served')")
    port = free_port()
    command = [str(Path(sys.executable).with_name("forecast")), "serve", "--model", str(TINY), "--port", str(port)]
    with running_command(command, tmp_path, f"http://127.0.0.1:{port}/readyz"):
        seen = httpx.post(
            f"http://127.0.0.1:{port}/v1/inspect", json={"inputs": [{"target": [*range(48)] * 4}]}, timeout=60
        )
    assert seen.status_code == 200, seen.text
