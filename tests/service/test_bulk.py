"""POST /v1/forecast:bulk: the same answers as one by one, in order, whatever the form; and nothing that breaks it."""

import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecast import Forecaster
from tests.service.conftest import Service

PATH, ARROW, LINES = "/v1/forecast:bulk", "application/vnd.apache.arrow.stream", "application/x-ndjson"
HOURS = 72


def frame(series: int, hours: int = HOURS) -> pd.DataFrame:
    number = np.arange(series * hours)
    values = np.random.default_rng(0).gamma(4, 25, len(number)).round(2)
    return pd.DataFrame(
        {
            "item_id": [f"s{k}" for k in number // hours],
            "timestamp": pd.Timestamp("2024-01-01") + pd.to_timedelta(number % hours, "h"),
            "target": values,
        }
    )


def as_lines(table: pd.DataFrame) -> bytes:
    lines = [
        {"item_id": name, "start": str(rows["timestamp"].iloc[0]), "target": rows["target"].tolist()}
        for name, rows in table.groupby("item_id", sort=False)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def as_arrow(table: pd.DataFrame, rows: int = 1000) -> bytes:
    whole = pa.Table.from_pandas(table, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        for batch in whole.to_batches(rows):
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def post(client: httpx.Client, body: bytes, form: str, **query: Any) -> httpx.Response:
    return client.post(PATH, content=body, headers={"Content-Type": form}, params=query)


def test_lines_are_answered_as_one_by_one_and_in_order(client: httpx.Client) -> None:
    table = frame(40)
    answer = post(client, as_lines(table), LINES)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(LINES)
    assert answer.headers["x-model-name"] == "pedestrian"
    inputs = [json.loads(line) for line in as_lines(table).splitlines()]
    expected = client.post("/v1/forecast", json={"inputs": inputs}).json()["predictions"]
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["item_id"] for one in found] == [f"s{k}" for k in range(40)]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine["timestamps"] == theirs["timestamps"]
        assert mine["mean"] == pytest.approx(theirs["mean"], rel=1e-5)
        assert mine["quantiles"].keys() == theirs["quantiles"].keys()


@pytest.mark.parametrize("rows", [7, 1000, 10**6])
def test_arrow_is_answered_as_the_library_does(client: httpx.Client, tiny: Forecaster, rows: int) -> None:
    table = frame(30)
    answer = post(client, as_arrow(table, rows), ARROW, quantile_levels="0.1,0.5")
    assert answer.status_code == 200
    found = pa.ipc.open_stream(answer.content).read_all()
    assert found.schema.metadata[b"model"] == b"pedestrian"
    expected = tiny.predict(table, quantile_levels=[0.1, 0.5])
    result = found.to_pandas()
    assert result["item_id"].tolist() == expected["item_id"].tolist()
    assert (result["timestamp"].to_numpy() == expected["timestamp"].to_numpy()).all()
    for column in ("mean", "0.1", "0.5"):
        np.testing.assert_allclose(result[column], expected[column], rtol=1e-5)
    assert result["error"].isna().all()


def test_a_series_that_is_broken_is_refused_in_its_place(client: httpx.Client) -> None:
    lines = as_lines(frame(4)).splitlines()
    lines[1] = b'{"item_id": "short", "target": [1, 2, 3]}'
    lines.insert(2, b"{not json")
    lines.append(lines[0])  # a name that came before
    found = [json.loads(line) for line in post(client, b"\n".join(lines), LINES).text.splitlines()]
    assert [one.get("item_id") for one in found] == ["s0", "short", "2", "s2", "s3", "s0"]
    assert [one["error"]["type"] if "error" in one else None for one in found] == [
        None,
        "/problems/series-too-short",
        "/problems/invalid-json",
        None,
        None,
        "/problems/bad-item-id",
    ]


def test_lines_can_be_answered_in_arrow(client: httpx.Client) -> None:
    headers = {"Content-Type": LINES, "Accept": ARROW}
    body = as_lines(frame(2)) + b'{"item_id": "short", "target": [1]}\n'
    answer = client.post(PATH, content=body, headers=headers, params={"prediction_length": 2})
    found = pa.ipc.open_stream(answer.content).read_all().to_pandas()
    assert found["item_id"].tolist() == ["s0", "s0", "s1", "s1", "short"]
    assert found["error"].tolist()[-1] == "series-too-short"


@pytest.mark.parametrize(
    ("headers", "query", "status", "kind"),
    [
        ({"Content-Type": "text/csv"}, {}, 415, "unsupported-media-type"),
        ({"Content-Type": LINES, "Content-Encoding": "gzip"}, {}, 415, "unsupported-media-type"),
        ({"Content-Type": LINES, "Accept": "text/html"}, {}, 406, "not-acceptable"),
        ({"Content-Type": LINES}, {"prediction_length": "0"}, 422, "bad-parameter"),
        ({"Content-Type": LINES}, {"prediction_length": "soon"}, 422, "bad-parameter"),
        ({"Content-Type": LINES}, {"quantile_levels": "0.1,1"}, 422, "bad-parameter"),
        ({"Content-Type": LINES}, {"freq": "D"}, 422, "frequency-mismatch"),
        ({"Content-Type": LINES}, {"model": "nobody"}, 404, "model-not-found"),
        ({"Content-Type": ARROW}, {}, 400, "invalid-arrow"),
    ],
)
def test_what_cannot_be_answered_is_said_at_once(
    client: httpx.Client, headers: dict[str, str], query: dict[str, str], status: int, kind: str
) -> None:
    answer = client.post(PATH, content=as_lines(frame(1)), headers=headers, params=query)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")


def test_a_body_in_chunks_is_answered_while_it_comes(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        whole = as_lines(frame(30))
        for place in range(0, len(whole), 999):
            yield whole[place : place + 999]

    answer = client.post(PATH, content=chunks(), headers={"Content-Type": LINES})
    assert len(answer.text.splitlines()) == 30


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_spoilt_arrow_stream_never_ends_the_process(service: Service, client: httpx.Client, count: int) -> None:
    whole = as_arrow(frame(3), 100)
    pick = random.Random(0)
    for _ in range(count):
        spoilt = bytearray(whole[: pick.randrange(len(whole))] if pick.random() < 0.2 else whole)
        for _ in range(pick.randint(1, 8) if spoilt else 0):
            spoilt[pick.randrange(len(spoilt))] = pick.randrange(256)
        answer = post(client, bytes(spoilt), ARROW)
        assert answer.status_code < 500, answer.text
    assert service.process.poll() is None
    assert post(client, whole, ARROW).status_code == 200
