"""The application: routes, error handlers and the request's middleware, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

import forecast
from service.access import AccessSettings
from service.access.guard import Guard, SecurityHeaders
from service.engine import Engine
from service.limits import LIMITS, body_bytes
from service.middleware import RequestMiddleware
from service.models import Models
from service.openapi import describe
from service.problems import ProblemError, of_status
from service.routes import router

DESCRIPTION = (
    "Forecasts of time series, with uncertainty. POST the history of one or many series to `/v1/forecast`; "
    "`/v1/models/{name}` says what a model takes. Errors are problem documents (RFC 9457)."
)


def create_app(models: Models, access: AccessSettings | None = None) -> ASGIApp:
    """The service's ASGI application.

    Args:
        models: What it answers with. While there is none, it says that it is not ready.
        access: Who may ask; everyone when left out.
    """
    access = access or AccessSettings()
    engine = Engine()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        engine.close()

    app = FastAPI(
        title="Forecasting service",
        description=DESCRIPTION,
        version=forecast.__version__,
        docs_url=None,  # the usual pages load scripts from elsewhere
        redoc_url=None,
        max_body_size=LIMITS.body_bytes,
        lifespan=lifespan,
    )
    app.state.models, app.state.engine = models, engine
    app.include_router(router)
    for kind in (ProblemError, HTTPException, Exception):
        app.add_exception_handler(kind, _refuse)
    app.openapi = describe(app)  # type: ignore[method-assign]
    # Around the whole application: the framework answers some requests before its own middleware.
    guarded: ASGIApp = Guard(app, access)
    if access.origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=access.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID", "X-Request-Timeout"],
            expose_headers=["X-Request-ID", "X-Model", "Retry-After"],
        )
    return SecurityHeaders(RequestMiddleware(guarded, body_bytes))


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = of_status(error.status_code, str(error.detail), error.headers)
    elif not isinstance(error, ProblemError):
        error = ProblemError("internal-error", detail="this is our failure; report it with the request's id")
    return error.response(request.state.request_id)
