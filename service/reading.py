"""From a body's bytes to a checked request."""

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from fastapi import Request
from pydantic import ValidationError

from service.limits import LIMITS
from service.problems import ERRORS_SHOWN, ProblemError, ProblemItem, pointer
from service.schema import SeriesRequest, Strict
from service.schema_errors import explain

Asked = TypeVar("Asked", bound=SeriesRequest)


def check_media_type(request: Request) -> None:
    """Take a body of JSON alone, as it is.

    Raises:
        ProblemError: It says that it is something else, or compressed.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        detail = f"the body's Content-Type is {media_type[:50] or 'not given'}; send application/json"
        raise ProblemError("unsupported-media-type", detail=detail)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemError("unsupported-media-type", detail="the body is compressed; send it as it is")


def read_request(body: bytes, kind: type[Asked]) -> Asked:
    """Parse and check a body.

    Args:
        body: JSON.
        kind: What it should be.

    Returns:
        The request, in which every series has an item id.

    Raises:
        ProblemError: The body is not JSON, does not fit the schema, or asks for too much.
    """
    try:
        request = kind.model_validate_json(body)
    except ValidationError as error:
        raise explain(error, body) from None
    for place, series in enumerate(request.inputs):
        if series.item_id is None:
            series.item_id = str(place)
    check_series(request)
    points = sum(len(series.target) for series in request.inputs)
    if points > LIMITS.points:
        raise ProblemError(
            "too-much", [_item("/inputs", f"{points} values in all, {LIMITS.points} are taken", "send fewer series")]
        )
    return request


def check_answer_size(series: int, horizon: int, columns: int) -> None:
    """Refuse a request whose answer would be too large.

    Args:
        series: How many forecasts it would hold.
        horizon: Steps of each.
        columns: Numbers for each step.

    Raises:
        ProblemError: It would hold more numbers than are given.
    """
    numbers = series * horizon * columns
    if numbers > LIMITS.forecast_values:
        detail = f"the answer would hold {numbers} numbers, {LIMITS.forecast_values} are given"
        raise ProblemError(
            "too-much", [_item("/inputs", detail, "send fewer series, steps or quantile levels in one request")]
        )


def check_series(request: SeriesRequest) -> None:
    """Check what the schema cannot: fields that there are not, names, times that do not go with the values.

    Args:
        request: One in which every series has an item id.

    Raises:
        ProblemError: Something is wrong with a series.
    """
    if unknown := list(islice(_unknown_fields(request), ERRORS_SHOWN)):
        raise ProblemError("invalid-request", unknown)
    _check_item_ids(request)
    _check_times(request)


def _unknown_fields(request: SeriesRequest) -> Iterator[ProblemItem]:
    parts: list[tuple[Strict, str | None, tuple[str | int, ...]]] = [
        (request, None, ()),
        (request.parameters, None, ("parameters",)),
        *((series, series.item_id, ("inputs", place)) for place, series in enumerate(request.inputs)),
    ]
    for part, item_id, path in parts:
        for name in part.model_extra or ():
            known = ", ".join(type(part).model_fields)
            yield _item(pointer(*path, name), f"there is no field {name[:50]!r}", f"the fields are {known}", item_id)


def _check_item_ids(request: SeriesRequest) -> None:
    first: dict[str | None, int] = {}
    for place, series in enumerate(request.inputs):
        before = first.setdefault(series.item_id, place)
        if before != place:
            detail = f"inputs {before} and {place} are both named {series.item_id!r}"
            at = pointer("inputs", place, "item_id")
            raise ProblemError(
                "bad-item-id", [_item(at, detail, "give every series a name of its own", series.item_id)]
            )


def _check_times(request: SeriesRequest) -> None:
    """Refuse times that do not go with the values."""
    for place, series in enumerate(request.inputs):
        if series.timestamps is None:
            continue
        name = series.item_id
        if series.start is not None:
            detail, hint = f"{name!r} has both start and timestamps", "send one of them"
        elif len(series.timestamps) != len(series.target):
            detail = f"{name!r} has {len(series.timestamps)} timestamps and {len(series.target)} values"
            hint = "send one timestamp for each value"
        else:
            continue
        raise ProblemError("bad-timestamp", [_item(pointer("inputs", place, "timestamps"), detail, hint, name)])


def _item(at: str, detail: str, hint: str | None = None, item_id: str | None = None) -> ProblemItem:
    return ProblemItem(item_id=item_id, pointer=at, detail=detail, hint=hint)
