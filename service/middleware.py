"""What every request gets: an id, its place in a trace, a log line and its place in the metrics."""

import logging
import random
import re
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics
from service.problems import ProblemError
from service.tracing import REQUEST, RESPONSE, Trace

HEADER = "X-Request-ID"
GONE = 499  # only in log and metrics: the caller left before the answer
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HEADER, _REQUEST = HEADER.lower().encode(), REQUEST.encode()
_SANE = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_log = logging.getLogger("service")


class RequestMiddleware:
    """Gives each request its id, answers 413 to a body that announces its excess, logs and counts.

    Routes and handlers find the id in `request.state.request_id`, and may add fields to the log line through the
    dict `request.state.log`, and the kind of problem as `request.state.problem`.

    Args:
        app: What answers.
        max_body_size: Bytes, by path. Bodies that do not announce their length are counted by the framework.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, max_body_size: Callable[[str], int], metrics: Metrics | None = None) -> None:
        self._app, self._max_body_size, self._metrics = app, max_body_size, metrics or Metrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get(_HEADER, "")
        request_id = given if _SANE.fullmatch(given) else f"{random.getrandbits(128):032x}"
        trace = Trace.of(headers.get(_REQUEST, ""))
        fields: dict[str, Any] = {}
        state = scope.setdefault("state", {})
        state["request_id"], state["log"], state["problem"] = request_id, fields, None
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = [(_HEADER, request_id.encode())]
                if trace:
                    added.append((RESPONSE.encode(), str(trace).encode()))
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        length = headers.get(b"content-length", "")
        try:
            most = self._max_body_size(scope["path"])
            if length.isdecimal() and int(length[:20]) > most:
                refusal = ProblemError("body-too-large", detail=f"the body is larger than {most} bytes")
                state["problem"] = refusal.kind
                await refusal.response(request_id)(scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status, state["problem"] = GONE, "client-gone"
        except Exception:
            _log.exception("request failed", extra={"request_id": request_id})
        seconds = time.perf_counter() - began
        self._count(scope, status, seconds)
        path = scope.get("raw_path", b"").decode("latin-1")[:200]
        _log.info(
            "request",
            extra={
                "request_id": request_id,
                "method": scope["method"],
                "path": path,
                "status": status,
                "milliseconds": round(seconds * 1000, 3),
                "problem": state["problem"],
                "trace_id": trace and trace.trace_id,
                "span_id": trace and trace.span_id,
                "parent_id": trace and trace.parent_id,
                **fields,
            },
        )

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # the pattern: paths are endless
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        if problem := scope["state"]["problem"]:
            self._metrics.failures.labels(problem).inc()
