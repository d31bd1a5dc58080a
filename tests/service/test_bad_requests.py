"""Every bad request is answered by a problem document that says what, where, and what to do."""

from typing import Any

import httpx
import pytest

HISTORY = [float(i % 24) for i in range(48)]
HOURS = [f"2024-01-{1 + i // 24:02}T{i % 24:02}:00:00" for i in range(48)]


def series(**fields: Any) -> dict[str, Any]:
    return {"inputs": [{"item_id": "good", "target": HISTORY}, {"item_id": "bad", "target": HISTORY, **fields}]}


def asking(**parameters: Any) -> dict[str, Any]:
    return {"inputs": [{"target": HISTORY}], "parameters": parameters}


def problem(response: httpx.Response) -> dict[str, Any]:
    """The document, having checked what all of them share."""
    assert response.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in response.text
    document = response.json()
    assert document["status"] == response.status_code
    assert document["instance"] == response.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    assert len(response.content) < 20_000
    return document


# what is wrong, the problem's type, pointer, item
IN_A_SERIES = {
    "too short": (series(target=[1, 2]), "series-too-short", "target"),
    "empty": (series(target=[]), "empty-table", "target"),
    "all missing": (series(target=[None] * 48), "all-missing", "target"),
    "text": (series(target=[1, "many"]), "bad-target", "target/1"),
    "a number as text": (series(target=[1, "2"]), "bad-target", "target/1"),
    "true": (series(target=[1, True]), "bad-target", "target/1"),
    "a list": (series(target=[1, [2]]), "bad-target", "target/1"),
    "not a list": (series(target=5), "bad-target", "target"),
    "too large": (series(target=[*HISTORY, 1e38]), "value-too-large", "target"),
    "too long": (series(target=[1] * 100_001), "too-much", "target"),
    "no ISO 8601 start": (series(start="01.02.2024"), "bad-timestamp", "start"),
    "no such day": (series(start="2024-02-30"), "bad-timestamp", "start"),
    "a word": (series(start="now"), "bad-timestamp", "start"),
    "a number as start": (series(start=5), "bad-timestamp", "start"),
    "past the year 9999": (series(start="9999-12-31T12:00"), "bad-timestamp", "start"),
    "no ISO 8601 timestamp": (series(timestamps=[*HOURS[:-1], "2024-13-01"]), "bad-timestamp", "timestamps"),
    "no timestamp": (series(timestamps=[*HOURS[:-1], None]), "bad-timestamp", "timestamps/47"),
    "timestamps missing": (series(timestamps=HOURS[:-1]), "bad-timestamp", "timestamps"),
    "start and timestamps": (series(start=HOURS[0], timestamps=HOURS), "bad-timestamp", "timestamps"),
    "a timestamp twice": (series(timestamps=[*HOURS[:-1], HOURS[0]]), "duplicate-timestamps", "timestamps"),
    "every second hour": (
        series(timestamps=[time.replace("2024-01", f"2024-{1 + i % 2:02}") for i, time in enumerate(HOURS)]),
        "irregular-timestamps",
        "timestamps",
    ),
    "days": (series(timestamps=[f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(48)]), None, "timestamps"),
    "unknown field": (series(values=[1]), "invalid-request", "values"),
    "covariates": (series(future_covariates={"price": [1]}), "invalid-request", "future_covariates"),
    "item_id that is no text": (series(item_id=7), "bad-item-id", "item_id"),
    "empty item_id": (series(item_id=""), "bad-item-id", "item_id"),
    "item_id twice": (series(item_id="good"), "bad-item-id", "item_id"),
    "item_id too long": (series(item_id="x" * 201), "bad-item-id", "item_id"),
}


