"""One inspection call, from the body's bytes to the answer's."""

from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool

from forecast import SeriesTable
from forecast.errors import DataError, ModelNotFound, ParameterError, Problem
from service.answers import version_of
from service.caller import Caller
from service.covariates import check_covariates
from service.forecasting import located
from service.inspection.inspector import Inspector
from service.inspection.schema import InspectRequest
from service.models import Models, ServedModel
from service.reading import read_request
from service.tables import lay_out_request


async def answer(body: bytes, models: Models, inspector: Inspector, caller: Caller) -> tuple[ServedModel, bytes]:
    """Look at the forecast of a body's series.

    Returns:
        The model that was looked at, and a `schema.InspectResponse` as JSON.

    Raises:
        ProblemError: The request cannot be answered; says why, where, and what to do.
    """
    order = await run_in_threadpool(_read, body, models)
    lead_time, version = order.request.parameters.lead_time, version_of(order.model)
    try:
        seen = await inspector.look(
            order.model.forecaster, order.table, lead_time, version, caller.deadline, caller.has_gone
        )
    except DataError as error:
        raise located(error, order.request) from error
    return order.model, seen


@dataclass(frozen=True)
class _Order:
    """A request that was read."""

    request: InspectRequest
    model: ServedModel
    table: SeriesTable


def _read(body: bytes, models: Models) -> _Order:
    request = read_request(body, InspectRequest)
    try:
        model = models.get(request.parameters.model)
        forecaster = model.forecaster
        horizon, covariates = forecaster.prediction_length, forecaster.covariates
        lead_time = request.parameters.lead_time
        if lead_time is not None and lead_time > horizon:
            detail = f"lead_time is {lead_time}, the model forecasts {horizon} steps at once"
            raise ParameterError(Problem(detail, f"ask for 1 to {horizon}", field="lead_time"))
        check_covariates(request, covariates, horizon)
        [part] = lay_out_request(request, forecaster.config.series_frequency, covariates)
        forecaster.check(part.table, horizon, [0.5])
    except (DataError, ParameterError, ModelNotFound) as error:
        raise located(error, request) from error
    return _Order(request, model, part.table)
