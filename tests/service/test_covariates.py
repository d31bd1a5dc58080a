"""Covariates over HTTP: the library's forecast, or a problem document that names the field."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import CovariatesConfig, Forecaster, TrainingConfig
from service.app import create_app
from service.models import Models, ServedModel
from service.schema import ForecastResponse
from tests.forecast.test_covariate_forecasts import END, FRAME, FUTURE, HORIZON, PAST, forecaster
from tests.service.test_any_body import LENIENT

HISTORY = PAST["timestamp"] >= END - pd.Timedelta(hours=72)


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return forecaster().fit(PAST)


@pytest.fixture(scope="module")
def app(model: Forecaster) -> Any:
    models = Models(ServedModel("sales", model))
    return create_app(models)


def ask(app: Any, method: str, path: str, body: Any = None) -> httpx.Response:
    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            content = json.dumps(body).encode()
            return await client.request(method, path, content=content, headers={"Content-Type": "application/json"})

    return asyncio.run(send())


def plain(values: pd.Series) -> list[Any]:
    """As JSON has it: null for what is missing."""
    return [None if value is None or value != value else value for value in values.tolist()]


def series(item_id: str = "shop 0", **changes: Any) -> dict[str, Any]:
    """Three days of a shop, with all the model reads."""
    past = PAST[HISTORY & (PAST["item_id"] == item_id)]
    future = FUTURE[FUTURE["item_id"] == item_id].iloc[:HORIZON]
    return {
        "item_id": item_id,
        "start": past["timestamp"].iloc[0].isoformat(),
        "target": past["target"].tolist(),
        "past_covariates": {name: plain(past[name]) for name in ("price", "event", "visits")},
        "future_covariates": {name: plain(future[name]) for name in ("price", "event")},
        "static_covariates": {"region": past["region"].iloc[0]},
        **changes,
    }


def post(app: Any, *inputs: dict[str, Any], **parameters: Any) -> list[dict[str, Any]]:
    response = ask(app, "POST", "/v1/forecast", {"inputs": inputs, "parameters": parameters})
    assert response.status_code == 200, response.text
    answer: list[dict[str, Any]] = response.json()["predictions"]
    return answer


def test_values_are_the_librarys(app: Any, model: Forecaster) -> None:
    expected = model.predict(PAST[HISTORY], future=FUTURE).set_index("item_id")
    for prediction in post(app, series("shop 3"), series("shop 0")):
        frame = expected.loc[prediction["item_id"]]
        np.testing.assert_allclose(prediction["mean"], frame["mean"], rtol=1e-5)
        np.testing.assert_allclose(prediction["quantiles"]["0.9"], frame["0.9"], rtol=1e-5)


def test_clocks_and_orders_may_differ(app: Any) -> None:
    """Values stay with their times: rows are sorted together, series of one clock are laid out together."""
    whole = series("shop 1")
    times = [time.isoformat() for time in pd.date_range(whole["start"], periods=72, freq="h")]
    order = np.random.default_rng(0).permutation(72)
    shuffled = {
        **{key: value for key, value in whole.items() if key != "start"},
        "item_id": "shuffled",
        "timestamps": [times[k] for k in order],
        "target": [whole["target"][k] for k in order],
        "past_covariates": {name: [values[k] for k in order] for name, values in whole["past_covariates"].items()},
    }
    zoned = {**series("shop 2"), "start": series("shop 2")["start"] + "Z"}
    answers = post(app, shuffled, zoned, whole, series("shop 0"))
    assert answers[0]["mean"] == pytest.approx(answers[2]["mean"], rel=1e-5)
    assert answers[1]["mean"] == pytest.approx(post(app, zoned)[0]["mean"], rel=1e-5)
    assert answers[1]["timestamps"][0].endswith("Z")


def test_a_backtest_knows_what_was_known_in_advance(app: Any) -> None:
    """Of the held-out steps it reads what was known in advance, and nothing else; what comes after plays no part."""
    whole = series("shop 1")
    held = slice(-HORIZON, None)
    early = {
        **whole,
        "target": whole["target"][:-HORIZON],
        "past_covariates": {name: values[:-HORIZON] for name, values in whole["past_covariates"].items()},
        "future_covariates": {name: whole["past_covariates"][name][held] for name in ("price", "event")},
    }
    [expected] = post(app, early)
    for changes in ({}, {"future_covariates": None}):
        answer = ask(app, "POST", "/v1/backtest", {"inputs": [{**whole, **changes}]})
        assert answer.status_code == 200, answer.text
        [window] = answer.json()["series"][0]["windows"]
        assert window["timestamps"] == expected["timestamps"]
        assert window["mean"] == pytest.approx(expected["mean"], rel=1e-5)
        assert window["actual"] == pytest.approx(whole["target"][held], rel=1e-6)
    answer = ask(app, "POST", "/v1/backtest", {"inputs": [{**whole, "past_covariates": None}]})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/missing-covariate")


def test_a_higher_price_means_less(app: Any) -> None:
    future = series()["future_covariates"]
    cheap, dear = post(
        app,
        series(item_id="shop 0", future_covariates={**future, "price": [8] * HORIZON}),
        {**series(), "item_id": "dear", "future_covariates": {**future, "price": [12.0] * HORIZON}},
    )
    assert np.mean(dear["mean"]) < np.mean(cheap["mean"]) - 8


def test_missing_values_and_unknown_categories_are_taken(app: Any) -> None:
    blank = {"price": [None] * HORIZON, "event": ["moon landing"] * HORIZON}
    [prediction] = post(app, series(future_covariates=blank, static_covariates={"region": None}))
    assert np.isfinite(prediction["mean"]).all()


def test_a_shorter_horizon_needs_no_more(app: Any) -> None:
    future = {name: values[:5] for name, values in series()["future_covariates"].items()}
    [prediction] = post(app, series(future_covariates=future), prediction_length=5)
    assert len(prediction["mean"]) == 5


def test_series_without_times(app: Any) -> None:
    undated = series()
    del undated["start"]
    assert post(app, undated)[0]["steps"] == list(range(1, HORIZON + 1))


def test_the_model_says_what_it_reads(app: Any) -> None:
    assert ask(app, "GET", "/v1/models/sales").json()["covariates"] == {
        "known": ["price", "event"],
        "past": ["visits"],
        "static": ["region"],
        "categories": {"event": ["fair"], "region": ["north", "south"]},
    }


GOOD = series("shop 1")
PAST_GOOD, FUTURE_GOOD = GOOD["past_covariates"], GOOD["future_covariates"]
REFUSED = {
    "no covariates": (
        {"past_covariates": None, "future_covariates": None, "static_covariates": None},
        "missing-covariate",
        "",
        "has no past_covariates of 'price', 'event', 'visits', which this model reads",
    ),
    "no future": ({"future_covariates": {}}, "missing-covariate", "", "no future_covariates of 'price', 'event'"),
    "one missing": (
        {"future_covariates": {"price": FUTURE_GOOD["price"]}},
        "missing-covariate",
        "/future_covariates",
        "no future_covariates of 'event'",
    ),
    "no past of what is known": (
        {"past_covariates": {"visits": PAST_GOOD["visits"]}},
        "missing-covariate",
        "/past_covariates",
        "no past_covariates of 'price', 'event'",
    ),
    "no static": ({"static_covariates": {}}, "missing-covariate", "", "no static_covariates of 'region'"),
    "unknown name": (
        {"past_covariates": {**PAST_GOOD, "wea/ther": [1] * 72}},
        "invalid-request",
        "/past_covariates/wea~1ther",
        "past_covariates of 'wea/ther', which this model does not read",
    ),
    "the future of what is known for the past only": (
        {"future_covariates": {**FUTURE_GOOD, "visits": [1.0] * HORIZON}},
        "invalid-request",
        "/future_covariates/visits",
        "which this model does not read",
    ),
    "too short a past": (
        {"past_covariates": {**PAST_GOOD, "price": [1.0] * 71}},
        "bad-covariate",
        "/past_covariates/price",
        "past_covariates 'price' of 'shop 1' has 71 values, 72 are needed",
    ),
    "too long a future": (
        {"future_covariates": {**FUTURE_GOOD, "price": [1.0] * 25}},
        "bad-covariate",
        "/future_covariates/price",
        "has 25 values, 24 are needed",
    ),
    "text": (
        {"future_covariates": {**FUTURE_GOOD, "price": ["9"] * HORIZON}},
        "bad-covariate",
        "/future_covariates/price",
        "holds text; this model was trained on numbers",
    ),
    "a number too large": (
        {"past_covariates": {**PAST_GOOD, "visits": [*[1.0] * 71, -1e38]}},
        "bad-covariate",
        "/past_covariates/visits",
        "holds a number beyond 1e+33",
    ),
    "an object": (
        {"past_covariates": {**PAST_GOOD, "visits": [1.0, {}]}},
        "bad-covariate",
        "/past_covariates/visits/1",
        "past_covariates visits of 'shop 1' at position 1 should be a number, text, true or false, found an object",
    ),
    "infinity": (
        {"static_covariates": {"region": float("inf")}},
        "bad-covariate",
        "/static_covariates/region",
        "static_covariates region of 'shop 1' should be a number, text, true or false",
    ),
    "no list": (
        {"past_covariates": {**PAST_GOOD, "visits": 5}},
        "bad-covariate",
        "/past_covariates/visits",
        "should be a list",
    ),
    "no object": ({"past_covariates": [1]}, "bad-covariate", "/past_covariates", "should be an object"),
}


@pytest.mark.parametrize(("changes", "kind", "at", "detail"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_named(app: Any, changes: dict[str, Any], kind: str, at: str, detail: str) -> None:
    body = {"inputs": [series("shop 0"), series("shop 1", **changes)]}
    response = ask(app, "POST", "/v1/forecast", body)
    assert response.status_code == 422
    document = response.json()
    first = document["errors"][0]
    assert document["type"] == f"/problems/{kind}"
    assert first["pointer"] == f"/inputs/1{at}"
    assert first["item_id"] == "shop 1"
    assert detail in first["detail"]
    assert first.get("hint") or "should be a" in detail


def test_a_model_without_covariates_names_the_field(tiny: Forecaster) -> None:
    models = Models(ServedModel("tiny", tiny))
    body = {"inputs": [{"target": [1.0] * 48, "static_covariates": {"region": "north"}}]}
    response = ask(create_app(models), "POST", "/v1/forecast", body)
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["pointer"] == "/inputs/0/static_covariates"
    assert error["hint"] == "leave it out: this model takes no static_covariates"


def test_the_documented_request_is_answered() -> None:
    days = np.arange(200)
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2023-01-01", periods=200),
            "target": 400 + 50 * (days % 7 > 4) + days % 3,
            "temperature": 20 + days % 5,
            "holiday": np.where(days % 30 == 0, "New Year", None),
            "visitors": days % 11,
            "region": "coast",
        }
    )
    covariates = CovariatesConfig(known=("temperature", "holiday"), past=("visitors",), static=("region",))
    quick = TrainingConfig(max_epochs=1, batches_per_epoch=2)
    models = Models(ServedModel("demand", Forecaster("gru", 3, training=quick, covariates=covariates).fit(frame)))
    text = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
    [body] = re.findall(r"^```http\nPOST /v1/forecast\n.*?\n\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    response = ask(create_app(models), "POST", "/v1/forecast", json.loads(body))
    assert response.status_code == 200, response.text
    assert response.json()["predictions"][0]["timestamps"] == ["2024-01-09", "2024-01-10", "2024-01-11"]


value = st.none() | st.booleans() | st.floats(-1e33, 1e33) | st.text(max_size=3)
lists = st.lists(value, min_size=30, max_size=30)


@LENIENT
@given(price=lists, event=lists, visits=lists, region=value, ahead=st.lists(value, min_size=HORIZON, max_size=HORIZON))
def test_any_values_are_forecast_or_refused(
    app: Any, price: list[Any], event: list[Any], visits: list[Any], region: Any, ahead: list[Any]
) -> None:
    one = {
        "target": FRAME["target"].tolist()[:30],
        "past_covariates": {"price": price, "event": event, "visits": visits},
        "future_covariates": {"price": ahead, "event": ahead},
        "static_covariates": {"region": region},
    }
    response = ask(app, "POST", "/v1/forecast", {"inputs": [one]})
    if response.status_code == 200:
        assert np.isfinite(ForecastResponse(**response.json()).predictions[0].mean).all()
    else:
        assert response.status_code == 422
        assert response.json()["type"] == "/problems/bad-covariate"
