"""POST /v1/inspect."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.inspection.call import answer
from service.inspection.inspector import Inspector
from service.inspection.schema import InspectResponse
from service.openapi import INSPECT_BODY, problems
from service.respond import respond

router = APIRouter()


@router.post(
    "/v1/inspect",
    tags=["Inspect"],
    summary="Look inside a forecast",
    response_model=InspectResponse,
    responses=problems(400, 404, 413, 415, 422, 500, 503, 504),
    openapi_extra=INSPECT_BODY,
)
async def inspect(request: Request) -> Response:
    """What the model's forecast of one series rests on, what happens inside on the way, and what is wrong.

    Takes seconds, where a forecast takes milliseconds, and some more the first time; it has a queue of its own and
    does not hold up forecasts. What is too large is thinned evenly, and says which parts are there.
    """
    inspector: Inspector = request.app.state.inspector
    return await respond(request, answer, inspector)
