"""A registry behind MLflow's REST interface (https://mlflow.org/docs/latest/api_reference/rest-api.html)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from forecast.command import module_command
from forecast.errors import ForecastError, ModelDamaged, ModelNotFound, Problem
from forecast.pyfunc import saved_folder
from forecast.reference import ModelReference
from service.registry.found import NOT_THERE, Found, Origin, not_found, unavailable

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
TIMEOUT = httpx.Timeout(5.0, connect=3.0)
PAGE = 100
MOST_FILES, MOST_BYTES = 1000, 4 * 2**30  # of one model


class RestRegistry:
    """See `Registry`. Reads the same variables for credentials and certificates as MLflow's client."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri.rstrip("/")
        environ = os.environ
        user, token = environ.get("MLFLOW_TRACKING_USERNAME"), environ.get("MLFLOW_TRACKING_TOKEN")
        insecure = environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
        certificates = environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
        self._client = httpx.Client(
            auth=(user, environ.get("MLFLOW_TRACKING_PASSWORD", "")) if user else None,
            headers={"Authorization": f"Bearer {token}"} if token and not user else None,
            verify=False if insecure else _context(certificates) if certificates else True,
            timeout=TIMEOUT,
        )

    def prepare(self) -> None:
        """There is nothing to prepare."""

    def find(self, reference: ModelReference) -> Found:
        with self._as_expected():
            if reference.name is None:
                model_id = (reference.uri or "").removeprefix("models:/")
                info = self._get(f"/logged-models/{model_id}", reference)["model"]["info"]
                run_id = info.get("source_run_id") or None
                return Found(name=info["name"], version=None, run_id=run_id, uri=f"models:/{model_id}")
            path = "/registered-models/alias" if reference.alias else "/model-versions/get"
            which = {"alias": reference.alias} if reference.alias else {"version": reference.version}
            found = self._get(path, reference, name=reference.name, **which)["model_version"]
            return Found(
                name=found["name"],
                version=str(found["version"]),
                run_id=found.get("run_id") or None,
                uri=f"models:/{found['name']}/{found['version']}",
                tags=_pairs(found.get("tags", [])),
            )

    def with_alias(self, alias: str) -> list[str]:
        names: list[str] = []
        more: dict[str, Any] = {}
        while True:
            with self._as_expected():
                page = self._get("/registered-models/search", max_results=PAGE, **more)
                models = page.get("registered_models", [])
                names += [
                    one["name"] for one in models if alias in [known["alias"] for known in one.get("aliases", [])]
                ]
                more = {"page_token": page["next_page_token"]} if page.get("next_page_token") else {}
            if not more:
                return names

    def origin(self, found: Found) -> Origin:
        if found.run_id is None:
            return Origin.of(found.tags, {}, {})
        try:
            with self._as_expected():
                run = self._get("/runs/get", ModelReference(uri=found.uri), run_id=found.run_id)["run"]
                data = run.get("data", {})
                metrics = {one["key"]: float(one["value"]) for one in data.get("metrics", [])}
                return Origin.of(found.tags, _pairs(data.get("tags", [])), metrics)
        except ModelNotFound:
            return Origin.of(found.tags, {}, {})

    def download(self, found: Found, folder: Path) -> Path:
        root = folder / "files"
        with self._as_expected():
            address = self._address(found)
        parts = urlsplit(address)
        if parts.scheme == "mlflow-artifacts":
            self._fetch(parts.path.strip("/"), root)
        else:
            self._fetch_directly(address, root)
        return saved_folder(root)

    def _address(self, found: Found) -> str:
        """Where a version's files are."""
        reference = ModelReference(name=found.name if found.version else None, version=found.version, uri=found.uri)
        if found.version is None:
            model_id = found.uri.removeprefix("models:/")
            return str(self._get(f"/logged-models/{model_id}", reference)["model"]["info"]["artifact_uri"])
        path = "/model-versions/get-download-uri"
        return str(self._get(path, reference, name=found.name, version=found.version)["artifact_uri"])

    def _fetch(self, path: str, root: Path) -> None:
        """Download a folder of files that the server gives out itself."""
        waiting, count, size = [""], 0, 0
        while waiting:
            folder = waiting.pop()
            with self._as_expected():
                listing = self._ask(FILES, params={"path": f"{path}/{folder}".rstrip("/")}).json()
                entries = [(Path(str(entry["path"])).name, entry.get("is_dir")) for entry in listing.get("files", [])]
            for name, is_folder in entries:
                place = f"{folder}/{name}".lstrip("/")
                count += 1
                target = (root / place).resolve()
                if count > MOST_FILES or not name or not target.is_relative_to(root.resolve()):
                    raise _no_model()
                if is_folder:
                    waiting.append(place)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with self._client.stream("GET", f"{self._uri}{FILES}/{quote(f'{path}/{place}')}") as response:
                        response.raise_for_status()
                        with target.open("wb") as file:
                            for chunk in response.iter_bytes():
                                size += len(chunk)
                                if size > MOST_BYTES:
                                    raise _no_model()
                                file.write(chunk)
                except httpx.HTTPError as error:
                    raise unavailable(self._uri, error) from error

    def _fetch_directly(self, address: str, root: Path) -> None:
        """Copy a folder of files that the server only knows the address of."""
        parts = urlsplit(address)
        if parts.scheme in ("", "file"):
            try:
                shutil.copytree(unquote(parts.path), root)
            except OSError as error:
                raise unavailable(self._uri, error) from error
            return
        # S3 and the like: MLflow knows them all, in a process whose memory is given back.
        command = module_command("mlflow", "artifacts", "download", "-u", address, "-d", str(root))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise unavailable(self._uri, RuntimeError((done.stderr.strip().splitlines() or ["no reason given"])[-1]))

    @contextmanager
    def _as_expected(self) -> Iterator[None]:
        """What a server tells that is no registry, or a hostile one, becomes an error of ours."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, ForecastError):
                raise
            raise unavailable(self._uri, RuntimeError("it answers what no model registry does")) from error

    def _get(self, path: str, reference: ModelReference | None = None, **query: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask(API + path, reference, query).json()
        return answer

    def _ask(
        self, path: str, reference: ModelReference | None = None, params: dict[str, Any] | None = None
    ) -> httpx.Response:
        """One GET request.

        Raises:
            ModelNotFound: What the reference means is not there.
            RegistryUnavailable: The server cannot be reached, or says no.
        """
        try:
            response = self._client.get(self._uri + path, params=params)
            if response.is_success:
                response.json()
                return response
            problem = response.json() if "json" in response.headers.get("content-type", "") else {}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise unavailable(self._uri, error) from error
        message = str(problem.get("message") or response.text or response.reason_phrase).strip()
        if reference is not None and problem.get("error_code") in NOT_THERE:
            raise not_found(reference, self._uri, message.splitlines()[0][:200])
        raise unavailable(self._uri, RuntimeError(f"error code {response.status_code}: {message}"))


def _no_model() -> ModelDamaged:
    return ModelDamaged(Problem("the registered model's files are not a model's", "register it again"))


def _pairs(entries: list[dict[str, str]]) -> dict[str, str]:
    return {entry["key"]: entry.get("value", "") for entry in entries}


def _context(certificates: str) -> Any:
    import ssl

    return ssl.create_default_context(cafile=certificates)
