"""POST /v1/backtest: what the library's own backtest says, and a clear word where there is too little to hold out."""

from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, SeasonalNaive, read_series
from forecast.backtest import backtest
from forecast.predictor import DEFAULT_LEVELS
from service.backtest.schema import BacktestResponse, Scores
from service.openapi import BACKTEST_EXAMPLES

METRICS = list(Scores.model_fields)


def wave(steps: int, seed: int = 0, level: float = 100) -> list[float]:
    noise = np.random.default_rng(seed).normal(0, 5, steps)
    return [round(level + 20 * np.sin(2 * np.pi * hour / 24) + noise[hour], 2) for hour in range(steps)]


def ask(client: httpx.Client, *inputs: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    response = client.post("/v1/backtest", json={"inputs": inputs, "parameters": parameters})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert BacktestResponse(**answer).model_dump(exclude_unset=True) == answer
    assert response.headers["x-model-name"] == answer["model"]["name"] == "pedestrian"
    return answer


def refusal(client: httpx.Client, *inputs: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    response = client.post("/v1/backtest", json={"inputs": inputs, "parameters": parameters})
    assert 400 <= response.status_code < 500, response.text
    return response.json()


@pytest.mark.filterwarnings("ignore::forecast.errors.DataWarning")
def test_errors_and_forecasts_are_the_librarys(client: httpx.Client, tiny: Forecaster) -> None:
    targets: list[list[float | None]] = [[*wave(150, 1)], [*wave(260, 2, 1000)]]
    targets[1][70] = targets[1][255] = None
    names, start = ["a", "b"], "2024-01-01T00:00:00"
    inputs = [{"item_id": name, "start": start, "target": one} for name, one in zip(names, targets, strict=True)]
    answer = ask(client, *inputs, windows=3, step=10, prediction_length=12, quantile_levels=[0.25, 0.5])

    frames = [
        pd.DataFrame({"item_id": name, "timestamp": pd.date_range(start, periods=len(one), freq="h"), "target": one})
        for name, one in zip(names, targets, strict=True)
    ]
    models = {"model": tiny, "naive": SeasonalNaive(1), "seasonal_naive": SeasonalNaive(24)}
    levels = sorted([0.25, *DEFAULT_LEVELS])
    expected = backtest(models, read_series(pd.concat(frames)), prediction_length=12, windows=3, step=10)
    with_quarter = backtest(models, expected.table, prediction_length=12, windows=3, step=10, quantile_levels=levels)
    assert answer["season"] == expected.season == 24
    for name in models:
        assert answer["metrics"][name] == pytest.approx(expected.metrics(name), rel=1e-4)
        each = expected.per_series(name)
        for one in answer["series"]:
            assert one["metrics"][name] == pytest.approx(each.loc[one["item_id"]].to_dict(), rel=1e-4)

    windows = [window for one in answer["series"] for window in one["windows"]]
    assert [window["history_length"] for window in windows] == [118, 128, 138, 228, 238, 248]
    order = np.lexsort((expected.origins, expected.series))
    for window, at in zip(windows, order, strict=True):
        first = pd.Timestamp(start) + pd.Timedelta(hours=int(expected.origins[at]))
        assert pd.DatetimeIndex(window["timestamps"]).equals(pd.date_range(first, periods=12, freq="h"))
        came = np.array(window["actual"], float)
        np.testing.assert_allclose(came, np.where(expected.observed[at], expected.actual[at], np.nan), rtol=1e-6)
        forecast = [window["mean"], window["quantiles"]["0.25"], window["quantiles"]["0.5"]]
        columns = [0, 1 + levels.index(0.25), 1 + levels.index(0.5)]
        np.testing.assert_allclose(np.transpose(forecast), with_quarter.forecasts["model"][at][:, columns], rtol=1e-4)
        for name in ("naive", "seasonal_naive"):
            np.testing.assert_allclose(window["baselines"][name], expected.forecasts[name][at, :, 5], rtol=1e-6)
    assert windows[-1]["actual"][7] is None
    assert answer["series"][1]["warnings"] == [
        "2 missing values, the first at 2024-01-03 22:00:00: masked, not filled in"
    ]


def test_a_window_is_forecast_from_what_came_before_it_alone(client: httpx.Client) -> None:
    """As /v1/forecast answers when the rest was never sent, whatever the rest holds."""
    target = wave(200)
    parameters = {"prediction_length": 24, "quantile_levels": [0.1, 0.9]}
    early = {"inputs": [{"start": "2024-01-01", "target": target[:-24]}], "parameters": parameters}
    [forecast] = client.post("/v1/forecast", json=early).json()["predictions"]
    for rest in (target[-24:], [1e6] * 24, [None] * 24):
        [series] = ask(client, {"start": "2024-01-01", "target": [*target[:-24], *rest]}, **parameters)["series"]
        [window] = series["windows"]
        assert window["timestamps"] == forecast["timestamps"]
        np.testing.assert_allclose(window["mean"], forecast["mean"], rtol=1e-5)
        for level in ("0.1", "0.9"):
            np.testing.assert_allclose(window["quantiles"][level], forecast["quantiles"][level], rtol=1e-5)
    assert series["metrics"]["model"] == dict.fromkeys(METRICS)  # nothing came: nothing is said


def test_clocks_may_differ_within_a_request(client: httpx.Client) -> None:
    inputs = [
        {"item_id": "utc", "start": "2024-01-01T00:00Z", "target": wave(100, 1)},
        {"item_id": "none", "target": wave(90, 2)},
        {"item_id": "local", "start": "2024-01-01T00:00", "target": wave(120, 3)},
    ]
    together = ask(client, *inputs, windows=2)
    assert [one["item_id"] for one in together["series"]] == ["utc", "none", "local"]
    for one, sent in zip(together["series"], inputs, strict=True):
        [alone] = ask(client, sent, windows=2)["series"]
        assert one["metrics"]["model"] == pytest.approx(alone["metrics"]["model"], rel=1e-4)
        assert one["windows"][0].get("timestamps") == alone["windows"][0].get("timestamps")
    assert together["series"][1]["windows"][1]["steps"] == list(range(1, 25))
    means = [one["metrics"]["naive"]["mase"] for one in together["series"]]
    assert together["metrics"]["naive"]["mase"] == pytest.approx(np.mean(means), rel=1e-4)


def test_a_season_that_repeats_is_forecast_best_by_the_season(client: httpx.Client) -> None:
    target = [100 + 20 * np.sin(2 * np.pi * hour / 24) for hour in range(168)]
    metrics = ask(client, {"target": target}, windows=2)["metrics"]
    assert metrics["seasonal_naive"]["wql"] == pytest.approx(0, abs=1e-6)
    assert metrics["model"]["wql"] < metrics["naive"]["wql"]
    assert metrics["model"]["smape"] < metrics["naive"]["smape"]


@pytest.mark.parametrize("value", [0, 5, 1e33])
def test_what_cannot_be_measured_is_null(client: httpx.Client, value: float) -> None:
    """A constant series has no seasonal error to measure by."""
    metrics = ask(client, {"target": [value] * 100})["metrics"]["model"]
    assert metrics["mase"] is metrics["rmsse"] is None
    assert (metrics["wql"] is None) == (value == 0)


def test_the_largest_numbers_are_judged(client: httpx.Client) -> None:
    answer = ask(client, {"target": [1e33, -1e33] * 60}, prediction_length=48)
    for name in ("naive", "seasonal_naive"):
        assert answer["metrics"][name]["wql"] is not None


def test_series_too_short_are_named(client: httpx.Client) -> None:
    inputs = [{"item_id": name, "target": wave(length)} for name, length in (("a", 96), ("b", 95), ("c", 30))]
    document = refusal(client, *inputs, windows=3)
    assert document["type"] == "/problems/series-too-short"
    assert [one["item_id"] for one in document["errors"]] == ["b", "c"]
    assert document["errors"][0] == {
        "item_id": "b",
        "pointer": "/inputs/1/target",
        "detail": "'b' has 95 values; 72 are held out, and this model needs at least 24 more",
        "hint": "send more history, or ask for fewer windows or steps",
    }
    assert len(ask(client, inputs[0], windows=3)["series"][0]["windows"]) == 3


def test_a_window_without_recent_values_is_named(client: httpx.Client) -> None:
    target = [*wave(30), *[None] * 200, *wave(60)]
    document = refusal(client, {"item_id": "pause", "target": target}, windows=3)
    assert document["type"] == "/problems/all-missing"
    [error] = document["errors"]
    assert error["detail"] == "'pause' has no value in the 168 steps before its step 219, where a window begins"
    assert error["pointer"] == "/inputs/0/target"


@pytest.mark.parametrize(
    ("parameters", "kind", "at"),
    [
        ({"windows": 0}, "bad-parameter", "/parameters/windows"),
        ({"windows": 1.5}, "bad-parameter", "/parameters/windows"),
        ({"step": 0}, "bad-parameter", "/parameters/step"),
        ({"step": 10**300, "windows": 2}, "series-too-short", "/inputs/0/target"),
        ({"windows": 10**300}, "too-much", "/parameters/windows"),
        ({"windows": 501}, "too-much", "/parameters/windows"),
        ({"prediction_length": 193}, "bad-parameter", "/parameters/prediction_length"),
        ({"quantile_levels": [0.5, 0.999]}, "bad-parameter", "/parameters/quantile_levels"),
        ({"window": 3}, "invalid-request", "/parameters/window"),
    ],
)
def test_parameters_out_of_range(client: httpx.Client, parameters: dict[str, Any], kind: str, at: str) -> None:
    document = refusal(client, {"target": wave(100)}, {"target": wave(100)}, **parameters)
    assert (document["type"], document["errors"][0]["pointer"]) == (f"/problems/{kind}", at)


def test_a_time_that_is_up_and_a_body_that_is_none(client: httpx.Client) -> None:
    body = {"inputs": [{"target": wave(100)}]}
    late = client.post("/v1/backtest", json=body, headers={"X-Request-Timeout": "0.000001"})
    assert (late.status_code, late.json()["type"]) == (504, "/problems/deadline-passed")
    headers = {"Content-Type": "text/plain"}
    assert client.post("/v1/backtest", content=b"{}", headers=headers).status_code == 415


def test_a_thousand_windows(client: httpx.Client) -> None:
    inputs = [{"item_id": f"s{i}", "target": wave(200, i)} for i in range(10)]
    answer = ask(client, *inputs, windows=100, step=1, quantile_levels=[0.5], prediction_length=12)
    assert [len(one["windows"]) for one in answer["series"]] == [100] * 10
    assert 0.5 < answer["metrics"]["model"]["coverage80"] <= 1


@pytest.mark.parametrize("name", BACKTEST_EXAMPLES)
def test_openapi_examples_are_answered(client: httpx.Client, name: str) -> None:
    description = client.get("/openapi.json").json()
    content = description["paths"]["/v1/backtest"]["post"]["requestBody"]["content"]["application/json"]
    sent = content["examples"][name]["value"]
    ask(client, *sent["inputs"], **sent["parameters"])
