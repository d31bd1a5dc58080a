"""A registry that MLflow's own client opens: a database, or a folder. Slow to import: see `apart`, which asks it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException
from sqlalchemy.exc import SQLAlchemyError

from forecast.reference import ModelReference
from service.registry.found import NOT_THERE, Found, Origin, not_found, reason_of, unavailable


class ClientRegistry:
    """See `Registry`; but that `download` returns the folder of all files of a logged model."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri

    def prepare(self) -> None:
        with self._client() as client:
            client.search_registered_models(max_results=1)  # opens the store

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
            files = mlflow.artifacts.download_artifacts(found.uri, dst_path=str(folder), tracking_uri=self._uri)
            return Path(files)

    @contextmanager
    def _client(self, reference: ModelReference | None = None) -> Iterator[mlflow.MlflowClient]:
        """MLflow's client; what it raises becomes an error of ours."""
        try:
            mlflow.set_tracking_uri(self._uri)
            yield mlflow.MlflowClient(self._uri, self._uri)
        except (UnsupportedModelRegistryStoreURIException, SQLAlchemyError, OSError, ImportError) as error:
            raise unavailable(self._uri, error) from error
        except MlflowException as error:
            if reference is not None and error.error_code in NOT_THERE:
                raise not_found(reference, self._uri, reason_of(error)) from error
            raise unavailable(self._uri, error) from error
