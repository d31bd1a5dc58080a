"""A registry that MLflow's own client opens: a database, or a folder."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.pyfunc import saved_folder
from forecast.reference import ModelReference
from service.registry.found import NOT_THERE, Found, Origin, not_found, reason_of, unavailable

if TYPE_CHECKING:
    from mlflow import MlflowClient

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}


class ClientRegistry:
    """See `Registry`."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri

    def find(self, reference: ModelReference) -> Found:
        with self._client(reference) as client:
            if reference.name is None:
                model_id = (reference.uri or "").removeprefix("models:/")
                logged = client.get_logged_model(model_id)
                return Found(name=logged.name, version=None, run_id=logged.source_run_id, uri=f"models:/{model_id}")
            found = (
                client.get_model_version_by_alias(reference.name, reference.alias)
                if reference.alias
                else client.get_model_version(reference.name, reference.version or "")
            )
            version = str(found.version)
            return Found(
                name=found.name,
                version=version,
                run_id=found.run_id or None,
                uri=f"models:/{found.name}/{version}",
                tags=dict(found.tags),
            )

    def with_alias(self, alias: str) -> list[str]:
        with self._client() as client:
            return [model.name for model in client.search_registered_models() if alias in model.aliases]

    def origin(self, found: Found) -> Origin:
        from mlflow.exceptions import MlflowException

        with self._client() as client:
            try:
                data = client.get_run(found.run_id or "").data
            except MlflowException as error:
                if error.error_code not in NOT_THERE:
                    raise
                return Origin.of(found.tags, {}, {})
            return Origin.of(found.tags, data.tags, data.metrics)

    def download(self, found: Found, folder: Path) -> Path:
        with self._client():
            import mlflow

            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                files = mlflow.artifacts.download_artifacts(found.uri, dst_path=scratch, tracking_uri=self._uri)
                return saved_folder(files).rename(folder / "forecaster")

    @contextmanager
    def _client(self, reference: ModelReference | None = None) -> Iterator["MlflowClient"]:
        """MLflow's client; what it raises becomes an error of ours."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._check_file()
        import mlflow  # takes a second and much memory
        from mlflow.exceptions import MlflowException
        from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            mlflow.set_tracking_uri(self._uri)
            yield mlflow.MlflowClient(self._uri, self._uri)
        except (UnsupportedModelRegistryStoreURIException, SQLAlchemyError, OSError, ImportError) as error:
            raise unavailable(self._uri, error) from error
        except MlflowException as error:
            if reference is not None and error.error_code in NOT_THERE:
                raise not_found(reference, self._uri, reason_of(error)) from error
            raise unavailable(self._uri, error) from error

    def _check_file(self) -> None:
        """Refuse an SQLite file that is not there: MLflow would make a new one, and find no model in it."""
        prefix = "sqlite:///"
        if self._uri.startswith(prefix) and not Path(self._uri.removeprefix(prefix).partition("?")[0]).is_file():
            raise unavailable(self._uri, FileNotFoundError("no such file"))
