"""One forecast call, from the body's bytes to the answer's."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from fastapi.concurrency import run_in_threadpool

from forecast import Forecaster, SeriesTable
from forecast.errors import DataError, ForecastError, ModelNotFound, ParameterError, Problem
from forecast.predictor import check_horizon
from service.answers import write_answer
from service.caller import Caller
from service.covariates import check_covariates
from service.engine import Engine
from service.models import Models, ServedModel
from service.problems import ProblemError, ProblemItem, pointer
from service.reading import check_answer_size, read_request
from service.schema import ForecastRequest, SeriesRequest
from service.tables import Part, lay_out_request

LARGE_BODY = 64 * 1024  # bytes that take about a millisecond to read; more go to another thread
LARGE_ANSWER = 10_000  # numbers, likewise

Result = TypeVar("Result")


async def answer(body: bytes, models: Models, engine: Engine, caller: Caller) -> tuple[ServedModel, bytes]:
    """Forecast what a body asks for.

    Returns:
        The model that answers, and a `schema.ForecastResponse` as JSON.

    Raises:
        ProblemError: The request cannot be answered; says why, where, and what to do.
    """
    order = await _run(len(body) > LARGE_BODY, _read, body, models)
    forecaster, levels = order.model.forecaster, order.request.parameters.quantile_levels
    tables = [part.table for part in order.parts]
    try:
        forecasts = await forecast_tables(tables, forecaster, order.prediction_length, levels, engine, caller)
        numbers = sum(forecast.size for forecast in forecasts)
        written = await _run(numbers > LARGE_ANSWER, write_answer, order.model, order.parts, forecasts, levels)
    except (DataError, ParameterError) as error:
        raise located(error, order.request) from error
    return order.model, written


async def forecast_tables(
    tables: Sequence[SeriesTable],
    forecaster: Forecaster,
    prediction_length: int,
    quantile_levels: Sequence[float],
    engine: Engine,
    caller: Caller,
) -> list[npt.NDArray[np.float32]]:
    """Forecast the tables of one request.

    Returns:
        `(N, H, 1 + R)` for each.

    Raises:
        DataError: A series cannot be forecast.
        ParameterError: The horizon or a level is out of range.
        ProblemError: There is too much to do, or the caller's time is up.
    """
    return await _all(
        [
            engine.forecast(forecaster, table, prediction_length, quantile_levels, caller.deadline, caller.has_gone)
            for table in tables
        ]
    )


def located(error: ForecastError, request: SeriesRequest | None = None) -> ProblemError:
    """The library's error with the places in the request that it concerns."""
    inputs = {series.item_id: (place, series) for place, series in enumerate(request.inputs)} if request else {}

    def place_of(problem: Problem) -> str | None:
        if request is None:
            return None
        if problem.item_id not in inputs:
            of_series = problem.field in (None, "timestamp", "target")
            return "/inputs" if of_series else pointer("parameters", str(problem.field))
        place, series = inputs[problem.item_id]
        field = problem.field
        if field == "timestamp":
            field = "timestamps" if series.start is None else "start"
        return pointer("inputs", place, *([field] if field else []))

    items = [
        ProblemItem(item_id=one.item_id, pointer=place_of(one), detail=one.detail, hint=one.hint or None)
        for one in error.problems
    ]
    return ProblemError(error.code, items)


@dataclass(frozen=True)
class _Order:
    """A request that was read: of which model, which series, and how far."""

    request: ForecastRequest
    model: ServedModel
    parts: list[Part]
    prediction_length: int


def _read(body: bytes, models: Models) -> _Order:
    request = read_request(body, ForecastRequest)
    parameters = request.parameters
    try:
        model = models.get(parameters.model)
        trained = model.forecaster.prediction_length
        horizon = trained if parameters.prediction_length is None else parameters.prediction_length
        check_horizon(horizon, model.forecaster.longest_horizon)
        check_answer_size(len(request.inputs), horizon, 1 + len(parameters.quantile_levels))
        covariates = model.forecaster.covariates
        check_covariates(request, covariates, horizon)
        parts = lay_out_request(request, model.forecaster.config.series_frequency, covariates)
    except (DataError, ParameterError, ModelNotFound) as error:
        raise located(error, request) from error
    return _Order(request, model, parts, horizon)


async def _all(calls: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """What several calls return, at the same time; when one fails, the others are given up."""
    if len(calls) == 1:
        return [await calls[0]]
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _run(large: bool, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function: small work here, large work off the event loop."""
    return await run_in_threadpool(function, *arguments) if large else function(*arguments)
