"""POST /v1/forecast:bulk: the same answers, in order, whatever is wrong with some of them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecast import Forecaster
from forecast.client import Client, Retries, _to_arrow
from forecast.errors import DataError, ModelNotFound, ServiceUnavailable
from service.app import create_app
from service.limits import LIMITS
from service.models import Models, ServedModel
from tests.service.conftest import Service

LINES, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"
WAVE = [float(hour % 24) for hour in range(48)]


def table(series: int, hours: int = 48, tz: str | None = None) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"s{number}" for number in range(series)], hours),
            "timestamp": np.tile(pd.date_range("2024-01-01", periods=hours, freq="h", tz=tz), series),
            "target": random.gamma(2, 50, series * hours),
        }
    )


def stream(frame: pd.DataFrame, rows: int = 1000, **options: Any) -> bytes:
    arrow = pa.table({name: pa.array(frame[name].array, from_pandas=True) for name in frame})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, arrow.schema, **options) as writer:
        writer.write_table(arrow, max_chunksize=rows)
    return sink.getvalue().to_pybytes()


def post(client: httpx.Client, content: Any, form: str, accept: str = "*/*", **parameters: Any) -> httpx.Response:
    headers = {"Content-Type": form, "Accept": accept}
    return client.post("/v1/forecast:bulk", content=content, headers=headers, params=parameters)


def read(answer: httpx.Response) -> pd.DataFrame:
    assert answer.status_code == 200, answer.text
    return pa.ipc.open_stream(answer.content).read_all().to_pandas()


def test_arrow_gives_what_the_library_gives(client: httpx.Client, tiny: Forecaster) -> None:
    frame = table(600)
    answered = read(post(client, stream(frame, 777), ARROW, prediction_length=5, quantile_levels="0.1,0.9"))
    expected = tiny.predict(frame, 5, [0.1, 0.9])
    assert answered["item_id"].tolist() == expected["item_id"].tolist()
    assert (answered["timestamp"] == expected["timestamp"]).all()
    columns = ["mean", "0.1", "0.9"]
    np.testing.assert_allclose(answered[columns], expected[columns], rtol=1e-4, atol=1e-3)


def test_the_four_forms_agree(client: httpx.Client) -> None:
    frame = table(3)
    lines = "".join(
        json.dumps({"item_id": name, "start": "2024-01-01T00:00", "target": own["target"].tolist()}) + "\n"
        for name, own in frame.groupby("item_id", sort=False)
    )
    means = []
    for content, form in ((stream(frame), ARROW), (lines, LINES)):
        means.append(read(post(client, content, form, ARROW))["mean"].to_numpy())
        told = [json.loads(line) for line in post(client, content, form, LINES).text.splitlines()]
        assert [one["timestamps"][0] for one in told] == ["2024-01-03T00:00:00"] * 3
        means.append(np.concatenate([one["mean"] for one in told]))
    for one in means[1:]:
        np.testing.assert_allclose(one, means[0], rtol=1e-4, atol=1e-3)


def test_times_come_back_in_their_zone(client: httpx.Client) -> None:
    content = _to_arrow(table(1, tz="Europe/Berlin"))
    assert str(read(post(client, content, ARROW))["timestamp"].dtype) == "datetime64[us, Europe/Berlin]"
    told = json.loads(post(client, content, ARROW, LINES).text)
    assert told["timestamps"][0] == "2024-01-03T00:00:00+01:00"


def test_broken_lines_are_refused_in_their_place(client: httpx.Client) -> None:
    lines = [
        json.dumps({"item_id": "a", "target": WAVE}),
        json.dumps({"item_id": "b", "target": [1]}),
        json.dumps({"item_id": "a", "target": WAVE}),
        "{nope",
        '{"target": [1]}, {"target": [2]}',
        json.dumps({"target": [*WAVE, 1e300]}),
        json.dumps({"target": WAVE, "colour": 1}),
        '{"target": [' + "[" * 10_000,
        json.dumps({"target": WAVE}),
    ]
    told = [json.loads(line) for line in post(client, "\n".join(lines), LINES).text.splitlines()]
    kinds = [one["error"]["type"].rpartition("/")[2] if "error" in one else None for one in told]
    assert kinds == [
        None,
        "series-too-short",
        "bad-item-id",
        "invalid-json",
        "invalid-json",
        "value-too-large",
        "invalid-request",
        "invalid-json",
        None,
    ]
    assert [one["item_id"] for one in told] == ["a", "b", "a", *"345678"]
    assert all(one["error"]["errors"][0]["detail"] for one in told if "error" in one)


def test_broken_rows_are_refused_in_their_place(client: httpx.Client) -> None:
    frame = table(300)
    frame.loc[frame["item_id"] == "s7", "target"] = np.nan
    frame.loc[frame.index[48 * 150], "timestamp"] = frame["timestamp"][48 * 150 + 1]
    frame.loc[48 * 200, "target"] = np.inf
    answered = read(post(client, stream(frame), ARROW, prediction_length=1))
    refused = answered[answered["error"].notna()]
    assert refused["item_id"].tolist() == ["s7", "s150", "s200"]
    assert refused["error"].tolist() == ["all-missing", "duplicate-timestamps", "infinite-value"]
    assert answered["item_id"].tolist() == [f"s{number}" for number in range(300)]


@pytest.mark.parametrize(
    ("content", "form", "accept", "parameters", "status"),
    [
        (b"", "text/csv", "*/*", {}, 415),
        (b"{}", LINES, "text/html", {}, 406),
        (b"nonsense of some length", ARROW, "*/*", {}, 400),
        (b"", ARROW, "*/*", {}, 400),
        (b"{}", LINES, "*/*", {"model": "none"}, 404),
        (b"{}", LINES, "*/*", {"prediction_length": "0"}, 422),
        (b"{}", LINES, "*/*", {"prediction_length": "x"}, 422),
        (b"{}", LINES, "*/*", {"quantile_levels": "0.5,2"}, 422),
        (b"{}", LINES, "*/*", {"freq": "D"}, 422),
    ],
)
def test_whole_calls_are_refused(
    client: httpx.Client, content: bytes, form: str, accept: str, parameters: dict[str, str], status: int
) -> None:
    answer = post(client, content, form, accept, **parameters)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda frame: frame.assign(item_id=frame["item_id"].astype("category")), "dictionaries"),
        (lambda frame: frame.assign(colour=1), "'colour' is not read"),
        (lambda frame: frame.assign(target="x"), "'target' is of type"),
        (lambda frame: frame.drop(columns="target"), "no column 'target'"),
        (lambda frame: frame.assign(item_id=None), "'item_id' is of type null"),
        (lambda frame: frame.assign(timestamp=frame["timestamp"].where(frame.index > 0)), "rows without timestamp"),
    ],
)
def test_arrow_of_other_columns_is_refused(client: httpx.Client, change: Any, word: str) -> None:
    answer = post(client, stream(change(table(2))), ARROW)
    assert answer.status_code == 400
    assert word in answer.json()["detail"] or any(word in one["detail"] for one in answer.json()["errors"])


def test_compressed_arrow_is_refused(client: httpx.Client) -> None:
    content = stream(table(2), options=pa.ipc.IpcWriteOptions(compression="zstd"))
    assert "compressed" in post(client, content, ARROW).json()["detail"]


def mutations(count: int) -> Iterator[bytes]:
    good = stream(table(2))
    random = np.random.default_rng(0)
    for _ in range(count):
        bad = bytearray(good)
        for place in random.integers(0, len(bad), random.integers(1, 5)):
            bad[place] = random.integers(256)
        yield bytes(bad[: random.integers(len(bad))] if random.random() < 0.1 else bad)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_arrow_is_refused_or_read(tiny: Forecaster, count: int) -> None:
    app = create_app(Models(ServedModel("tiny", tiny)))

    async def ask() -> set[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            headers = {"Content-Type": ARROW}
            return {
                (await client.post("/v1/forecast:bulk", content=bad, headers=headers)).status_code
                for bad in mutations(count)
            }

    statuses = asyncio.run(ask())
    assert 400 in statuses
    assert statuses <= {200, 400, 413, 422}


def test_a_body_without_its_length_is_streamed(client: httpx.Client) -> None:
    def lines() -> Iterator[bytes]:
        for number in range(1000):
            yield json.dumps({"item_id": str(number), "target": WAVE}).encode() + b"\n"

    told = [json.loads(line) for line in post(client, lines(), LINES, prediction_length=1).text.splitlines()]
    assert [one["item_id"] for one in told] == [str(number) for number in range(1000)]
    assert all("mean" in one for one in told)


@pytest.mark.parametrize("chunked", [False, True])
def test_64_megabytes_are_refused(service: Service, client: httpx.Client, chunked: bool) -> None:
    def resident() -> int:
        return int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]) * 4096

    piece = b" " * 2**20
    before = resident()
    content: Any = (piece for _ in range(64)) if chunked else piece * 64
    try:
        answer = client.post("/v1/forecast", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
    except httpx.WriteError:  # refused before all of it was sent
        pass
    assert resident() - before < LIMITS.body_bytes * 3
    assert client.get("/livez").status_code == 200


def test_the_client_splits_and_keeps_what_is_good(service: Service, tiny: Forecaster) -> None:
    frame = table(1100)
    expected = tiny.predict(frame, 2, [0.5])
    broken = frame.drop(frame.index[48 * 5 + 3 : 48 * 6]).sample(frac=1, random_state=0)
    with Client(service.url) as client:
        kept = client.forecast(broken, 2, quantile_levels=[0.5], on_error="keep")
        with pytest.raises(DataError, match="'s5' has 3 values") as raised:
            client.forecast(broken, 2)
        with pytest.raises(ModelNotFound):
            client.forecast(frame[:48], model="none")
        assert [model["name"] for model in client.models()] == ["pedestrian"]
    assert raised.value.problems[0].item_id == "s5"
    assert list(kept.attrs["errors"]) == ["s5"]
    assert kept.attrs["model"]["model"] == "pedestrian"
    both = kept.merge(expected, on=["item_id", "timestamp"])
    assert len(both) == len(kept) == 2 * 1099
    np.testing.assert_allclose(both["mean_x"], both["mean_y"], rtol=1e-4, atol=1e-3)


def test_the_client_knows_zones(service: Service) -> None:
    with Client(service.url) as client:
        forecasts = client.forecast(table(1, tz="Europe/Berlin"), 2)
    assert forecasts["timestamp"].tolist() == [
        pd.Timestamp("2024-01-03T00:00", tz="Europe/Berlin"),
        pd.Timestamp("2024-01-03T01:00", tz="Europe/Berlin"),
    ]


def test_the_client_says_that_nobody_answers() -> None:
    with Client("http://127.0.0.1:1", retries=Retries(2, 0.01)) as client, pytest.raises(ServiceUnavailable):
        client.models()
