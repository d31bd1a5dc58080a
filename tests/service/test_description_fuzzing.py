"""Requests made from the OpenAPI description, valid and not: no 5xx, and no answer that it does not describe."""

import random
from collections import Counter
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from tests.service.conftest import Service

WITH_PARAMETERS = [
    ("GET", "/v1/models/{name}"),
    ("POST", "/v1/backtest"),
    ("POST", "/v1/forecast"),
    ("POST", "/v1/forecast:bulk"),
    ("POST", "/v1/inspect"),
]
ROUTES = [("GET", "/livez"), ("GET", "/metrics"), ("GET", "/readyz"), ("GET", "/v1/models"), *WITH_PARAMETERS]
GOOD_LINE = f'{{"target": {[*range(48)]}}}\n'
LINES, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"

load_all_checks()
# What a description cannot say: that series are long enough, times on a grid, names there.
BEYOND_IT = [CHECKS.get_one("positive_data_acceptance"), CHECKS.get_one("not_a_server_error")]
for form in (LINES, ARROW):

    @schemathesis.serializer(form)
    def as_it_is(context: Any, value: Any) -> bytes:
        return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.fixture(scope="module")
def description(service: Service) -> Any:
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    assert (
        sorted((method.upper(), path) for path, item in schema.raw_schema["paths"].items() for method in item) == ROUTES
    )
    return schema


def mend(case: Case, chance: random.Random) -> None:
    """Half of the valid requests get what a description cannot ask for, so that many are forecast and not refused."""
    if chance.random() < 0.5:
        return
    case.headers.pop("X-Request-Timeout", None)
    if "name" in case.path_parameters:
        case.path_parameters["name"] = "pedestrian"
    if isinstance(case.body, dict):
        for series in case.body.get("inputs", []):
            series["target"] = (series["target"] * 120)[: chance.randint(24, 120)]
            for field in ("timestamps", "past_covariates", "future_covariates", "static_covariates"):
                series.pop(field, None)
            if "start" in series:
                series["start"] = chance.choice(["2024-01-01", "1969-12-31T23:59:59.9Z", "2024-03-31T01:30+02:00"])
        parameters = case.body.get("parameters", {})
        for field in ("model", "freq", "quantile_levels"):
            parameters.pop(field, None)
        for field in ("prediction_length", "windows", "step"):
            if parameters.get(field):
                parameters[field] = 1 + abs(parameters[field]) % 3
    elif isinstance(case.body, str) and case.media_type == LINES:
        case.body = GOOD_LINE + case.body


def ask(description: Any, method: str, path: str, mode: GenerationMode, most: int, by_chance: bool) -> Counter[int]:
    """Up to so many requests that fit the description, or that do not; how often which status came."""
    statuses = Counter[int]()

    @settings(
        max_examples=most,
        derandomize=not by_chance,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(description[path][method].as_strategy(generation_mode=mode), st.randoms(use_true_random=False))
    def run(case: Case, chance: random.Random) -> None:
        if mode == GenerationMode.POSITIVE:
            mend(case, chance)
        response = case.call(timeout=60)
        statuses[response.status_code] += 1
        case.validate_response(response, excluded_checks=BEYOND_IT)
        if response.status_code >= 500:  # no time at all is what some ask for
            assert response.status_code in (503, 504), response.text
            assert "X-Request-Timeout" in case.headers, response.text

    run()
    return statuses


def check(description: Any, method: str, path: str, most: int, by_chance: bool) -> int:
    """Ask, both what fits and, where there is a body of JSON, what does not; how many requests that were."""
    valid = ask(description, method, path, GenerationMode.POSITIVE, most, by_chance)
    assert valid[200] > 0
    spoilt = Counter[int]()
    if method == "POST" and not path.endswith(":bulk"):
        spoilt = ask(description, method, path, GenerationMode.NEGATIVE, most, by_chance)
    print(method, path, dict(valid), dict(spoilt))
    return valid.total() + spoilt.total()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_answers_are_as_the_description_says(description: Any, method: str, path: str) -> None:
    check(description, method, path, most=60 if (method, path) in WITH_PARAMETERS else 2, by_chance=False)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), WITH_PARAMETERS)
def test_ten_thousand_answers_are_as_the_description_says(description: Any, method: str, path: str) -> None:
    """2,000 of each kind that a route can be asked, 12,000 in all; looks inside take seconds, and are fewer."""
    most = 150 if path == "/v1/inspect" else 2000
    assert check(description, method, path, most, by_chance=True) >= 0.9 * most  # what was asked is not asked twice
