"""The service, `mlflow models serve`, the command line and the library give the same forecast of one model."""

import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.conftest import free_port, run_forecast, running

REFERENCE = "counts/1"
LEVELS = [0.1, 0.5, 0.9]


@pytest.fixture(scope="module")
def history(table_path: Path) -> pd.DataFrame:
    frame = pd.read_parquet(table_path)
    return frame[frame["item_id"] == "Southern Cross Station"].iloc[-400:-30]


@pytest.fixture(scope="module")
def by_command(trained: Path, history: pd.DataFrame) -> pd.DataFrame:
    history.to_parquet(trained / "history.parquet")
    words = ["predict", "--model", REFERENCE, "--data", "history.parquet", "--output", "out.parquet"]
    done = run_forecast(trained, *words, "--quantile-levels", "0.1,0.5,0.9")
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(trained / "out.parquet")


def test_service(trained: Path, history: pd.DataFrame, by_command: pd.DataFrame) -> None:
    port = free_port()
    command = [str(Path(sys.executable).with_name("forecast")), "serve", "--model", REFERENCE, "--port", str(port)]
    times = [time.isoformat() for time in history["timestamp"]]
    values = [None if np.isnan(value) else value for value in history["target"]]
    body: dict[str, Any] = {
        "inputs": [{"item_id": "Southern Cross Station", "timestamps": times, "target": values}],
        "parameters": {"quantile_levels": LEVELS},
    }
    with running(command, trained, f"http://127.0.0.1:{port}/readyz"):
        response = httpx.post(f"http://127.0.0.1:{port}/v1/forecast", json=body, timeout=30)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["model"]["name"] == "counts"
    assert answer["model"]["version"] == "1"
    prediction = answer["predictions"][0]
    assert [pd.Timestamp(time) for time in prediction["timestamps"]] == list(by_command["timestamp"])
    np.testing.assert_allclose(prediction["mean"], by_command["mean"], rtol=1e-5)
    for level in LEVELS:
        np.testing.assert_allclose(prediction["quantiles"][str(level)], by_command[str(level)], rtol=1e-5)


def test_mlflow_models_serve_without_pickle(trained: Path, history: pd.DataFrame, by_command: pd.DataFrame) -> None:
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        f"models:/{REFERENCE}",
        "--env-manager",
        "local",
    ]
    environment = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{trained}/.forecast/mlflow.db",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    frame = history.assign(timestamp=history["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
    split = frame[["item_id", "timestamp", "target"]].to_json(orient="split", index=False)
    body = f'{{"dataframe_split": {split}, "params": {{"quantile_levels": {LEVELS}}}}}'
    headers = {"Content-Type": "application/json"}
    with running([*command, "--port", str(port)], trained, f"http://127.0.0.1:{port}/ping", **environment):
        response = httpx.post(f"http://127.0.0.1:{port}/invocations", content=body, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    answer = pd.DataFrame(response.json()["predictions"])
    assert list(pd.to_datetime(answer["timestamp"])) == list(by_command["timestamp"])
    for column in ("mean", *map(str, LEVELS)):
        np.testing.assert_allclose(answer[column], by_command[column], rtol=1e-5)
