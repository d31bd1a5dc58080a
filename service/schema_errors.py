"""What pydantic finds wrong with a body, in this service's words."""

import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from service.limits import LIMITS
from service.problems import ProblemError, ProblemItem, pointer

TIME_HINT = "write times as 2024-01-31T13:00, with an offset such as +01:00 or Z if you have one"
WORDS = {  # by pydantic's type of error: what is wrong, and what to do
    "missing": ("is missing", "add the field"),
    "model_type": ("should be an object", None),
    "dict_type": ("should be an object", None),
    "list_type": ("should be a list", None),
    "string_type": ("should be text", None),
    "int_type": ("should be a whole number", None),
    "int_from_float": ("should be a whole number", None),
    "float_type": ("should be a number", "send numbers, and null where a value is missing"),
    "finite_number": ("should be finite", "send null where a value is missing: NaN and Infinity are not JSON"),
    "covariate_type": ("should be a number, text, true or false", "send null where a value is missing"),
    "string_pattern_mismatch": ("should be an ISO 8601 time", TIME_HINT),
    "string_too_long": ("should have at most {max_length} characters", None),
    "string_too_short": ("is empty", "leave it out, or name the series"),
    "greater_than_equal": ("should be {ge} or more", None),
    "too_short": ("is empty", "send at least one"),
    "too_long": ("has {actual_length} entries, {max_length} are taken", "send fewer in one request"),
}
SCALAR = {
    "string_type",
    "int_type",
    "int_from_float",
    "float_type",
    "finite_number",
    "greater_than_equal",
    "string_pattern_mismatch",
    "covariate_type",
}
KINDS_BY_TYPE = {"missing": "invalid-request", "too_short": "empty-table", "too_long": "too-much"}
KINDS = {"target": "bad-target", "timestamps": "bad-timestamp", "start": "bad-timestamp", "item_id": "bad-item-id"}


def explain(error: ValidationError, body: bytes) -> ProblemError:
    """The problem document for a body that is not a request.

    Args:
        error: What pydantic found.
        body: The body, from which the names of the series concerned are read.
    """
    errors = error.errors(include_url=False, include_input=False)
    first = errors[0]
    if first["type"] == "json_invalid":
        reason = first["msg"].removeprefix("Invalid JSON: ")
        return ProblemError(
            "invalid-json",
            [ProblemItem(pointer="", detail=f"the body is not JSON: {reason}", hint="send one JSON object in UTF-8")],
        )
    if all(one["type"] in SCALAR for one in errors):  # others would make objects of the whole body
        errors = error.errors(include_url=False)
    kind = "invalid-request"
    path = first["loc"]
    if first["type"] in KINDS_BY_TYPE:
        kind = KINDS_BY_TYPE[first["type"]]
    elif path[:1] == ("parameters",):
        kind = "bad-parameter"
    elif len(path) > 2:
        kind = "bad-covariate" if str(path[2]).endswith("_covariates") else KINDS.get(str(path[2]), kind)
    names = _names(body) if any(len(one["loc"]) > 2 for one in errors) else []
    return ProblemError(kind, [_described(one, names) for one in errors])


def _described(error: ErrorDetails, names: list[str]) -> ProblemItem:
    path = error["loc"]
    place = path[1] if len(path) > 1 and path[0] == "inputs" else None
    name = names[place] if isinstance(place, int) and place < len(names) else None
    subject = ".".join(str(part) for part in path)[:100] or "the body"
    if name is not None and len(path) > 2:
        field = " ".join(str(part) for part in path[2:] if not isinstance(part, int))[:100]
        position = f" at position {path[-1]}" if isinstance(path[-1], int) else ""
        subject = f"{field} of {name!r}{position}"
    words, hint = WORDS.get(error["type"], (error["msg"], None))
    found = f", found {_shown(error['input'])}" if "input" in error else ""
    detail = f"{subject} {words.format(**error.get('ctx', {}))}{found}"
    return ProblemItem(item_id=name, pointer=pointer(*path), detail=detail, hint=hint)


def _names(body: bytes) -> list[str]:
    """The item ids of a body that is JSON, but not a request."""
    content = from_json(body)
    inputs = content.get("inputs") if isinstance(content, dict) else None
    if not isinstance(inputs, list):
        return []
    given = [series.get("item_id") if isinstance(series, dict) else None for series in inputs[: LIMITS.series]]
    return [
        name[: LIMITS.item_id_length] if isinstance(name, str) and name else str(place)
        for place, name in enumerate(given)
    ]


def _shown(value: Any) -> str:
    """A value of the request, without the data it may hold."""
    if isinstance(value, str):
        return repr(value[:50])
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return json.dumps(value)[:50]
