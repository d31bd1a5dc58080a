"""The application: routes, error handlers and the request's middleware, put together."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

import forecast
from service import docs_page
from service.access import AccessSettings
from service.access.guard import Guard, SecurityHeaders
from service.backtest.route import router as backtest_router
from service.bulk.route import router as bulk_router
from service.direct import Direct
from service.engine import Engine, EngineLimits
from service.inspection.inspector import Inspector
from service.inspection.route import router as inspect_router
from service.limits import LIMITS, body_bytes
from service.metrics import Metrics
from service.middleware import RequestMiddleware
from service.models import Models
from service.openapi import describe
from service.problems import ProblemError, of_status
from service.routes import router

DESCRIPTION = (
    "Forecasts of time series, with uncertainty. POST the history of one or many series to `/v1/forecast`; "
    "`/v1/models/{name}` says what a model takes. Errors are problem documents (RFC 9457)."
)
PULSE = 0.5  # seconds between looks at the event loop and the memory


def create_app(
    models: Models,
    limits: EngineLimits | None = None,
    metrics: Metrics | None = None,
    access: AccessSettings | None = None,
) -> ASGIApp:
    """The service's ASGI application.

    Args:
        models: What it answers with. While there is none, it says that it is not ready.
        limits: How much may wait, and how long.
        metrics: Where it is counted what happens.
        access: Who may ask; everyone when left out.
    """
    metrics, access = metrics or Metrics(), access or AccessSettings()
    engine, inspector = Engine(limits, metrics), Inspector()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pulse = asyncio.create_task(_feel_pulse(metrics))
        yield
        pulse.cancel()
        with suppress(asyncio.CancelledError):
            await pulse
        engine.close()
        inspector.close()

    app = FastAPI(
        title="Forecasting service",
        description=DESCRIPTION,
        version=forecast.__version__,
        docs_url=None,  # the usual pages load scripts from elsewhere: see docs_page
        redoc_url=None,
        max_body_size=LIMITS.body_bytes,
        lifespan=lifespan,
    )
    app.state.models, app.state.engine, app.state.metrics, app.state.inspector = models, engine, metrics, inspector
    for part in (router, bulk_router, backtest_router, inspect_router, docs_page.router):
        app.include_router(part)
    for kind in (ProblemError, HTTPException, Exception):
        app.add_exception_handler(kind, _refuse)
    app.openapi = describe(app)  # type: ignore[method-assign]
    # Around the whole application: the framework answers some requests before its own middleware.
    forecasts = next(route for route in router.routes if isinstance(route, APIRoute) and route.name == "forecast")
    guarded: ASGIApp = Guard(Direct(app, forecasts, _refuse, LIMITS.body_bytes), access)
    if access.origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=access.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-ID", "X-Request-Timeout"],
            expose_headers=["X-Request-ID", "X-Model-Name", "X-Model-Version", "Retry-After"],
        )
    return SecurityHeaders(RequestMiddleware(guarded, body_bytes, metrics))


async def _refuse(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        error = of_status(error.status_code, str(error.detail), error.headers)
    elif not isinstance(error, ProblemError):
        error = ProblemError("internal-error", detail="this is our failure; report it with the request's id")
    request.state.problem = error.kind
    return error.response(request.state.request_id)


async def _feel_pulse(metrics: Metrics) -> None:
    """Measure how late the event loop is, and how large the process."""
    page = _page_size()
    while True:
        began = time.perf_counter()
        await asyncio.sleep(PULSE)
        metrics.loop_lag.set(max(time.perf_counter() - began - PULSE, 0.0))
        with suppress(OSError):
            metrics.memory.set(int(Path("/proc/self/statm").read_text().split()[1]) * page)


def _page_size() -> int:
    import resource

    return resource.getpagesize()
