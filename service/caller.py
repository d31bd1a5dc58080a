"""What is known of a caller beside its body: how long it waits, and whether it still does."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from service.engine import EngineLimits
from service.problems import ProblemError

HEADER = "X-Request-Timeout"


@dataclass(frozen=True)
class Caller:
    """Who waits for an answer.

    Attributes:
        deadline: When it is too late to begin computing one, by `time.monotonic`.
        has_gone: Whether the connection is closed. May be asked once the body is read.
    """

    deadline: float
    has_gone: Callable[[], bool]


def caller_of(request: Request, limits: EngineLimits) -> Caller:
    """The caller of a request.

    Raises:
        ProblemError: The header `X-Request-Timeout` is no number of seconds.
    """
    given = request.headers.get(HEADER)
    seconds = limits.timeout
    if given is not None:
        try:
            seconds = float(given[:20])
        except ValueError:
            seconds = 0.0
        if not seconds > 0:
            detail = f"the header {HEADER} is {given[:50]!r}; send seconds, more than 0, such as 2.5"
            raise ProblemError("bad-request", detail=detail)
    return Caller(time.monotonic() + min(seconds, limits.longest_timeout), lambda: _is_closed(request))


def _is_closed(request: Request) -> bool:
    """Look for the message that says so, without waiting for it."""
    receiving = request.receive()
    try:
        receiving.send(None)  # type: ignore[attr-defined]
    except StopIteration as message:
        return bool(message.value["type"] == "http.disconnect")
    finally:
        receiving.close()  # type: ignore[attr-defined]
    return False
