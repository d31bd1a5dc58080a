"""POST /v1/inspect: what the library sees, bounded, and in nobody's way."""

import asyncio
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, read_series
from forecast.inspection import inspect_forecast
from service.inspection.inspector import Inspector
from service.inspection.schema import InspectResponse
from service.openapi import INSPECT_EXAMPLES
from service.problems import ProblemError
from tests.service.conftest import Service


def wave(steps: int, seed: int = 0) -> list[float]:
    noise = np.random.default_rng(seed).normal(0, 5, steps)
    return [round(100 + 20 * np.sin(2 * np.pi * hour / 24) + noise[hour], 2) for hour in range(steps)]


SERIES = {"item_id": "shop", "start": "2024-01-01T00:00:00", "target": wave(400)}


def ask(client: httpx.Client, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = client.post("/v1/inspect", json=body, headers=headers, timeout=120)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    InspectResponse.model_validate(answer, strict=True)
    return answer


@pytest.fixture(scope="module")
def seen(client: httpx.Client) -> dict[str, Any]:
    return ask(client, {"inputs": [SERIES], "parameters": {"lead_time": 3}})


def test_the_answer_is_what_the_library_sees(seen: dict[str, Any], tiny: Forecaster) -> None:
    times = pd.date_range("2024-01-01", periods=400, freq="h")
    table = read_series(pd.DataFrame({"item_id": "shop", "timestamp": times, "target": SERIES["target"]}))
    (expected,) = inspect_forecast(tiny.config, tiny.network, table, lead_time=3)
    (member,) = seen["members"]
    assert (seen["item_id"], member["name"]) == ("shop", "lstm")
    np.testing.assert_allclose(member["median"], expected.median, rtol=1e-4)
    np.testing.assert_allclose(member["attribution"]["history"], expected.attribution.history[0], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(member["connectivity"]["total"], expected.connectivity.total, rtol=1e-3, atol=1e-5)
    assert member["attribution"]["forecast"] == pytest.approx(member["median"][2], rel=1e-4)
    assert [state["layer"] for state in member["states"]] == [state.layer for state in expected.states]
    np.testing.assert_allclose(member["states"][0]["hidden"], expected.states[0].hidden[0], rtol=1e-3, atol=1e-4)
    assert [400 - one["steps_before"] for one in member["similar"]] == expected.similar.origin.tolist()
    assert isinstance(seen["findings"], list)


def test_a_series_too_short_to_judge_by_is_explained_all_the_same(client: httpx.Client, tiny: Forecaster) -> None:
    answer = ask(client, {"inputs": [{"target": wave(tiny.minimum_history)}]})
    assert answer["findings"] is None
    assert answer["members"][0]["attribution"]["completeness"] < 0.05


@pytest.mark.parametrize("name", INSPECT_EXAMPLES)
def test_the_example_of_the_description_is_answered(client: httpx.Client, name: str) -> None:
    ask(client, INSPECT_EXAMPLES[name]["value"])


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({"inputs": [SERIES], "parameters": {"lead_time": 999}}, "/parameters/lead_time", "forecasts 24 steps at once"),
        ({"inputs": [SERIES], "parameters": {"lead_time": 0}}, "/parameters/lead_time", ""),
        ({"inputs": [SERIES], "parameters": {"levels": 1}}, "/parameters/levels", "there is no field 'levels'"),
        ({"inputs": [SERIES, SERIES]}, "/inputs", ""),
        ({"inputs": [{"item_id": "a", "target": [1.0]}]}, "/inputs/0/target", "'a' has 1"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(
    client: httpx.Client, body: dict[str, Any], pointer: str, said: str
) -> None:
    response = client.post("/v1/inspect", json=body)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["pointer"] == pointer
    assert said in response.json()["errors"][0]["detail"]


def children(service: Service) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(service.process.pid)], capture_output=True, text=True, check=False)
    pids = map(int, done.stdout.split())
    return [pid for pid in pids if "service.inspection" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_an_inspecting_process_that_dies_is_replaced(client: httpx.Client, service: Service) -> None:
    ask(client, {"inputs": [SERIES]})
    (child,) = children(service)
    assert os.getpriority(os.PRIO_PROCESS, child) > os.getpriority(os.PRIO_PROCESS, service.process.pid)
    os.kill(child, signal.SIGKILL)
    ask(client, {"inputs": [SERIES]})
    assert children(service) != [child]


def test_more_than_may_wait_are_refused_at_once_and_forecasts_go_on(client: httpx.Client) -> None:
    def post(_: int) -> int:
        return client.post("/v1/inspect", json={"inputs": [SERIES]}, timeout=120).status_code

    with ThreadPoolExecutor(20) as pool:
        looks = [pool.submit(post, number) for number in range(20)]
        answers = [client.post("/v1/forecast", json={"inputs": [SERIES]}).status_code for _ in range(30)]
        statuses = [look.result() for look in looks]
    assert set(answers) == {200}
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 9  # the one under way, and those that may wait


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_look_that_takes_too_long_is_ended(tiny: Forecaster) -> None:
    times = pd.date_range("2024-01-01", periods=400, freq="h")
    table = read_series(pd.DataFrame({"item_id": "shop", "timestamp": times, "target": SERIES["target"]}))
    inspector = Inspector(seconds=0.2)  # shorter than the process takes to start
    try:
        with pytest.raises(ProblemError) as caught:
            asyncio.run(inspector.look(tiny, table, None, {}, time.monotonic() + 60, lambda: False))
        assert caught.value.kind == "deadline-passed"
        with pytest.raises(ProblemError) as caught:
            asyncio.run(inspector.look(tiny, table, None, {}, time.monotonic() - 1, lambda: False))
        assert "before the look began" in caught.value.detail
    finally:
        inspector.close()
