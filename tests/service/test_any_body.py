"""Whatever the body: a finite forecast, or a 4xx that says what to do."""

import asyncio
import json
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast import Forecaster
from service.app import create_app
from service.models import Models, ServedModel
from service.schema import ForecastResponse

LENIENT = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

text = st.text(st.characters(codec="utf-8"), max_size=8)
fields = st.sampled_from(
    ["inputs", "parameters", "target", "start", "timestamps", "item_id", "freq", "quantile_levels"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields | text, inner, max_size=4),
    max_leaves=20,
)
numbers = st.none() | st.floats(-1e33, 1e33) | st.integers(-1000, 1000)
times = st.sampled_from(
    ["0000-01-01", "1969-12-31T23:00-12:00", "2024-02-29T00:00", "9998-01-01T00:00Z", "2024-01-01T00:30+23:59"]
)
series = st.fixed_dictionaries(
    {"target": st.lists(numbers, min_size=20, max_size=200)}, optional={"start": times | text, "item_id": text}
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "prediction_length": st.integers(-1, 26),
        "quantile_levels": st.lists(st.floats(0, 1), max_size=4),
        "freq": st.sampled_from(["h", "60min", "D", "step", "0h"]) | text,
    },
)


@pytest.fixture(scope="module")
def app(tiny: Forecaster) -> Any:
    models = Models(ServedModel("tiny", tiny))
    return create_app(models)


def check(app: Any, body: Any) -> None:
    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            content = json.dumps(body).encode()
            return await client.post("/v1/forecast", content=content, headers={"Content-Type": "application/json"})

    response = asyncio.run(post())
    if response.status_code == 200:
        for prediction in ForecastResponse(**response.json()).predictions:
            assert np.isfinite([prediction.mean, *prediction.quantiles.values()]).all()
    else:
        assert 400 <= response.status_code < 500
        assert response.json()["errors"][0]["detail"]


@LENIENT
@given(body=anything)
def test_any_json(app: Any, body: Any) -> None:
    check(app, body)


@LENIENT
@given(inputs=st.lists(series, min_size=1, max_size=3), parameters=parameters)
def test_any_series(app: Any, inputs: list[Any], parameters: dict[str, Any]) -> None:
    check(app, {"inputs": inputs, "parameters": parameters})
