"""POST /v1/backtest."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.backtest.call import answer
from service.backtest.schema import BacktestResponse
from service.engine import Engine
from service.openapi import BACKTEST_BODY, problems
from service.respond import respond

router = APIRouter()


@router.post(
    "/v1/backtest",
    tags=["Forecast"],
    summary="Measure errors on the last steps of series",
    response_model=BacktestResponse,
    responses=problems(400, 404, 413, 415, 422, 500, 503, 504),
    openapi_extra=BACKTEST_BODY,
)
async def backtest(request: Request) -> Response:
    """Hold out the last `prediction_length` steps of each series, forecast them from what came before, and compare.

    The body is that of `/v1/forecast`. With `windows` several stretches are forecast, each from what came before it.
    The errors stand beside those of naive forecasts; the forecasts come with them, next to what was sent. A model that
    was trained on these very steps is judged too kindly.
    """
    engine: Engine = request.app.state.engine
    return await respond(request, answer, engine)
