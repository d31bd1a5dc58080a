"""A registry that MLflow's own client opens, asked in a process of its own.

MLflow takes seconds to import and more than a hundred MB. In the process that answers callers both would be in the way
for good; here it is imported while the service imports its own, and given back when nothing was asked for a minute.
A database that hangs holds up nothing but that process, which is then ended.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from forecast.errors import ForecastError, ModelNotFound, Problem, RegistryUnavailable
from forecast.reference import ModelReference
from service.registry.found import Found, Origin, unavailable

SECONDS = 60.0  # that an answer may take, the import included
DOWNLOAD = 600.0  # seconds for a model's files
IDLE = 60.0  # seconds without a question after which the process ends
SQLITE = "sqlite:///"
SETTLED = 1.0  # seconds after which a file's time tells of all writes to it

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
_ERRORS: dict[str, Callable[[Problem], ForecastError]] = {
    kind.code: kind for kind in (ModelNotFound, RegistryUnavailable)
}
Stamp = tuple[tuple[int, int], ...]


class ApartRegistry:
    """See `Registry`. Of an SQLite file nothing is asked again until it has changed."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._turn = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._known: dict[tuple[str, str], tuple[Stamp, Any]] = {}

    def prepare(self) -> None:
        if not self._is_gone():
            with self._turn:
                self._open()

    def find(self, reference: ModelReference) -> Found:
        return Found.model_validate(self._remembered("find", str(reference.uri)))

    def with_alias(self, alias: str) -> list[str]:
        names: list[str] = self._remembered("with_alias", alias)
        return names

    def origin(self, found: Found) -> Origin:
        return Origin.model_validate(self._ask(SECONDS, "origin", found.model_dump()))

    def download(self, found: Found, folder: Path) -> Path:
        from forecast.pyfunc import saved_folder

        files = self._ask(DOWNLOAD, "download", found.model_dump(), str(folder))
        return saved_folder(files)

    def _remembered(self, method: str, argument: str) -> Any:
        stamp = self._stamp()
        before = self._known.get((method, argument))
        if before is not None and stamp is not None and stamp == before[0]:
            return before[1]
        answer = self._ask(SECONDS, method, argument)
        self._known.pop((method, argument), None)
        if stamp is not None:
            self._known[method, argument] = stamp, answer
        return answer

    def _ask(self, seconds: float, method: str, *arguments: Any) -> Any:
        """Have a method of `ClientRegistry` called.

        Raises:
            ModelNotFound: What was asked for is not there.
            RegistryUnavailable: The registry does not answer, or not in time.
        """
        if self._is_gone():
            raise unavailable(self._uri, FileNotFoundError("no such file"))
        question = orjson.dumps([method, *arguments])
        with self._turn:
            for last in (False, True):  # the process may just have ended by itself
                pipe = self._open()
                try:
                    pipe.send_bytes(question)
                    if not pipe.poll(seconds):
                        self._end()
                        raise unavailable(self._uri, TimeoutError(f"no answer within {seconds:g} s"))
                    kind, answer = orjson.loads(pipe.recv_bytes())
                    break
                except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                    self._end()
                    if last:
                        raise unavailable(self._uri, RuntimeError("the process that asks it ends at once")) from error
        if kind == "answer":
            return answer
        raise _ERRORS[kind](Problem(**answer))

    def _open(self) -> Connection:
        """The process's pipe; it is started where there is none."""
        if self._pipe is None or self._process is None or self._process.poll() is not None:
            self._end()
            self._pipe, other = Pipe()
            command = [sys.executable, "-m", "service.registry.apart", str(other.fileno())]
            environment = {**_ENVIRONMENT, **os.environ, "MLFLOW_TRACKING_URI": self._uri}  # others can read a command
            self._process = subprocess.Popen(command, env=environment, pass_fds=[other.fileno()])
            other.close()
        return self._pipe

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _stamp(self) -> Stamp | None:
        """What changes with every write to an SQLite file; None for other stores, and where that may be under way."""
        if not self._uri.startswith(SQLITE):
            return None
        path = _file(self._uri)
        found = []
        for name in (path, path.with_name(f"{path.name}-wal")):
            with suppress(FileNotFoundError):
                state = name.stat()
                if state.st_size:  # a reader makes an empty log of writes, and takes it away
                    found.append((state.st_mtime_ns, state.st_size))
        latest = max((changed for changed, _ in found), default=0)
        return tuple(found) if latest < time.time_ns() - SETTLED * 1e9 else None

    def _is_gone(self) -> bool:
        """Whether an SQLite file is not there: MLflow would make a new one, and find no model in it."""
        return self._uri.startswith(SQLITE) and not _file(self._uri).is_file()


def _file(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


def answer(pipe: Connection, uri: str) -> None:
    """The process's life: answer questions until none come."""
    from service.registry.client import ClientRegistry

    registry = ClientRegistry(uri)
    with suppress(RegistryUnavailable):  # who asks will be told
        registry.prepare()
    calls: dict[str, Callable[..., Any]] = {
        "find": lambda reference: registry.find(ModelReference.parse(reference)).model_dump(),
        "with_alias": registry.with_alias,
        "origin": lambda found: registry.origin(Found(**found)).model_dump(),
        "download": lambda found, folder: str(registry.download(Found(**found), Path(folder))),
    }
    while pipe.poll(IDLE):
        method, *arguments = orjson.loads(pipe.recv_bytes())
        try:
            outcome = ["answer", calls[method](*arguments)]
        except (ModelNotFound, RegistryUnavailable) as error:
            outcome = [error.code, asdict(error.problems[0])]
        except Exception as error:
            logging.getLogger("service").exception("the registry could not be asked")
            outcome = [RegistryUnavailable.code, asdict(unavailable(uri, error).problems[0])]
        pipe.send_bytes(orjson.dumps(outcome))


def main() -> None:
    from service.logs import log_to_stderr

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, whose end is this one's
    log_to_stderr()
    with suppress(EOFError, BrokenPipeError):
        answer(Connection(int(sys.argv[1])), os.environ["MLFLOW_TRACKING_URI"])


if __name__ == "__main__":
    main()