@pytest.mark.parametrize(("body", "kind", "field"), IN_A_SERIES.values(), ids=IN_A_SERIES)
def test_in_a_series(client: httpx.Client, body: dict[str, Any], kind: str | None, field: str) -> None:
    response = client.post("/v1/forecast", json=body)
    document = problem(response)
    assert response.status_code == 422
    if kind is not None:
        assert document["type"] == f"/problems/{kind}"
    first = document["errors"][0]
    assert first["pointer"] == f"/inputs/1/{field}"
    name = body["inputs"][1]["item_id"]
    assert first["item_id"] == (name[:200] if isinstance(name, str) and name else "1")
    assert first["detail"]


IN_PARAMETERS = {
    "horizon 0": (asking(prediction_length=0), 422, "bad-parameter", "/parameters/prediction_length"),
    "horizon -1": (asking(prediction_length=-1), 422, "bad-parameter", "/parameters/prediction_length"),
    "horizon too far": (asking(prediction_length=193), 422, "bad-parameter", "/parameters/prediction_length"),
    "horizon 1e9": (asking(prediction_length=10**9), 422, "bad-parameter", "/parameters/prediction_length"),
    "horizon 1e300": (asking(prediction_length=10**300), 422, "bad-parameter", "/parameters/prediction_length"),
    "horizon 1.5": (asking(prediction_length=1.5), 422, "bad-parameter", "/parameters/prediction_length"),
    "horizon as text": (asking(prediction_length="5"), 422, "bad-parameter", "/parameters/prediction_length"),
    "level 0": (asking(quantile_levels=[0]), 422, "bad-parameter", "/parameters/quantile_levels"),
    "level 1": (asking(quantile_levels=[0.5, 1]), 422, "bad-parameter", "/parameters/quantile_levels"),
    "level 2": (asking(quantile_levels=[2]), 422, "bad-parameter", "/parameters/quantile_levels"),
    "level not trained": (asking(quantile_levels=[0.001]), 422, "bad-parameter", "/parameters/quantile_levels"),
    "level as text": (asking(quantile_levels=["0.5"]), 422, "bad-parameter", "/parameters/quantile_levels/0"),
    "51 levels": (asking(quantile_levels=[0.5] * 51), 422, "too-much", "/parameters/quantile_levels"),
    "no frequency": (asking(freq="fortnight"), 422, "bad-parameter", "/parameters/freq"),
    "another frequency": (asking(freq="D"), 422, "frequency-mismatch", "/parameters/freq"),
    "unknown model": (asking(model="sales"), 404, "model-not-found", "/parameters/model"),
    "unknown parameter": (asking(horizon=3), 422, "invalid-request", "/parameters/horizon"),
    "unknown field": ({**asking(), "data": []}, 422, "invalid-request", "/data"),
    "a field to escape": ({**asking(), "a/b~c": 1}, 422, "invalid-request", "/a~1b~0c"),
    "no inputs": ({}, 422, "invalid-request", "/inputs"),
    "inputs empty": ({"inputs": []}, 422, "empty-table", "/inputs"),
    "inputs an object": ({"inputs": {}}, 422, "invalid-request", "/inputs"),
    "too many series": ({"inputs": [{"target": [1]}] * 1001}, 422, "too-much", "/inputs"),
    "too many values": ({"inputs": [{"target": [1] * 100_000}] * 6}, 422, "too-much", "/inputs"),
    "too large an answer": (
        {"inputs": [{"target": HISTORY}] * 1000, "parameters": {"quantile_levels": [0.5] * 50}},
        422,
        "too-much",
        "/inputs",
    ),
    "a list": ([], 422, "invalid-request", ""),
    "text": ("series", 422, "invalid-request", ""),
}


@pytest.mark.parametrize(("body", "status", "kind", "at"), IN_PARAMETERS.values(), ids=IN_PARAMETERS)
def test_in_the_rest(client: httpx.Client, body: Any, status: int, kind: str, at: str) -> None:
    response = client.post("/v1/forecast", json=body)
    document = problem(response)
    assert (response.status_code, document["type"]) == (status, f"/problems/{kind}")
    assert document["errors"][0]["pointer"] == at


