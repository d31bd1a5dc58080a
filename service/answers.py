"""From forecast arrays to the JSON that answers."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pydantic_core import to_json

from forecast import SeriesTable
from forecast.calendar import DAY, SECOND
from forecast.errors import DataError, Problem
from service.models import ServedModel
from service.tables import Part

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


def predictions(
    model: ServedModel,
    parts: Sequence[Part],
    forecasts: Sequence[npt.NDArray[np.float32]],
    quantile_levels: Sequence[float],
) -> dict[int, dict[str, Any]]:
    """By the place of each series, a `schema.Prediction`.

    Raises:
        DataError: A forecast goes past the year 9999.
        FloatingPointError: A forecast is not finite; the model is broken.
    """
    answers: dict[int, dict[str, Any]] = {}
    names = [str(level) for level in quantile_levels]
    for part, forecast in zip(parts, forecasts, strict=True):
        check_finite(model, forecast)
        numbers = short(forecast.transpose(0, 2, 1)).tolist()  # (N, 1 + R, H)
        caution = model.forecaster.caution(forecast.shape[1])
        times = times_of(part.table, forecast.shape[1])
        for series, place in enumerate(part.places):
            mean, *quantiles = numbers[series]
            answers[place] = {
                "item_id": part.table.item_ids[series],
                **times[series],
                "mean": mean,
                "quantiles": dict(zip(names, quantiles, strict=True)),
                "warnings": [*part.table.warnings(series), *([caution] if caution else [])],
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
    if table.frequency.kind == "step":
        return
    ends = table.times(table.lengths[:, None] + horizon - 1)[:, 0]
    late = np.flatnonzero(ends > LAST)
    if len(late):
        item_id = str(table.item_ids[late[0]])
        problem = Problem(f"{item_id!r} goes past the year 9999", "check its times", item_id, "timestamp")
        raise DataError("bad-timestamp", problem)


def short(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The 64-bit floats that print as the 32-bit ones do: 0.1, not 0.10000000149011612."""
    text = pa.array(numbers.ravel()).cast(pa.string())
    return text.cast(pa.float64()).to_numpy().reshape(numbers.shape)  # type: ignore[no-any-return]


def texts_of(table: SeriesTable, horizon: int) -> list[list[str]]:
    """The future of each series as JSON has it; steps are told as text too."""
    return [[str(time) for time in next(iter(times.values()))] for times in times_of(table, horizon)]


def times_of(table: SeriesTable, horizon: int) -> list[dict[str, list[str] | list[int]]]:
    """The future of each series: its `timestamps`, or its `steps`."""
    if table.frequency.kind == "step":
        return [{"steps": list(range(1, horizon + 1))}] * len(table)
    check_end(table, horizon)
    times = table.times(table.lengths[:, None] + np.arange(horizon))
    index = table.timestamps(times)
    offset = table.tz.utcoffset(None) if table.tz else None
    if table.tz is not None and offset is None:  # a region, whose offset changes
        texts = np.array([time.isoformat() for time in index], object).reshape(times.shape)
        return [{"timestamps": row} for row in texts.tolist()]
    suffix = "" if offset is None else "Z" if table.tz == UTC else _offset(offset)
    local = pd.DatetimeIndex(index).tz_localize(None).to_numpy().astype("M8[us]").reshape(times.shape)
    days = table.frequency.kind != "fixed" or table.frequency.size % DAY == 0
    return [{"timestamps": _texts(row, days and not suffix, suffix)} for row in local]


def _texts(times: npt.NDArray[np.datetime64], days: bool, suffix: str) -> list[str]:
    """ISO 8601; dates alone where steps of days without an offset fall on midnight, as such data are sent."""
    micros = times.astype(np.int64)
    unit: Literal["D", "s", "us"] = "us" if (micros % SECOND).any() else "s"
    if days and not (micros % DAY).any():
        unit = "D"
    texts: list[str] = np.datetime_as_string(times, unit=unit).tolist()
    return [text + suffix for text in texts] if suffix else texts


def _offset(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
