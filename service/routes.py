"""The routes."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from starlette.responses import PlainTextResponse, Response

from forecast.predictor import DEFAULT_LEVELS
from service.engine import Engine
from service.forecasting import answer
from service.limits import LIMITS
from service.metrics import Metrics
from service.models import Models, ServedModel
from service.openapi import FORECAST_BODY, problems
from service.problems import ProblemError
from service.ready import named, ready
from service.respond import respond
from service.schema import (
    CovariateCard,
    ForecastResponse,
    ModelCard,
    ModelList,
    QuantileRange,
    RefusedVersion,
    Status,
)

router = APIRouter()


@router.post(
    "/v1/forecast",
    tags=["Forecast"],
    summary="Forecast series",
    response_model=ForecastResponse,
    responses=problems(400, 404, 413, 415, 422, 500, 503, 504),
    openapi_extra=FORECAST_BODY,
)
async def forecast(request: Request) -> Response:
    """Forecast each series from its end: the mean and quantiles of the next steps.

    A missing value is `null`. The answer's times go on right after the last one sent, in the UTC offset that
    was sent (in UTC where a series' offsets differ); series without times get steps 1 to H.
    """
    engine: Engine = request.app.state.engine
    return await respond(request, answer, engine)


@router.get("/v1/models", tags=["Models"], summary="The models that are loaded", responses=problems(503))
async def list_models(request: Request) -> ModelList:
    """Every model that can be asked for, as `GET /v1/models/{name}` describes it."""
    models = ready(request)
    return ModelList(models=[_card(model, models) for model in models])


@router.get("/v1/models/{name}", tags=["Models"], summary="One model", responses=problems(404, 503))
async def show_model(request: Request, name: str) -> ModelCard:
    """What to send to a model, what it answers, and where it comes from."""
    models = ready(request)
    return _card(named(models, name), models)


@router.get(
    "/livez", tags=["Health"], summary="Whether the process lives", responses=problems(), openapi_extra={"security": []}
)
async def livez() -> Status:
    """200 as long as the process answers at all."""
    return Status(status="live")


@router.get(
    "/readyz",
    tags=["Health"],
    summary="Whether forecasts are answered",
    responses=problems(503),
    openapi_extra={"security": []},
)
async def readyz(request: Request) -> Status:
    """200 once every model is loaded and has given its golden forecast, until the process is told to stop."""
    models = ready(request)
    if models.draining:
        raise ProblemError("not-ready", detail="the process is about to stop", headers={"Retry-After": "1"})
    return Status(status="ready")


@router.get(
    "/metrics",
    tags=["Health"],
    summary="Figures for Prometheus",
    response_class=PlainTextResponse,
    responses=problems(),
)
async def metrics(request: Request) -> Response:
    """Requests, failures, passes, the queue and the models, in Prometheus' text format; of all workers together."""
    figures: Metrics = request.app.state.metrics
    return Response(await run_in_threadpool(figures.exposition), headers={"Content-Type": CONTENT_TYPE})


def _card(model: ServedModel, models: Models) -> ModelCard:
    config = model.forecaster.config
    refused = models.refused.get(model.name)
    return ModelCard(
        name=model.name,
        version=model.version,
        run_id=model.run_id,
        alias=model.alias,
        network=config.label,
        frequency=config.frequency or "step",
        context_length=model.forecaster.context_length,
        prediction_length=config.prediction_length,
        longest_horizon=model.forecaster.longest_horizon,
        minimum_history=model.forecaster.minimum_history,
        quantile_levels=QuantileRange(
            lowest=config.quantile_levels[0], highest=config.quantile_levels[-1], default=list(DEFAULT_LEVELS)
        ),
        covariates=CovariateCard(
            known=list(config.covariates.known),
            past=list(config.covariates.past),
            static=list(config.covariates.static),
            categories={name: list(labels) for name, labels in config.covariates.categories.items()},
        ),
        limits=LIMITS,
        origin=model.origin,
        source=model.source,
        loaded_at=model.loaded_at,
        registry_away_since=models.registry_away if model.version else None,
        refused=RefusedVersion(version=refused.version, reason=refused.reason, at=refused.at) if refused else None,
    )
