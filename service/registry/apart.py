"""A registry that MLflow's own client opens, asked in a process of its own.

MLflow takes seconds to import and more than a hundred MB. In the process that answers callers both would be in the way
for good; here it is imported while the service imports its own, and given back when nothing was asked for a minute.
A database that hangs holds up nothing but that process, which is then ended.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from forecast.reference import ModelReference
from service.child import Child, ChildBroke
from service.registry.found import Found, Origin, unavailable

SECONDS = 60.0  # that an answer may take, the import included
DOWNLOAD = 600.0  # seconds for a model's files
SQLITE = "sqlite:///"
SETTLED = 1.0  # seconds after which a file's time tells of all writes to it

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
Stamp = tuple[tuple[int, int], ...]


class ApartRegistry:
    """See `Registry`. Of an SQLite file nothing is asked again until it has changed."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        # The address may hold a password, and others on the machine can read a command's arguments.
        self._child = Child("service.registry", {**_ENVIRONMENT, **os.environ, "MLFLOW_TRACKING_URI": tracking_uri})
        self._known: dict[tuple[str, Any], tuple[Stamp, Any]] = {}

    def prepare(self) -> None:
        if not self._is_gone():
            self._child.start()

    def find(self, reference: ModelReference) -> Found:
        found: Found = self._remembered("find", reference)
        return found

    def with_alias(self, alias: str) -> list[str]:
        names: list[str] = self._remembered("with_alias", alias)
        return names

    def origin(self, found: Found) -> Origin:
        origin: Origin = self._ask(SECONDS, "origin", found)
        return origin

    def download(self, found: Found, folder: Path) -> Path:
        from forecast.pyfunc import saved_folder

        files = self._ask(DOWNLOAD, "download", found, folder)
        return saved_folder(files)

    def _remembered(self, method: str, argument: Any) -> Any:
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
        try:
            return self._child.ask((method, *arguments), seconds)
        except (TimeoutError, ChildBroke) as error:
            raise unavailable(self._uri, error) from error

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
