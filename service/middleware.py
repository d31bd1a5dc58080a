"""What every request gets: an id and a log line, with the trace when our own code fails."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import ProblemError

HEADER = "X-Request-ID"
GONE = 499  # only in the log: the caller left before the answer
_SANE = re.compile(r"[A-Za-z0-9._\-]{1,128}")
_log = logging.getLogger("service")


class RequestMiddleware:
    """Gives each request its id, answers 413 to a body that announces its excess, and logs one line.

    Args:
        app: What answers.
        max_body_size: Bytes, by path. Bodies that do not announce their length are counted by the framework.
    """

    def __init__(self, app: ASGIApp, max_body_size: Callable[[str], int]) -> None:
        self._app, self._max_body_size = app, max_body_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get(HEADER, "")
        request_id = given if _SANE.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        length = headers.get("content-length", "")
        try:
            most = self._max_body_size(scope["path"])
            if length.isdecimal() and int(length[:20]) > most:
                refusal = ProblemError("body-too-large", detail=f"the body is larger than {most} bytes")
                await refusal.response(request_id)(scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            status = GONE
        except Exception:
            _log.exception("%s failed", request_id)
        milliseconds = (time.perf_counter() - began) * 1000
        path = scope.get("raw_path", b"").decode("latin-1")[:200]
        _log.info("%s %s %s %d %.1f ms", request_id, scope["method"], path, status, milliseconds)
