"""A model from the registry: its alias becomes a version, and every answer names it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.conftest import STARTUP, TINY, Start
from tests.service.test_service_process import last_line, run

REGISTER = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("tests")
client = mlflow.MlflowClient()
for folder, loader in ((sys.argv[2], "forecast.pyfunc"), (sys.argv[2], "json")):
    with mlflow.start_run() as run:
        info = mlflow.pyfunc.log_model(
            name="model", loader_module=loader, data_path=folder, registered_model_name="tiny", pip_requirements=[]
        )
    print(run.info.run_id, info.model_id)
client.set_registered_model_alias("tiny", "champion", "1")
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("a registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-c", REGISTER, uri, str(TINY)],
        cwd=folder,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=4 * STARTUP,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run_id, logged = done.stdout.split()[-4:-2]
    return {"uri": uri, "run_id": run_id, "logged": logged}


def test_champion_is_answered_by_its_version(start: Start, registry: dict[str, Any]) -> None:
    running = start(FORECAST_MODEL="tiny@champion", MLFLOW_TRACKING_URI=registry["uri"])
    running.wait_until_ready()
    body = {"inputs": [{"target": [float(hour % 24) for hour in range(168)]}], "parameters": {"model": "tiny"}}
    answer = httpx.post(running.url + "/v1/forecast", json=body).json()
    assert answer["model"] == {"name": "tiny", "version": "1", "run_id": registry["run_id"]}
    card = httpx.get(running.url + "/v1/models/tiny").json()
    assert (card["version"], card["run_id"], card["alias"]) == ("1", registry["run_id"], "champion")


CANNOT_BE_SERVED = {
    ("tiny@challenger", None): "there is no model 'tiny@challenger' in sqlite:///",
    ("tiny/7", None): "there is no model 'tiny/7' in sqlite:///",
    ("tiny/2", None): "the registered model is loaded by 'json', not by 'forecast.pyfunc'",
    ("models:/m-0123456789abcdef", None): "there is no model 'm-0123456789abcdef' in sqlite:///",
    (
        "tiny",
        "sqlite:////nowhere/mlflow.db",
    ): "the model registry at sqlite:////nowhere/mlflow.db cannot be used: no such",
    ("tiny", "http://user:secret@127.0.0.1:9"): "the model registry at http://127.0.0.1:9 cannot be used: ",
    ("tiny", "gopher://x"): "the model registry at gopher://x cannot be used: ",
}

LOAD = """
import json, sys
from forecast.errors import ForecastError
from service.models import load
from service.settings import Settings

for model, uri in json.loads(sys.argv[1]):
    try:
        named = {"FORECAST_MODEL": model, "MLFLOW_TRACKING_URI": uri, "FORECAST_CACHE": sys.argv[2]}
        print(load(Settings.from_environment(named)))
    except ForecastError as error:
        print(str(error).splitlines()[0])
"""


def test_models_that_cannot_be_served(registry: dict[str, Any], tmp_path: Path) -> None:
    asked = [(model, uri or registry["uri"]) for model, uri in CANNOT_BE_SERVED]
    asked.append(("models:/" + registry["logged"], registry["uri"]))  # logged, whether registered or not
    done = subprocess.run(
        [sys.executable, "-c", LOAD, json.dumps(asked), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=STARTUP,
        check=False,
    )
    *messages, logged = done.stdout.splitlines()
    for message, expected in zip(messages, CANNOT_BE_SERVED.values(), strict=True):
        assert message.startswith(expected)
        assert "secret" not in message
    assert logged == "model"


def test_unknown_model_ends_the_process(registry: dict[str, Any]) -> None:
    failed = run(FORECAST_MODEL="sales@champion", MLFLOW_TRACKING_URI=registry["uri"])
    assert last_line(failed).startswith("error: there is no model 'sales@champion' in sqlite:///")
