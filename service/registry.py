"""Fetching a registered model from MLflow: an alias to a version, a version to a folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import ModelNotFound, Problem, RegistryUnavailable, without_password
from forecast.pyfunc import saved_folder
from forecast.reference import ModelReference

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second is MLflow's word for an unknown alias
ENVIRONMENT = {  # no telemetry, no progress bar, and no minutes spent on a registry that is down
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True)
class Download:
    """A model on this machine's disk.

    Attributes:
        folder: The forecaster's folder.
        name: The registered model's name.
        version: Its version; None for a logged model that is not registered.
        run_id: The run that made it.
    """

    folder: Path
    name: str
    version: str | None
    run_id: str | None


@contextmanager
def fetch(reference: ModelReference, tracking_uri: str) -> Iterator[Download]:
    """Download a model to a temporary folder, which goes when the context ends.

    Args:
        reference: A registered or logged model.
        tracking_uri: Where it is registered.

    Raises:
        ModelNotFound: There is none under that name, alias or version.
        ModelDamaged: What is registered is not a forecaster of ours.
        RegistryUnavailable: The registry does not answer.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"  # whatever was set: a pickle runs what it likes
    _check_store(tracking_uri)
    import mlflow  # takes a second and much memory: only for models that come from a registry
    from mlflow.exceptions import MlflowException
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
    from sqlalchemy.exc import SQLAlchemyError

    with tempfile.TemporaryDirectory(prefix="forecast-model-") as scratch:
        try:
            mlflow.set_tracking_uri(tracking_uri)
            name, version, run_id, uri = _resolve(mlflow.MlflowClient(tracking_uri, tracking_uri), reference)
            root = Path(mlflow.artifacts.download_artifacts(uri, dst_path=scratch, tracking_uri=tracking_uri))
        except (UnsupportedModelRegistryStoreURIException, SQLAlchemyError, OSError, ImportError) as error:
            raise _unavailable(tracking_uri, error) from error
        except MlflowException as error:
            if error.error_code in NOT_THERE:
                raise _not_found(reference, tracking_uri, error) from error
            raise _unavailable(tracking_uri, error) from error
        yield Download(saved_folder(root), name, version, run_id)


def _resolve(client: "MlflowClient", reference: ModelReference) -> tuple[str, str | None, str | None, str]:
    """Name, version and run of the model, and the address that will always mean this very version."""
    if reference.name is None:
        model_id = (reference.uri or "").removeprefix("models:/")
        logged = client.get_logged_model(model_id)
        return logged.name, None, logged.source_run_id, f"models:/{model_id}"
    found = (
        client.get_model_version_by_alias(reference.name, reference.alias)
        if reference.alias
        else client.get_model_version(reference.name, reference.version or "")
    )
    return found.name, str(found.version), found.run_id or None, f"models:/{found.name}/{found.version}"


def _check_store(tracking_uri: str) -> None:
    """Refuse an SQLite file that is not there: MLflow would make a new one, and find no model in it."""
    prefix = "sqlite:///"
    if tracking_uri.startswith(prefix) and not Path(tracking_uri.removeprefix(prefix).partition("?")[0]).is_file():
        raise _unavailable(tracking_uri, FileNotFoundError("no such file"))


def _not_found(reference: ModelReference, tracking_uri: str, error: Exception) -> ModelNotFound:
    return ModelNotFound(
        Problem(
            f"there is no model {str(reference)!r} in {without_password(tracking_uri)}: {_reason(error)}",
            "register one with `forecast train`, or check FORECAST_MODEL and MLFLOW_TRACKING_URI",
        )
    )


def _unavailable(tracking_uri: str, error: Exception) -> RegistryUnavailable:
    return RegistryUnavailable(
        Problem(
            f"the model registry at {tracking_uri} cannot be used: {_reason(error)}",
            "check MLFLOW_TRACKING_URI, and that what it names is running",
        )
    )


def _reason(error: Exception) -> str:
    return without_password((str(error).strip() or type(error).__name__).splitlines()[0])[:200]
