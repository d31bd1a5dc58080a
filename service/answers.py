"""From forecast arrays to the JSON that answers."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson

from forecast import SeriesTable
from forecast.calendar import DAY, SECOND
from forecast.errors import DataError, Problem
from service.models import ServedModel
from service.tables import Part

Times = list[str] | list[int] | npt.NDArray[np.datetime64]

LAST = np.datetime64("9999-12-31T23:59:59.999999", "us")  # beyond it ISO 8601 has no four-digit year


def write_answer(
    model: ServedModel,
    parts: Sequence[Part],
    forecasts: Sequence[npt.NDArray[np.float32]],
    quantile_levels: Sequence[float],
) -> bytes:
    """The body of a `schema.ForecastResponse`.

    Args:
        model: The model that answers.
        parts: The request's tables.
        forecasts: `(N, H, 1 + R)` for each.
        quantile_levels: R levels.

    Raises:
        DataError: A forecast goes past the year 9999.
        FloatingPointError: A forecast is not finite; the model is broken.
    """
    answers = predictions(model, parts, forecasts, quantile_levels)
    return to_json({"model": version_of(model), "predictions": [answers[place] for place in sorted(answers)]})


def version_of(model: ServedModel) -> dict[str, str | None]:
    """A `schema.ModelVersion`."""
    return {"name": model.name, "version": model.version, "run_id": model.run_id}


def to_json(answer: Any) -> bytes:
    """JSON of what may hold arrays; 32-bit floats are written in as few digits as tell them apart, 0.1 as 0.1."""
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def predictions(
    model: ServedModel,
    parts: Sequence[Part],
    forecasts: Sequence[npt.NDArray[np.float32]],
    quantile_levels: Sequence[float],
) -> dict[int, dict[str, Any]]:
    """By the place of each series, a `schema.Prediction` whose numbers are arrays.

    Raises:
        DataError: A forecast goes past the year 9999.
        FloatingPointError: A forecast is not finite; the model is broken.
    """
    answers: dict[int, dict[str, Any]] = {}
    names = [str(level) for level in quantile_levels]
    for part, forecast in zip(parts, forecasts, strict=True):
        check_finite(model, forecast)
        numbers = np.ascontiguousarray(forecast.transpose(0, 2, 1))  # (N, 1 + R, H)
        caution = model.forecaster.caution(forecast.shape[1])
        complete = part.table.observed.all()
        times = times_of(part.table, forecast.shape[1])
        for series, place in enumerate(part.places):
            mean, *quantiles = numbers[series]
            answers[place] = {
                "item_id": part.table.item_ids[series],
                **times[series],
                "mean": mean,
                "quantiles": dict(zip(names, quantiles, strict=True)),
                "warnings": [*([] if complete else part.table.warnings(series)), *([caution] if caution else [])],
            }
    return answers


def check_finite(model: ServedModel, forecast: npt.NDArray[np.float32]) -> None:
    """Never answer with what is no number.

    Raises:
        FloatingPointError: A forecast is not finite; the model is broken.
    """
    if not np.isfinite(forecast).all():
        raise FloatingPointError(f"model {model} gave a forecast that is not finite")


def check_end(table: SeriesTable, horizon: int) -> None:
    """Refuse series whose forecasts would be dated past the year 9999.

    Raises:
        DataError: Names one ("bad-timestamp").
    """
    if table.frequency.kind != "step":
        _check_dates(table, table.times(table.lengths[:, None] + horizon - 1))


def _check_dates(table: SeriesTable, times: npt.NDArray[np.datetime64]) -> None:
    late = np.flatnonzero(times[:, -1] > LAST)
    if len(late):
        item_id = str(table.item_ids[late[0]])
        problem = Problem(f"{item_id!r} goes past the year 9999", "check its times", item_id, "timestamp")
        raise DataError("bad-timestamp", problem)


def texts_of(table: SeriesTable, horizon: int) -> list[list[str]]:
    """The future of each series as JSON has it; steps are told as text too."""
    return [[str(time) for time in next(iter(times.values()))] for times in times_of(table, horizon)]


def times_of(table: SeriesTable, horizon: int) -> list[dict[str, Times]]:
    """The future of each series: its `timestamps`, or its `steps`."""
    if table.frequency.kind == "step":
        return [{"steps": list(range(1, horizon + 1))}] * len(table)
    times = table.times(table.lengths[:, None] + np.arange(horizon))
    _check_dates(table, times)
    offset = table.tz.utcoffset(None) if table.tz else None
    if table.tz is not None and offset is None:  # a region, whose offset changes
        texts = np.array([time.isoformat() for time in table.timestamps(times)], object).reshape(times.shape)
        return [{"timestamps": row} for row in texts.tolist()]
    suffix = "" if offset is None else "Z" if table.tz == UTC else _offset(offset)
    local = times if offset is None or table.wall_clock else times + np.timedelta64(offset, "us")
    days = table.frequency.kind != "fixed" or table.frequency.size % DAY == 0
    return [{"timestamps": _texts(row, days and not suffix, suffix)} for row in local]


def _texts(times: npt.NDArray[np.datetime64], days: bool, suffix: str) -> list[str] | npt.NDArray[np.datetime64]:
    """ISO 8601; dates alone where steps of days without an offset fall on midnight, as such data are sent."""
    micros = times.view(np.int64)
    unit: Literal["D", "s", "us"] = "us" if (micros % SECOND).any() else "s"
    if days and not (micros % DAY).any():
        unit = "D"
    elif unit == "s" and not suffix:
        return times.astype("M8[s]")  # as JSON writes such an array
    texts: list[str] = np.datetime_as_string(times, unit=unit).tolist()
    return [text + suffix for text in texts] if suffix else texts


def _offset(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
