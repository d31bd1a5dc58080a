"""The servers that are compared: how each is started, asked and stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import pandas as pd

from benchmarks.peers.frames import HORIZON, LEVELS
from forecast import Forecaster, TrainingConfig, read_series
from forecast.datasets import load_pedestrian
from forecast.errors import DataWarning
from pipelines.registry import log_model, register
from pipelines.tracking import connect

ROOT = Path(__file__).parents[1]
NAME, LENGTH, START = "benchmark", 168, "2024-01-01T00:00:00"
STARTUP = 180  # seconds after which a server is given up


@dataclass(frozen=True)
class Server:
    """One of them.

    Attributes:
        name: As the tables call it.
        command: Starts it; `{port}` stands for the port.
        ready: The path that answers 200 once it is ready.
        path: Where forecasts are asked.
        body: The request.
        environ: Further variables of its environment.
    """

    name: str
    command: tuple[str, ...]
    ready: str
    path: str
    body: bytes
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Running:
    """A server that is ready.

    Attributes:
        url: Where forecasts are asked.
        pid: Its process, or the first of several.
        startup: Seconds that it took to be ready.
    """

    url: str
    pid: int
    startup: float

    def pause(self) -> None:
        """Let it do nothing at all: some ask themselves all the time whether there is anything to do."""
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        os.killpg(self.pid, signal.SIGCONT)


def registered_model(folder: Path) -> dict[str, str]:
    """Train a little, save, and register twice, as `benchmark`, versions 1 and 2; 1 is the champion.

    Returns:
        The environment by which servers find it.
    """
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    training = TrainingConfig(max_epochs=2, batches_per_epoch=20, validation_windows=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # some counters failed
        model = Forecaster("lstm", HORIZON, LENGTH, training).fit(read_series(load_pedestrian()))
    model.save(folder / "model")
    client = connect()
    experiment = client.create_experiment(NAME, artifact_location=(folder / "artifacts").as_uri())
    for _ in range(2):
        run_id = client.create_run(experiment).info.run_id
        register(NAME, log_model(model, run_id), {})
    client.set_registered_model_alias(NAME, "champion", "1")
    return {
        "MLFLOW_TRACKING_URI": os.environ["MLFLOW_TRACKING_URI"],
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENCHMARK_MODEL": str(folder / "model"),
        "FORECAST_CACHE": str(folder / "cache"),
        "PYTHONPATH": str(ROOT),
        # One thread for each worker, and one worker but where the name says two: what a core brings is compared.
        "OMP_NUM_THREADS": "1",
    }


def servers(environ: Mapping[str, str], peer_python: Path | None) -> dict[str, Server]:
    """All that are compared, by a short name; the peers where there is an environment for them."""
    generator = np.random.default_rng(0)
    season = 300 + 200 * np.sin(np.arange(LENGTH) * np.pi / 12)
    target = np.maximum(season + 50 * generator.standard_normal(LENGTH), 0).round(1).tolist()
    series = {"start": START, "target": target}
    parameters = {"prediction_length": HORIZON, "quantile_levels": LEVELS}
    ours = _json({"inputs": [{"item_id": "a", **series}], "parameters": parameters})
    times = pd.date_range(START, periods=LENGTH, freq="h").strftime("%Y-%m-%dT%H:%M:%S")
    rows = [["a", time, value] for time, value in zip(times, target, strict=True)]
    split = {"columns": ["item_id", "timestamp", "target"], "data": rows}
    uvicorn = (sys.executable, "-m", "uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning")
    mlflow = (sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}/1", "--env-manager", "local")
    settings = {**environ, "FORECAST_MODEL": f"{NAME}@champion", "FORECAST_PORT": "{port}"}
    service = Server("forecast serve", (sys.executable, "-m", "service"), "/readyz", "/v1/forecast", ours, settings)
    two = {**settings, "FORECAST_WORKERS": "2"}
    all_ours = {
        "service": service,
        "workers": replace(service, name="forecast serve --workers 2", environ=two),
        "mlflow": Server(
            "mlflow models serve",
            (*mlflow, "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
            "/ping",
            "/invocations",
            _json({"dataframe_split": split, "params": parameters}),
            environ,
        ),
        "bare": Server("the ceiling", (*uvicorn, "benchmarks.peers.bare_app:app"), "/", "/", ours, environ),
        "fastapi": Server(
            "plain FastAPI",
            (*uvicorn, "benchmarks.peers.fastapi_app:app"),
            "/ready",
            "/forecast",
            _json(series),
            environ,
        ),
    }
    if peer_python is None:
        return all_ours
    python = str(peer_python.absolute())
    bento = (python, "-m", "bentoml", "serve", "benchmarks.peers.bentoml_app:Forecasts", "--port", "{port}")
    return {
        **all_ours,
        "litserve": Server(
            "LitServe",
            (python, "-m", "benchmarks.peers.litserve_app", "{port}"),
            "/health",
            "/forecast",
            _json(series),
            environ,
        ),
        "bentoml": Server("BentoML", bento, "/readyz", "/forecast", _json({"series": [series]}), environ),
    }


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server, wait until it is ready, and stop it in the end.

    Raises:
        RuntimeError: It is not ready in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    paths = f"{Path(server.command[0]).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    environ = {name: value.replace("{port}", port) for name, value in server.environ.items()}
    command = [word.replace("{port}", port) for word in server.command]
    began, quiet = time.perf_counter(), subprocess.DEVNULL
    with subprocess.Popen(
        command,
        env={**os.environ, "PATH": paths, **environ},
        cwd=ROOT,
        stdout=quiet,
        stderr=quiet,
        start_new_session=True,
    ) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}{server.ready}", process)
            startup = time.perf_counter() - began
            yield Running(f"http://127.0.0.1:{port}{server.path}", process.pid, startup)
        finally:
            os.killpg(process.pid, signal.SIGCONT)
            os.killpg(process.pid, signal.SIGTERM)  # and what it has started
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):  # some leave processes behind
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + STARTUP
    while True:
        try:
            with urlopen(address, timeout=2):  # noqa: S310 (our own server)
                return
        except (URLError, TimeoutError, ConnectionError):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{process.args!r} is not ready at {address}") from None
            time.sleep(0.02)


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
