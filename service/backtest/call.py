"""One backtest call, from the body's bytes to the answer's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from fastapi.concurrency import run_in_threadpool

from forecast.errors import PROBLEMS_TOLD, DataError, ModelNotFound, ParameterError, Problem
from forecast.levels import check_levels
from forecast.predictor import DEFAULT_LEVELS, check_horizon
from service.answers import check_finite
from service.backtest.judgement import BASELINES, Windows, judge
from service.backtest.schema import BacktestRequest
from service.backtest.writing import write_answer
from service.caller import Caller
from service.covariates import check_covariates
from service.engine import Engine
from service.forecasting import forecast_tables, located
from service.limits import LIMITS
from service.models import Models, ServedModel
from service.problems import ProblemError, ProblemItem
from service.reading import check_answer_size, read_request
from service.tables import Part, lay_out_request


async def answer(body: bytes, models: Models, engine: Engine, caller: Caller) -> tuple[ServedModel, bytes]:
    """Forecast what is held out of a body's series, and say how far off that is.

    Returns:
        The model that is judged, and a `schema.BacktestResponse` as JSON.

    Raises:
        ProblemError: The request cannot be answered; says why, where, and what to do.
    """
    order = await run_in_threadpool(_read, body, models)
    asked = order.request.parameters.quantile_levels
    levels = tuple(sorted({*DEFAULT_LEVELS, *asked}))
    tables = [windows.history for windows in order.windows]
    try:
        forecasts = await forecast_tables(
            tables, order.model.forecaster, order.prediction_length, levels, engine, caller
        )
    except (DataError, ParameterError) as error:
        raise located(error, order.request) from error
    return order.model, await run_in_threadpool(_write, order, forecasts, levels, asked)


@dataclass(frozen=True)
class _Order:
    """A request that was read: which model is judged, on which windows of which series."""

    request: BacktestRequest
    model: ServedModel
    windows: list[Windows]
    prediction_length: int


def _read(body: bytes, models: Models) -> _Order:
    request = read_request(body, BacktestRequest)
    parameters = request.parameters
    try:
        model = models.get(parameters.model)
        forecaster, covariates = model.forecaster, model.forecaster.covariates
        horizon = forecaster.prediction_length if parameters.prediction_length is None else parameters.prediction_length
        check_horizon(horizon, forecaster.longest_horizon)
        trained = forecaster.config.quantile_levels
        check_levels(parameters.quantile_levels, trained[0], trained[-1])
        _check_size(request, horizon)
        for series in request.inputs:  # what comes after the end plays no part
            series.future_covariates = {name: [] for name in covariates.known} or None
        check_covariates(request, covariates, 0)
        parts = lay_out_request(request, forecaster.config.series_frequency, covariates)
        step = parameters.step or horizon
        ends = [horizon + before * step for before in reversed(range(parameters.windows))]
        _check_lengths(parts, ends[0], forecaster.minimum_history)
        windows = [Windows.cut(part, horizon, ends) for part in parts]
        for some in windows:
            _check_recent(some, forecaster.usable(some.history), forecaster.context_length)
    except (DataError, ParameterError, ModelNotFound) as error:
        raise located(error, request) from error
    return _Order(request, model, windows, horizon)


def _write(
    order: _Order, forecasts: Sequence[npt.NDArray[np.float32]], levels: Sequence[float], asked: Sequence[float]
) -> bytes:
    for forecast in forecasts:
        check_finite(order.model, forecast)
    forecaster = order.model.forecaster
    season = forecaster.config.series_frequency.short_season
    tests = [
        judge(windows, forecast, levels, season, forecaster.context_length)
        for windows, forecast in zip(order.windows, forecasts, strict=True)
    ]
    columns = [0, *(1 + levels.index(level) for level in asked)]
    shown = [forecast[..., columns] for forecast in forecasts]
    return write_answer(order.model, order.windows, shown, asked, tests)


def _check_size(request: BacktestRequest, horizon: int) -> None:
    series, windows = len(request.inputs), request.parameters.windows
    if series * windows > LIMITS.series:
        detail = f"{windows} windows of {series} series are {windows * series}, {LIMITS.series} are taken"
        hint = "ask for fewer windows, or send fewer series"
        raise ProblemError("too-much", [ProblemItem(pointer="/parameters/windows", detail=detail, hint=hint)])
    columns = 2 + len(request.parameters.quantile_levels) + len(BASELINES)  # what came, the mean
    check_answer_size(series * windows, horizon, columns)


def _check_lengths(parts: Sequence[Part], held_out: int, minimum: int) -> None:
    """Refuse series with too little before the first of their windows.

    Raises:
        DataError: Names them ("series-too-short").
    """
    problems = [
        Problem(
            f"{item_id!r} has {length} values; {held_out} are held out, and this model needs at least {minimum} more",
            "send more history, or ask for fewer windows or steps",
            item_id,
            "target",
        )
        for part in parts
        for item_id, length in zip(part.table.item_ids, part.table.lengths.tolist(), strict=True)
        if length < held_out + minimum
    ]
    if problems:
        raise DataError("series-too-short", problems[:PROBLEMS_TOLD])


def _check_recent(windows: Windows, usable: npt.NDArray[np.bool_], context: int) -> None:
    """Refuse windows with no value before them that the model would look at.

    Raises:
        DataError: Names their series ("all-missing").
    """
    refused = np.flatnonzero(~usable)
    if not len(refused):
        return
    problems = [
        Problem(
            f"{item_id!r} has no value in the {context} steps before its step {origin + 1}, where a window begins",
            "send values there, or ask for other windows",
            item_id,
            "target",
        )
        for item_id, origin in zip(windows.history.item_ids[refused], windows.history.lengths[refused], strict=True)
    ]
    raise DataError("all-missing", problems[:PROBLEMS_TOLD])
