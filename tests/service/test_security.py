"""What SECURITY.md promises, where no other test looks, and that the tests it names are there."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from forecast import Forecaster
from service.access import AccessSettings
from service.access.guard import OPEN
from service.access.keys import Keys, make_key
from service.app import create_app
from service.models import Models, ServedModel
from tests.service.conftest import Service
from tests.service.test_http_behaviour import ask

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (API\d+) [^|]+\| [^|]+\| ([^|]+) \|$", TEXT, re.MULTILINE)
BODY = {"inputs": [{"target": [float(hour % 24) for hour in range(48)]}]}


def test_every_risk_has_tests_and_they_are_there() -> None:
    files = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in files for name in re.findall(r"^ *def (test_\w+)", text, re.MULTILINE)}
    assert [risk for risk, _ in ROWS] == [f"API{number}" for number in range(1, 11)]
    for risk, tests in ROWS:
        named = re.findall("`(test_[a-z0-9_]+)`", tests)
        assert named, risk
        assert set(named) <= there, risk


@pytest.fixture(scope="module")
def description(client: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/openapi.json").json()
    return answer


def test_every_route_wants_a_key_but_those_named(tiny: Forecaster, description: dict[str, Any]) -> None:
    key, entry = make_key("shop")
    app = create_app(Models(ServedModel("tiny", tiny)), access=AccessSettings(Keys(entry)))
    paths = [
        *description["paths"],
        "/",
        "/v1",
        "/docs/",
        "/docs/../metrics",
        "//livez",
        "/livez/",
        "/LIVEZ",
        "/nowhere",
    ]
    for path in paths:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "NONSENSE"):
            refused = ask(app, method, path).status_code == 401
            assert refused == (path not in OPEN), (method, path)
            assert ask(app, method, path, headers={"Authorization": f"Bearer {key}"}).status_code != 401
    open_in_description = {
        path
        for path, item in description["paths"].items()
        for operation in item.values()
        if operation.get("security") == []
    }
    assert open_in_description == OPEN & set(description["paths"])


def test_no_route_changes_anything(client: httpx.Client, description: dict[str, Any]) -> None:
    """GET looks and POST computes: no other method is known, and the models stay what they are."""
    before = client.get("/v1/models").json()
    for path, item in description["paths"].items():
        assert set(item) <= {"get", "post"}
        for method in ("PUT", "PATCH", "DELETE"):
            assert client.request(method, path.replace("{name}", "pedestrian"), json={}).status_code == 405
    assert client.get("/v1/models").json() == before


def test_nothing_is_said_of_the_software(client: httpx.Client) -> None:
    for answer in (client.get("/livez"), client.get("/nowhere"), client.post("/v1/forecast", content=b"{")):
        assert not {"server", "x-powered-by", "via"} & set(answer.headers)
        assert not re.search(
            "uvicorn|starlette|fastapi|python|pydantic", answer.text + str(answer.headers), re.IGNORECASE
        )


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[Any]]]:
    """An address of another server, and who has come to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over, visitors = threading.Event(), list[Any]()

        def listen() -> None:
            while not over.is_set():
                try:
                    visitors.append(server.accept())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", visitors
        over.set()
        thread.join()


def test_no_address_in_a_request_is_followed(client: httpx.Client, elsewhere: tuple[str, list[Any]]) -> None:
    there, visitors = elsewhere
    address = f"http://{there}/model"
    for model in (address, f"models:/{address}", "/etc/passwd", "../..", f"s3://{there}/model", "models:/pedestrian/1"):
        answer = client.post("/v1/forecast", json={**BODY, "parameters": {"model": model}})
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/model-not-found")
        assert client.get("/v1/models/" + model).status_code == 404
    for field in ("item_id", "start", "timestamps"):
        value: Any = [address] * 48 if field == "timestamps" else address
        client.post("/v1/forecast", json={"inputs": [{**BODY["inputs"][0], field: value}]})
    answer = client.post(
        "/v1/forecast", json=BODY, headers={"Host": there, "X-Forwarded-Host": there, "Referer": address}
    )
    assert answer.status_code == 200
    assert there not in answer.text + str(answer.headers)
    assert visitors == []


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_64_mb_is_refused_and_takes_no_memory(service: Service, announced: bool) -> None:
    """A caller that does not stop before it has sent all of it, which many clients do not."""
    host, port = service.url.removeprefix("http://").split(":")
    piece, pieces = b" " * 2**20, 64
    before = peak_memory(service.process.pid)
    head = "POST /v1/forecast HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(piece) * pieces}\r\n\r\n" if announced else "Transfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=60) as caller:
        caller.sendall(head.encode())
        try:
            for _ in range(pieces):
                caller.sendall(piece if announced else b"%x\r\n%s\r\n" % (len(piece), piece))
        except ConnectionError:
            pass  # the service closes, having answered
        answer = caller.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"/problems/body-too-large" in answer
    assert peak_memory(service.process.pid) - before < 40 * 2**20  # the 16 MB it takes, and what holds them
    assert httpx.post(service.url + "/v1/forecast", json=BODY).status_code == 200


def peak_memory(pid: int) -> int:
    """The most bytes a process ever had in memory."""
    [kilobytes] = re.findall(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) * 1024
