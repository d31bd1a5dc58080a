"""What the routes have in common that take a body of JSON and answer it with one model."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from starlette.responses import Response

from service.caller import Caller, caller_of
from service.models import Models, ServedModel
from service.reading import check_media_type
from service.ready import made_by, ready

Worker = TypeVar("Worker")
Answer = Callable[[bytes, Models, Worker, Caller], Awaitable[tuple[ServedModel, bytes]]]


async def respond(request: Request, answer: Answer[Worker], worker: Worker) -> Response:
    """Read a request's body, have it answered, and say which model did.

    Args:
        request: The request.
        answer: Makes the answer's JSON of the body, and says which model made it.
        worker: What computes.

    Raises:
        ProblemError: The service is not ready, the body is not JSON, or it cannot be answered.
    """
    models = ready(request)
    check_media_type(request)
    caller = caller_of(request, request.app.state.engine.limits)
    model, content = await answer(await request.body(), models, worker, caller)
    request.state.log["model"] = str(model)
    return Response(content, media_type="application/json", headers=made_by(model))
