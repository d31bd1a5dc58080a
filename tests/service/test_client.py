"""`forecast.client`: what the library gives, asked of a service."""

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.client import Client, Retries
from forecast.errors import DataError, ModelNotFound, ParameterError, ServiceUnavailable
from tests.service.conftest import Service

API = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")


def table(series: int, hours: int = 48, tz: str | None = None) -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"s{number}" for number in range(series)], hours),
            "timestamp": np.tile(pd.date_range("2024-01-01", periods=hours, freq="h", tz=tz), series),
            "target": random.gamma(2, 50, series * hours),
        }
    )


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


def test_the_client_asks_again_when_it_is_told_to() -> None:
    statuses = [503, 429, 200]

    class Busy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = statuses.pop(0)
            body = b'{"models": []}' if status == 200 else b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_port}", retries=Retries(3, 0.01)) as client:
            assert client.models() == []
        server.shutdown()
    assert statuses == []


@pytest.mark.parametrize(
    ("frame", "options", "kind", "message"),
    [
        (pd.DataFrame({"item_id": ["a"]}), {}, DataError, "no column 'target'"),
        (pd.DataFrame({"target": []}), {}, DataError, "no rows"),
        (pd.DataFrame({"item_id": [None], "target": [1]}), {}, DataError, "rows without item_id"),
        (pd.DataFrame({"timestamp": ["x"], "target": [1]}), {}, DataError, "timestamps cannot be read"),
        (pd.DataFrame({"target": [1]}), {"known_covariates": ["price"]}, DataError, "no column 'price'"),
        (pd.DataFrame({"target": [1]}), {"future": pd.DataFrame()}, ParameterError, "go together"),
        (pd.DataFrame({"target": [1]}), {"on_error": "hide"}, ParameterError, "on_error"),
    ],
)
def test_what_cannot_be_sent(frame: pd.DataFrame, options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(kind, match=message):
        client.forecast(frame, **options)


def test_the_example_of_the_docs(service: Service) -> None:
    (code,) = (block for block in re.findall(r"^```python\n(.*?)^```", API, re.M | re.DOTALL) if "Client(" in block)
    names: dict[str, Any] = {}
    exec(code.replace("http://127.0.0.1:8000", service.url), names)
    assert list(names["forecasts"]) == ["item_id", "timestamp", "mean", "0.1", "0.5", "0.9"]
    assert len(names["forecasts"]) == 3
