"""What every caller relies on, whatever the forecast: health, request ids, documentation, failures, many at once."""

import asyncio
import re
import socket
import time
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from forecast import Forecaster, SeriesTable
from forecast.together import Question
from service.app import create_app
from service.middleware import RequestMiddleware
from service.models import Models, ServedModel
from service.openapi import EXAMPLES
from service.schema import ForecastResponse, ModelCard, ModelList

BODY = {"inputs": [{"target": [float(hour % 24) for hour in range(168)]}]}


def ask(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    """One request to an application in this process."""

    async def request() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, **options)

    return asyncio.run(request())


def test_health(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "live"}
    assert client.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/readyz"), ("GET", "/v1/models"), ("GET", "/v1/models/pedestrian"), ("POST", "/v1/forecast")],
)
def test_not_ready_before_the_model_is(method: str, path: str) -> None:
    app = create_app(Models())
    response = ask(app, method, path)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert response.json()["type"] == "/problems/not-ready"
    assert ask(app, "GET", "/livez").status_code == 200


def test_models(client: httpx.Client) -> None:
    card = client.get("/v1/models/pedestrian").json()
    assert ModelCard(**card).model_dump(mode="json") == card
    assert client.get("/v1/models").json() == {"models": [card]}
    assert (card["network"], card["frequency"]) == ("lstm", "h")
    assert (card["context_length"], card["prediction_length"], card["minimum_history"]) == (168, 24, 24)
    assert (card["quantile_levels"]["lowest"], card["quantile_levels"]["highest"]) == (0.025, 0.975)
    assert (card["version"], card["run_id"], card["alias"]) == (None, None, None)
    assert card["limits"]["series"] == 1000


class Broken(Forecaster):
    """A model whose code fails, or answers what is no number."""

    answer: float | None = None

    def check(self, table: SeriesTable, prediction_length: int, quantile_levels: Sequence[float]) -> None:
        pass

    def forecast_together(self, questions: Sequence[Question]) -> list[npt.NDArray[np.float32]]:
        if self.answer is None:
            raise RuntimeError("a secret of ours")
        return [
            np.full((len(table), horizon, 1 + len(levels)), self.answer, np.float32)
            for table, horizon, levels in questions
        ]


@pytest.mark.parametrize("answer", [None, np.nan, np.inf])
def test_our_own_failure(tiny: Forecaster, answer: float | None, caplog: pytest.LogCaptureFixture) -> None:
    broken = Broken.from_config(tiny.config)
    broken.answer = answer
    models = Models(ServedModel("broken", broken))
    response = ask(create_app(models), "POST", "/v1/forecast", json=BODY, headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == "abc-1"
    assert response.json() == {
        "type": "/problems/internal-error",
        "title": "Internal error",
        "status": 500,
        "detail": "this is our failure; report it with the request's id",
        "instance": "abc-1",
        "errors": [],
    }
    [failure] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert failure.exc_info
    assert vars(failure)["request_id"] == "abc-1"


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/nowhere"])
def test_request_id_is_the_callers(client: httpx.Client, path: str) -> None:
    assert client.get(path, headers={"X-Request-ID": "order-7.a_b"}).headers["x-request-id"] == "order-7.a_b"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", 'a"b'])
def test_request_id_is_made_where_none_is_sane(client: httpx.Client, given: str) -> None:
    made = client.get("/livez", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_openapi_is_whole(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    assert sorted(description["paths"]) == [
        "/livez",
        "/metrics",
        "/readyz",
        "/v1/backtest",
        "/v1/forecast",
        "/v1/forecast:bulk",
        "/v1/inspect",
        "/v1/models",
        "/v1/models/{name}",
    ]
    schemas = description["components"]["schemas"]
    assert {
        name.rpartition("/")[2] for name in re.findall(r'"\$ref":"([^"]+)"', client.get("/openapi.json").text)
    } <= set(schemas)
    assert schemas["SeriesInput"]["additionalProperties"] is False
    for path in description["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
            assert "application/problem+json" in operation["responses"]["default"]["content"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_openapi_examples_are_answered(client: httpx.Client, name: str) -> None:
    description = client.get("/openapi.json").json()
    content = description["paths"]["/v1/forecast"]["post"]["requestBody"]["content"]["application/json"]
    response = client.post("/v1/forecast", json=content["examples"][name]["value"])
    assert response.status_code == 200, response.text
    assert ForecastResponse(**response.json()).model_dump(exclude_none=True) == {
        **response.json(),
        "model": {"name": "pedestrian"},
    }
    assert ModelList(**client.get("/v1/models").json())


def test_many_at_once(client: httpx.Client, service: Any) -> None:
    """Concurrent requests are answered each with its own forecast, and health in between."""

    async def together() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=service.url, timeout=30) as many:
            bodies = [{"inputs": [{"item_id": str(i), "target": [float(i)] * 100}]} for i in range(50)]
            calls = [many.post("/v1/forecast", json=body) for body in bodies]
            return await asyncio.gather(*calls, *(many.get("/readyz") for _ in range(10)))

    responses = asyncio.run(together())
    assert {response.status_code for response in responses} == {200}
    for i, response in enumerate(responses[:50]):
        [prediction] = response.json()["predictions"]
        assert prediction["item_id"] == str(i)
        assert np.allclose(prediction["mean"], i, atol=1e-2)
    assert len({response.headers["x-request-id"] for response in responses}) == len(responses)


def test_log_holds_one_line_a_request_and_no_data(client: httpx.Client, service: Any) -> None:
    body = {"inputs": [{"item_id": "a-secret-name", "target": [123454321.5] * 48}]}
    for path in ("/v1/forecast", "/v1/forecast?a-secret-name"):
        client.post(path, json=body, headers={"X-Request-ID": "to-be-found"})
    client.get("/%0Aforged%20line", headers={"X-Request-ID": "to-be-found"})
    lines: list[dict[str, Any]] = []
    for _ in range(100):  # the line is written once the answer is out
        lines = [line for line in service.logged() if line.get("request_id") == "to-be-found"]
        if len(lines) == 3:
            break
        time.sleep(0.05)
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("POST", "/v1/forecast", 200),
        ("POST", "/v1/forecast", 200),
        ("GET", "/%0Aforged%20line", 404),
    ]
    assert all(0 < line["milliseconds"] < 60_000 for line in lines)
    assert (lines[0]["model"], lines[2]["problem"]) == ("pedestrian", "not-found")
    assert "secret" not in service.log.read_text()
    assert "123454321" not in service.log.read_text()


def test_a_caller_who_leaves_is_no_failure(client: httpx.Client, service: Any) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as caller:
        head = ["POST /v1/forecast HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 100"]
        caller.sendall("\r\n".join([*head, "X-Request-ID: gone-early", "", '{"inputs"']).encode())
    deadline = time.monotonic() + 10
    while "gone-early" not in service.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    [line] = [line for line in service.logged() if line.get("request_id") == "gone-early"]
    assert (line["status"], line["problem"]) == (499, "client-gone")
    assert not [
        line for line in service.logged() if line["level"] == "ERROR" and line.get("request_id") == "gone-early"
    ]


def test_middleware_leaves_other_protocols_alone() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(RequestMiddleware(app, 1)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
