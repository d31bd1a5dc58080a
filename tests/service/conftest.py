"""A real service process, with the tiny real model, for all tests that speak HTTP."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from forecast import Forecaster

TINY = Path(__file__).parents[1] / "fixtures" / "tiny-lstm"
STARTUP = 150  # seconds: a guard against hanging, not a bar


@dataclass
class Service:
    """A running `python -m service`."""

    url: str
    process: subprocess.Popen[str]
    log: Path

    def logged(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + STARTUP
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(self.url + "/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        pytest.fail(f"not ready after {STARTUP} s:\n{self.log.read_text()}")


Start = Callable[..., Service]


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a service with these environment variables, and stops it in the end."""
    services = []

    def start(**environ: str) -> Service:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = tmp_path_factory.mktemp("service") / "log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FORECAST_", "MLFLOW_"))}
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "service"],
                env={**inherited, "FORECAST_PORT": str(port), "FORECAST_CACHE": str(log.parent / "cache"), **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        services.append(Service(f"http://127.0.0.1:{port}", process, log))
        return services[-1]

    yield start
    for service in services:
        service.process.kill()
        service.process.wait()


@pytest.fixture(scope="session")
def service(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The one that most tests ask: the tiny model, served from a folder named as the demo's model is."""
    running = start(FORECAST_MODEL=str(shutil.copytree(TINY, tmp_path_factory.mktemp("models") / "pedestrian")))
    running.wait_until_ready()
    return running


@pytest.fixture(scope="session")
def client(service: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def tiny() -> Forecaster:
    return Forecaster.load(TINY)


def wait_for_the_end(pid: int) -> None:
    """Of a process, by its number."""
    until = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < until
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    """Whether a process is there, and more than an entry that nobody has read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
