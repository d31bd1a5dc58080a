"""The OpenAPI description: the request that is read by hand, and the problems that every route may answer."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from service.backtest.schema import BacktestRequest
from service.inspection.schema import InspectRequest
from service.problems import MEDIA_TYPE, ProblemDocument
from service.schema import ForecastRequest

KEY = "API key"
REF = "#/components/schemas/{model}"
_SEASON = [round(100 + 20 * math.sin(2 * math.pi * hour / 24), 1) for hour in range(48)]

EXAMPLES: dict[str, Any] = {
    "dated": {
        "summary": "Two series, one with a missing value",
        "value": {
            "inputs": [
                {"item_id": "shop_1", "start": "2024-01-01T00:00:00", "target": _SEASON},
                {
                    "item_id": "shop_2",
                    "start": "2024-01-01T00:00:00+01:00",
                    "target": [*_SEASON[:20], None, *_SEASON[21:]],
                },
            ],
            "parameters": {"prediction_length": 2, "quantile_levels": [0.1, 0.5, 0.9]},
        },
    },
    "undated": {"summary": "Values alone", "value": {"inputs": [{"target": _SEASON}]}},
}

BACKTEST_EXAMPLES: dict[str, Any] = {
    "two windows": {
        "summary": "Two windows of six hours, each forecast from what came before it",
        "value": {
            "inputs": [{"item_id": "shop_1", "start": "2024-01-01T00:00:00", "target": _SEASON}],
            "parameters": {"prediction_length": 6, "windows": 2, "quantile_levels": [0.1, 0.5, 0.9]},
        },
    },
    "undated": {
        "summary": "Values alone",
        "value": {"inputs": [{"target": _SEASON}], "parameters": {"prediction_length": 6}},
    },
}


_TIMEOUT = {
    "name": "X-Request-Timeout",
    "in": "header",
    "description": "Seconds within which computing must have begun; after that the answer is 504.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


def _json_body(model: str, examples: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": REF.format(model=model)}, "examples": examples}}
    return {"parameters": [_TIMEOUT], "requestBody": {"required": True, "content": content}}


INSPECT_EXAMPLES: dict[str, Any] = {
    "one series": {
        "summary": "Why the first hour ahead is forecast as it is",
        "value": {
            "inputs": [{"item_id": "shop_1", "start": "2024-01-01T00:00:00", "target": _SEASON}],
            "parameters": {"lead_time": 1},
        },
    }
}

FORECAST_BODY = _json_body("ForecastRequest", EXAMPLES)
BACKTEST_BODY = _json_body("BacktestRequest", BACKTEST_EXAMPLES)
INSPECT_BODY = _json_body("InspectRequest", INSPECT_EXAMPLES)
_LINES = "application/x-ndjson"
_ARROW = "application/vnd.apache.arrow.stream"
_LINE = (
    '{"item_id": "shop_1", "start": "2024-01-01T00:00:00", "target": '
    + str(_SEASON)
    + '}\n{"item_id": "shop_2", "target": '
    + str(_SEASON)
    + "}\n"
)
BULK_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            _LINES: {"schema": {"type": "string"}, "examples": {"two": {"summary": "Two series", "value": _LINE}}},
            _ARROW: {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
BULK_ANSWER = {
    "description": "The forecasts, in the order of the series",
    "content": {_LINES: {"schema": {"type": "string"}}, _ARROW: {"schema": {"type": "string", "format": "binary"}}},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: these problems, and any other in the same form."""
    content = {MEDIA_TYPE: {"schema": {"$ref": REF.format(model="ProblemDocument")}}}
    named: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses
    }
    return {**named, "default": {"description": "Any other problem", "content": content}}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The function that makes the app's description, once."""

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            content = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            _, definitions = models_json_schema(
                [
                    (ForecastRequest, "validation"),
                    (BacktestRequest, "validation"),
                    (InspectRequest, "validation"),
                    (ProblemDocument, "serialization"),
                ],
                ref_template=REF,
            )
            components = content.setdefault("components", {})
            components.setdefault("schemas", {}).update(definitions["$defs"])
            components["securitySchemes"] = {KEY: {"type": "http", "scheme": "bearer"}}
            content["security"] = [{KEY: []}, {}]  # or none: a service may do without keys
            app.openapi_schema = content
        return app.openapi_schema

    return description