NOT_JSON = {
    "nothing": b"",
    "text": b"hello",
    "cut off": b'{"inputs": [{"target": [1, 2',
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a number of 5000 digits": b'{"inputs": [{"target": [' + b"9" * 5000 + b"]}]}",
    "a whole number of 5000 digits": b'{"inputs": [{"target": [1]}], "parameters": {"prediction_length": '
    + b"9" * 5000
    + b"}}",
    "half a character": b'{"inputs": [{"item_id": "\\ud800", "target": [1]}]}',
    "not UTF-8": b'{"inputs": [{"item_id": "\xff", "target": [1]}]}',
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_not_json(client: httpx.Client, body: bytes) -> None:
    response = client.post("/v1/forecast", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, problem(response)["type"]) == (400, "/problems/invalid-json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400])
def test_numbers_that_are_none(client: httpx.Client, number: str) -> None:
    body = f'{{"inputs": [{{"item_id": "a", "target": [1, {number}, {number}]}}]}}'
    response = client.post("/v1/forecast", content=body, headers={"Content-Type": "application/json"})
    document = problem(response)
    assert (response.status_code, document["type"]) == (422, "/problems/bad-target")
    [error] = document["errors"]
    assert (error["item_id"], error["pointer"]) == ("a", "/inputs/0/target/1")
    assert "null" in error["hint"]


def test_both_hint_and_names_of_what_is_there(client: httpx.Client) -> None:
    document = problem(client.post("/v1/forecast", json=asking(model="sales")))
    assert document["detail"] == "there is no model 'sales' here; there is pedestrian"
    document = problem(client.post("/v1/forecast", json=series(target=[1, 2])))
    assert document["detail"] == "'bad' has 2 values; this model needs at least 24"
    assert document["errors"][0]["hint"] == "send more history"
    document = problem(client.post("/v1/forecast", json=asking(prediction_length=0)))
    assert document["errors"][0]["hint"].startswith("ask for 1 to 192 steps")


def test_many_errors_are_cut(client: httpx.Client) -> None:
    body = {"inputs": [{"target": [1]}] * 900}
    document = problem(client.post("/v1/forecast", json=body))
    assert len(document["errors"]) == 20
    many = {f"field{i}": 1 for i in range(10_000)}
    assert len(problem(client.post("/v1/forecast", json={**asking(), **many}))["errors"]) == 20


@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "a" * 1000])
def test_media_type(client: httpx.Client, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    response = client.post("/v1/forecast", content=b"{}", headers=headers)
    assert (response.status_code, problem(response)["type"]) == (415, "/problems/unsupported-media-type")


def test_compressed(client: httpx.Client) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert client.post("/v1/forecast", content=b"x", headers=headers).status_code == 415


@pytest.mark.parametrize("announced", [True, False])
def test_body_too_large(client: httpx.Client, announced: bool) -> None:
    limit = client.get("/v1/models/pedestrian").json()["limits"]["body_bytes"]
    chunk = b" " * 2**20
    body = chunk * (limit // len(chunk) + 1) if announced else (chunk for _ in range(limit // len(chunk) + 1))
    response = client.post("/v1/forecast", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, problem(response)["type"]) == (413, "/problems/body-too-large")


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/", 404, "not-found"),
        ("GET", "/v1/models/sales", 404, "model-not-found"),
        ("GET", "/v1/models/" + "x" * 5000, 404, "model-not-found"),
        ("GET", "/v1/models/%ff%00", 404, "model-not-found"),
        ("GET", "/v1/forecast", 405, "method-not-allowed"),
        ("DELETE", "/livez", 405, "method-not-allowed"),
    ],
)
def test_routes_that_are_not_there(client: httpx.Client, method: str, path: str, status: int, kind: str) -> None:
    response = client.request(method, path)
    assert (response.status_code, problem(response)["type"]) == (status, f"/problems/{kind}")
    if status == 405:
        assert response.headers["allow"]
