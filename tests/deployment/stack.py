"""What docker-compose.yml starts, started as processes on a real PostgreSQL: the file's own commands and settings.

What a container has of its own is put in the place of the file's: folders for volumes, free ports for ports, a
socket for the database's host. The MLflow server goes by its name in the file all the same: its clients take it for
their HTTP proxy, and so send `Host: mlflow:5000` as they do between containers.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.conftest import clean_environment, free_port
from tests.deployment.compose import ROOT, load, words

STARTUP = 120  # seconds


class Stack:
    """The services of the file, with these variables set.

    Args:
        folder: Holds the volumes.
        programs: PostgreSQL's.
        socket: The folder of the database's socket.
        variables: Of the file.
    """

    def __init__(self, folder: Path, programs: Path, socket: str, variables: Mapping[str, str]) -> None:
        self.services: dict[str, dict[str, Any]] = load(**variables)["services"]
        self.folder = folder
        self.ports = {"5000": str(free_port()), "8000": str(free_port())}
        self._programs, self._running = programs, ExitStack()
        self._places = {
            "/artifacts": str(folder / "artifacts"),
            "/backups": str(folder / "backups"),
            "/data": str(folder / "data"),
            "/models": str(folder / "models"),
            "/opt/deploy": str(ROOT / "deploy"),
            "0.0.0.0": "127.0.0.1",
            "--host=127.0.0.1": f"--host={socket}",
            "http://127.0.0.1:8000": f"http://127.0.0.1:{self.ports['8000']}",
        }
        self._environment = {"PGHOST": socket, "FORECAST_HOST": "127.0.0.1", "FORECAST_PORT": self.ports["8000"]}
        for name in ("artifacts", "backups", "data", "models", "work"):
            (folder / name).mkdir()

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what runs."""
        self._running.close()

    def run(self, name: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """`docker compose run --rm NAME ARGUMENTS`."""
        service = self.services[name]
        return self._call(name, [*service.get("entrypoint", []), *(arguments or service["command"])], environment)

    def check(self, name: str) -> "subprocess.CompletedProcess[str]":
        """A service's health check, once."""
        return self._call(name, self.services[name]["healthcheck"]["test"][1:], {})

    def start(self, name: str) -> None:
        """Start a service and wait until its own health check says that it is well."""
        process = self.launch(name)
        deadline = time.monotonic() + STARTUP
        while (checked := self.check(name)).returncode:
            assert process.poll() is None, self.log(name)
            assert time.monotonic() < deadline, checked.stderr + self.log(name)
            time.sleep(0.3)

    def log(self, name: str) -> str:
        """What a service wrote."""
        return (self.folder / f"{name}.log").read_text()

    def launch(self, name: str) -> "subprocess.Popen[bytes]":
        """Start a service."""
        command = words(self.services[name]["command"])
        if name == "mlflow":
            command[command.index("--port") + 1] = self.ports["5000"]
        with (self.folder / f"{name}.log").open("w") as output:
            process = subprocess.Popen(
                [self._place(word) for word in command],
                cwd=self.folder / "work",
                env=self.environment(name),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running.callback(_stop, process)
        return process

    def environment(self, name: str) -> dict[str, str]:
        """What a container of that service has in its environment."""
        own = {key: self._place(str(value)) for key, value in self.services[name]["environment"].items()}
        own.update({key: value for key, value in self._environment.items() if key in own})
        scripts = Path(sys.executable).parent
        proxy = {"http_proxy": f"http://127.0.0.1:{self.ports['5000']}", "no_proxy": "127.0.0.1"}
        path = os.pathsep.join([str(scripts), str(self._programs), os.environ["PATH"]])
        return clean_environment(PATH=path, MLFLOW_DISABLE_TELEMETRY="true", **own, **proxy)

    def lose_artifacts(self) -> None:
        """What a lost volume leaves: an empty one."""
        shutil.rmtree(self.folder / "artifacts")
        (self.folder / "artifacts").mkdir()

    def _call(self, name: str, command: list[str], more: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self._place(word) for word in command],
            cwd=self.folder / "work",
            env={**self.environment(name), **more},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def _place(self, word: str) -> str:
        for there, here in self._places.items():
            if word == there or word.startswith(f"{there}/"):
                return here + word.removeprefix(there)
        return word


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, 15)
        process.wait(60)
