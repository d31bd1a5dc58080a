"""Fetching a registered model from MLflow: an alias to a version, a version to a folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from forecast.errors import ModelDamaged, ModelNotFound, Problem, RegistryUnavailable
from forecast.reference import ModelReference

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOADER_MODULE = "forecast.pyfunc"
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
        yield Download(_forecaster_folder(root), name, version, run_id)


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


def _forecaster_folder(root: Path) -> Path:
    """The forecaster's folder within a downloaded MLflow model."""
    try:
        flavor = yaml.safe_load((root / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
        loader, data = flavor["loader_module"], str(flavor["data"])
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ModelDamaged(
            Problem("the registered model has no MLmodel file that can be read", "log it again")
        ) from error
    folder = (root / data).resolve()
    if loader != LOADER_MODULE or not folder.is_relative_to(root.resolve()):
        raise ModelDamaged(
            Problem(
                f"the registered model is loaded by {loader!r}, not by {LOADER_MODULE!r}",
                "serve a model that `forecast train` registered",
            )
        )
    return folder


def _check_store(tracking_uri: str) -> None:
    """Refuse an SQLite file that is not there: MLflow would make a new one, and find no model in it."""
    prefix = "sqlite:///"
    if tracking_uri.startswith(prefix) and not Path(tracking_uri.removeprefix(prefix).partition("?")[0]).is_file():
        raise _unavailable(tracking_uri, FileNotFoundError("no such file"))


def _not_found(reference: ModelReference, tracking_uri: str, error: Exception) -> ModelNotFound:
    return ModelNotFound(
        Problem(
            f"there is no model {str(reference)!r} in {_shown(tracking_uri)}: {_reason(error, tracking_uri)}",
            "register one with `forecast train`, or check FORECAST_MODEL and MLFLOW_TRACKING_URI",
        )
    )


def _unavailable(tracking_uri: str, error: Exception) -> RegistryUnavailable:
    return RegistryUnavailable(
        Problem(
            f"the model registry at {_shown(tracking_uri)} cannot be used: {_reason(error, tracking_uri)}",
            "check MLFLOW_TRACKING_URI, and that what it names is running",
        )
    )


def _shown(tracking_uri: str) -> str:
    """An address without the user and password it may hold."""
    scheme, separator, rest = tracking_uri.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _reason(error: Exception, tracking_uri: str) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.replace(tracking_uri.rstrip("/"), _shown(tracking_uri).rstrip("/"))[:200]
