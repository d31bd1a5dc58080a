"""Whatever the series: a finite forecast, or a 4xx that names it and says what to do. Of /v1/backtest likewise."""

import asyncio
import json
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forecast import Forecaster
from service.app import create_app
from service.backtest.schema import BacktestResponse
from service.limits import LIMITS
from service.models import Models, ServedModel
from service.schema import ForecastResponse

SHORT = [0, 1, 2, 23, 24, 25, 47, 48, 169, 400]
LONG = [*SHORT, 5_000, LIMITS.points_per_series - 1, LIMITS.points_per_series, LIMITS.points_per_series + 1, 10**6]
ZONES = ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
STARTS = ["2024-03-30T12:00", "2024-10-26T12:00", "1900-01-01", "2024-02-28T23:00"]
EDGES = ["0000-01-01", "0001-01-01T00:00+14:00", "9999-12-30", "9999-12-31T23:59:59.999999-14:00", "2024-02-30"]


def values(random: np.random.Generator, kind: str, length: int) -> np.ndarray:
    """Values of a kind, some of them as wild as JSON allows."""
    steps = np.arange(length)
    return {
        "wave": lambda: 100 + 20 * np.sin(steps / 4) + random.normal(size=length),
        "constant": lambda: np.full(length, random.choice([0.0, -0.0, 5.0, 1e33, 1e-45, 1e-300])),
        "extreme": lambda: random.choice([-1e33, 1e33, 0.0, 1e-38, 5e-324], length),
        "spike": lambda: np.where(steps == random.integers(max(length, 1)), 1e33, 0.0),
        "any size": lambda: random.choice([-1, 1], length) * 10.0 ** random.uniform(-40, 33, length),
        "counts": lambda: random.poisson(0.1, length).astype(float),
        "growth": lambda: np.exp2(np.minimum(steps / 10, 100.0)),
        "too large": lambda: random.choice([1.0, 1.1e33, 1e308], length),
    }[kind]()


def missing(random: np.random.Generator, kind: str, length: int) -> np.ndarray:
    """Which of them are null."""
    steps = np.arange(length)
    return {
        "none": lambda: np.zeros(length, bool),
        "all": lambda: np.ones(length, bool),
        "some": lambda: random.random(length) < 0.3,
        "most": lambda: random.random(length) < 0.99,
        "end": lambda: steps >= length - random.integers(200),
        "middle": lambda: (steps > length // 4) & (steps < 3 * length // 4),
    }[kind]()


def times(random: np.random.Generator, kind: str, zone: str, start: str, length: int) -> dict[str, Any]:
    """Its time, told in one of the ways there are, right or wrong."""
    if kind in ("undated", "start", "edge"):
        return {"undated": {}, "start": {"start": start}, "edge": {"start": random.choice(EDGES)}}[kind]
    hours = np.arange(length)
    if kind == "unsorted":
        hours = random.permutation(hours)
    if kind == "twice" and length:
        hours[-1] = hours[0]
    if kind == "gaps":
        hours = hours + hours // 7
    if kind == "far apart":
        hours = np.sort(random.integers(0, 10**7, length))
    minutes = 60 * hours + (random.integers(0, 2, length) if kind == "off the grid" else 0)
    stamps = pd.Timestamp(start).as_unit("us") + pd.to_timedelta(minutes, "min")
    if kind in ("local", "unsorted", "wall clock"):  # with the offsets of a place, which change
        stamps = stamps.tz_localize("UTC").tz_convert(ZoneInfo(zone))
    if kind == "wall clock":  # without them, so that an hour comes twice and another never
        stamps = stamps.tz_localize(None)
    return {"timestamps": [time.isoformat() for time in stamps]}


KINDS = {
    "value": ["wave", "constant", "extreme", "spike", "any size", "counts", "growth", "too large"],
    "gap": ["none", "all", "some", "most", "end", "middle"],
    "time": [
        "undated",
        "start",
        "local",
        "unsorted",
        "twice",
        "gaps",
        "off the grid",
        "wall clock",
        "far apart",
        "edge",
    ],
}


def one(seed: int, length: int, value: str, gap: str, time: str, zone: str, start: str) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    target = values(random, value, length).astype(object)
    target[missing(random, gap, length)] = None
    return {"target": target.tolist(), **times(random, time, zone, start, length)}


def series(lengths: list[int]) -> st.SearchStrategy[dict[str, Any]]:
    kinds = {name: st.sampled_from(some) for name, some in KINDS.items()}
    places = {"zone": st.sampled_from(ZONES), "start": st.sampled_from(STARTS)}
    return st.builds(one, seed=st.integers(0, 2**32), length=st.sampled_from(lengths), **kinds, **places)


def body(lengths: list[int]) -> st.SearchStrategy[dict[str, Any]]:
    horizon = st.fixed_dictionaries({"prediction_length": st.sampled_from([1, 24, 25, 192])})
    return st.fixed_dictionaries(
        {"inputs": st.lists(series(lengths), min_size=1, max_size=3), "parameters": st.just({}) | horizon}
    )


PATHS = st.sampled_from(["/v1/forecast", "/v1/backtest"])


@pytest.fixture(scope="module")
def app(tiny: Forecaster) -> Any:
    return create_app(Models(ServedModel("tiny", tiny)))


def check(app: Any, path: str, sent: dict[str, Any]) -> None:
    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post(path, content=json.dumps(sent), headers={"Content-Type": "application/json"})

    response = asyncio.run(post())
    if response.status_code == 413:
        return
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, response.text
        for error in response.json()["errors"]:
            assert error["detail"]
            assert error["hint"]
            assert error["pointer"].startswith("/")
        return
    if path == "/v1/forecast":
        for prediction in ForecastResponse(**response.json()).predictions:
            assert np.isfinite([prediction.mean, *prediction.quantiles.values()]).all()
        return
    for judged in BacktestResponse(**response.json()).series:
        for window in judged.windows:
            assert np.isfinite([window.mean, *window.quantiles.values(), *vars(window.baselines).values()]).all()


RULES = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=100, **RULES)
@given(path=PATHS, sent=body(SHORT))
def test_any_series(app: Any, path: str, sent: dict[str, Any]) -> None:
    check(app, path, sent)


@pytest.mark.slow
@settings(max_examples=3000, **RULES)
@given(path=PATHS, sent=body(SHORT))
def test_thousands_of_any_series(app: Any, path: str, sent: dict[str, Any]) -> None:
    check(app, path, sent)


@pytest.mark.slow
@settings(max_examples=200, **RULES)
@given(path=PATHS, sent=body(LONG))
@example("/v1/forecast", {"inputs": [{"target": [1.0] * 10**6}]})
def test_any_series_of_up_to_a_million_values(app: Any, path: str, sent: dict[str, Any]) -> None:
    check(app, path, sent)
