"""The routes."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from forecast.errors import ModelNotFound
from forecast.predictor import DEFAULT_LEVELS
from service.caller import caller_of
from service.engine import Engine
from service.forecasting import answer, located
from service.limits import LIMITS
from service.models import Models, ServedModel
from service.openapi import FORECAST_BODY, problems
from service.problems import ProblemError
from service.schema import CovariateCard, ForecastResponse, ModelCard, ModelList, QuantileRange, Status

router = APIRouter()


@router.post(
    "/v1/forecast",
    tags=["Forecast"],
    summary="Forecast series",
    response_model=ForecastResponse,
    responses=problems(400, 404, 413, 415, 422, 500, 503),
    openapi_extra=FORECAST_BODY,
)
async def forecast(request: Request) -> Response:
    """Forecast each series from its end: the mean and quantiles of the next steps.

    A missing value is `null`. The answer's times go on right after the last one sent, in the UTC offset that
    was sent (in UTC where a series' offsets differ); series without times get steps 1 to H.
    """
    models = _ready(request)
    _check_media_type(request)
    engine: Engine = request.app.state.engine
    caller = caller_of(request, engine.limits)
    body = await request.body()
    return Response(await answer(body, models, engine, caller), media_type="application/json")


@router.get("/v1/models", tags=["Models"], summary="The models that are loaded", responses=problems(503))
async def list_models(request: Request) -> ModelList:
    """Every model that can be asked for, as `GET /v1/models/{name}` describes it."""
    return ModelList(models=[_card(model) for model in _ready(request)])


@router.get("/v1/models/{name}", tags=["Models"], summary="One model", responses=problems(404, 503))
async def show_model(request: Request, name: str) -> ModelCard:
    """What to send to a model, what it answers, and where it comes from."""
    return _card(_named(_ready(request), name))


@router.get("/livez", tags=["Health"], summary="Whether the process lives", responses=problems())
async def livez() -> Status:
    """200 as long as the process answers at all."""
    return Status(status="live")


@router.get("/readyz", tags=["Health"], summary="Whether forecasts are answered", responses=problems(503))
async def readyz(request: Request) -> Status:
    """200 once the model is loaded and has given its golden forecast."""
    _ready(request)
    return Status(status="ready")


def _ready(request: Request) -> Models:
    models: Models = request.app.state.models
    if not len(models):
        raise ProblemError("not-ready", detail="the model is still being loaded", headers={"Retry-After": "1"})
    return models


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        detail = f"the body's Content-Type is {media_type[:50] or 'not given'}; send application/json"
        raise ProblemError("unsupported-media-type", detail=detail)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemError("unsupported-media-type", detail="the body is compressed; send it as it is")


def _named(models: Models, name: str) -> ServedModel:
    try:
        return models.get(name)
    except ModelNotFound as error:
        raise located(error) from None


def _card(model: ServedModel) -> ModelCard:
    config = model.forecaster.config
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
    )
