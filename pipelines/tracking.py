"""The tracking store: MLflow where `MLFLOW_TRACKING_URI` says, or an embedded one in `.forecast/`."""

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from forecast.errors import ModelNotFound, ParameterError, Problem, RegistryUnavailable, without_password
from forecast.refusals import advice

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOME = ".forecast"

# A store that is away is reported within seconds; MLflow's own defaults wait for minutes.
_PATIENCE = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def tracking_uri() -> str:
    """Where runs are tracked."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded_uri()


def embedded_folder() -> Path:
    """The working folder's own store; it holds a database and the artifacts."""
    return Path(HOME).resolve()


def connect() -> "MlflowClient":
    """Point MLflow at the tracking store, made where it is the embedded one and not there yet.

    Raises:
        RegistryUnavailable: The store does not answer.
    """
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # its errors are raised as well
    uri = tracking_uri()
    mlflow.set_tracking_uri(uri)
    with registry_errors(), _first_use() if is_embedded() else nullcontext():
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)  # creates the tables of a new store
    return client


def experiment_id(client: "MlflowClient", name: str) -> str:
    """The experiment of that name, created where there is none; the embedded store keeps its artifacts beside it."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    location = None
    if is_embedded():
        location = (embedded_folder() / "artifacts" / re.sub(r"\W+", "-", name)).as_uri()
    # Tells MLflow's pages to show training runs and models first, rather than traces of language models.
    tags = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


@contextmanager
def registry_errors(model: str | None = None, run: str | None = None) -> Iterator[None]:
    """Turn MLflow's errors, and those of the connection below it, into this library's.

    Args:
        model: The model asked for, to be named where there is none.
        run: The run asked for.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield
    except MlflowException as error:
        missing = error.error_code in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")
        if run is not None and missing:
            problem = Problem(
                f"there is no run {run!r} at {shown_uri()}", "look at the runs in `forecast ui`", field="run"
            )
            raise ParameterError(problem) from error
        if model is not None and missing:
            raise ModelNotFound(
                Problem(
                    f"there is no model {model!r} in the registry at {shown_uri()}",
                    "train it first (forecast train), or look at the names in `forecast ui`",
                    field="model",
                )
            ) from error
        raise _unavailable(error) from error
    except (RequestException, OSError) as error:
        raise _unavailable(error) from error


def user() -> str:
    """Who tracks: the name at a server that asks for one, or else on this machine."""
    if name := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        return name
    try:
        return getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return "unknown"


def shown_uri() -> str:
    """The tracking URI without a password."""
    return without_password(tracking_uri())


def _unavailable(error: Exception) -> RegistryUnavailable:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return RegistryUnavailable(
        Problem(f"the tracking store at {shown_uri()} cannot be used: {reason}", advice(str(error), tracking_uri()))
    )


def _embedded_uri() -> str:
    return f"sqlite:///{embedded_folder() / 'mlflow.db'}"


def is_embedded() -> bool:
    """Whether the store is the working folder's own."""
    return tracking_uri() == _embedded_uri()  # MLflow exports its address, so that its being set says nothing


@contextmanager
def _first_use() -> Iterator[None]:
    """Let one process at a time open the embedded store: MLflow's own creation of its tables races.

    A new store is made in a file beside and moved into place, so that one whose making was cut off is made anew.
    Write-ahead logging, which lets readers and writers pass each other, is a property of the file, to be set
    before anyone else opens it.
    """
    folder = embedded_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "mlflow.lock"):
        if not (folder / "mlflow.db").exists():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            beside = folder / "new.db"
            for left in folder.glob(f"{beside.name}*"):
                left.unlink()
            store = SqlAlchemyStore(f"sqlite:///{beside}", str(folder / "artifacts"))  # type: ignore[no-untyped-call]
            store.engine.dispose()
            with closing(sqlite3.connect(beside)) as database:
                database.execute("PRAGMA journal_mode=WAL")
            beside.replace(folder / "mlflow.db")
        yield
