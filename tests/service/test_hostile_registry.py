"""A registry that lies is believed in nothing that matters: no file outside its folder, and an error of ours."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from forecast.errors import ForecastError, ModelDamaged, RegistryUnavailable
from forecast.reference import ModelReference
from service.models.cache import Cache
from service.registry import Found, Origin, open_registry

ALIAS, WHERE = "/api/2.0/mlflow/registered-models/alias", "/api/2.0/mlflow/model-versions/get-download-uri"
RUN, FILES = "/api/2.0/mlflow/runs/get", "/api/2.0/mlflow-artifacts/artifacts"
SALES = ModelReference.parse("sales@champion")
FOUND = Found(name="sales", version="1", run_id="r", uri="models:/sales/1")


class Liar(ThreadingHTTPServer):
    """Answers by path what a test tells it to."""

    answers: dict[str, Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def liar() -> Iterator[Liar]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = server.answers.get(urlsplit(self.path).path, {})
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    server = Liar(("127.0.0.1", 0), Answer)
    server.answers = {}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "said",
    [
        b"<html>a proxy's page</html>",
        [],
        "text",
        {},
        {"model_version": None},
        {"model_version": {"name": "sales"}},
        *(
            {"model_version": {"name": name, "version": version}}
            for name, version in (
                ("../../escape", "1"),
                ("..", "1"),
                ("a/b", "1"),
                ("/etc", "1"),
                ("a\\b", "1"),
                (["sales"], "1"),
                ("sales", "../../escape"),
                ("sales", ""),
                ("sales", None),
            )
        ),
        {"model_version": {"name": "sales", "version": "1", "tags": [{}]}},
    ],
    ids=str,
)
def test_what_is_no_version_is_not_believed(liar: Liar, said: Any) -> None:
    liar.answers[ALIAS] = said
    with pytest.raises(RegistryUnavailable, match="cannot be used"):
        open_registry(liar.url).find(SALES)


@pytest.mark.parametrize("said", [b"", {}, {"run": {"data": {"metrics": [{"key": "a", "value": "much"}]}}}], ids=str)
def test_a_run_that_is_none_is_not_believed(liar: Liar, said: Any) -> None:
    liar.answers[RUN] = said
    with pytest.raises(RegistryUnavailable):
        open_registry(liar.url).origin(FOUND)


@pytest.mark.parametrize(
    "files",
    [
        [{"path": "../../../escape"}],
        [{"path": "model/.."}],
        [{"path": "."}],
        [{"path": "..", "is_dir": True}],
        [{"path": "again", "is_dir": True}],  # and so on without an end
        [{"path": f"file{number}"} for number in range(21)],
        [{}],
        "text",
    ],
    ids=lambda files: str(files)[:40],
)
def test_a_download_stays_in_its_folder_and_comes_to_an_end(
    liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Any
) -> None:
    monkeypatch.setattr("service.registry.rest.MOST_FILES", 20)
    liar.answers |= {WHERE: {"artifact_uri": "mlflow-artifacts:/models/1"}, FILES: {"files": files}}
    cache, registry = Cache(tmp_path / "cache", liar.url), open_registry(liar.url)
    with pytest.raises(ForecastError):
        cache.keep(FOUND, Origin(), lambda folder: registry.download(FOUND, folder))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_model_larger_than_any_is_given_up(liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.registry.rest.MOST_BYTES", 1000)
    liar.answers |= {WHERE: {"artifact_uri": "mlflow-artifacts:/m"}, FILES: {"files": [{"path": "model.safetensors"}]}}
    liar.answers[f"{FILES}/m/model.safetensors"] = b"x" * 1001
    with pytest.raises(ModelDamaged, match="not a model's"):
        open_registry(liar.url).download(FOUND, tmp_path)
