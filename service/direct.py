"""A forecast's way past the framework, which costs as much as the forecast itself.

FastAPI matches routes, solves dependencies, opens exit stacks and counts bodies for every request. The route of
forecasts needs none of that: it reads the body itself. It stays declared, and so documented, with the others.
"""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.problems import ProblemError

Refuse = Callable[[Request, Exception], Awaitable[Response]]


class Direct:
    """Calls a route's function at once; everything else is the application's.

    Args:
        app: The application.
        route: One of its routes, of one method, a function of the request alone.
        refuse: The application's answer to an error.
        max_body_size: Bytes. Bodies that announce more have been refused.
    """

    def __init__(self, app: FastAPI, route: APIRoute, refuse: Refuse, max_body_size: int) -> None:
        self._app, self._route, self._refuse, self._max_body_size = app, route, refuse, max_body_size
        self._methods = route.methods or set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._route.path or scope["method"] not in self._methods:
            await self._app(scope, receive, send)
            return
        scope["app"], scope["route"] = self._app, self._route
        request = Request(scope, limited(receive, self._max_body_size), send)
        try:
            response = await self._route.endpoint(request)
        except (ProblemError, HTTPException) as error:
            response = await self._refuse(request, error)
        except ClientDisconnect:
            raise
        except Exception as error:
            await (await self._refuse(request, error))(scope, receive, send)
            raise  # to be logged
        await response(scope, receive, send)


def limited(receive: Receive, most: int) -> Receive:
    """Receive no more than so many bytes of a body.

    Raises:
        ProblemError: There are more ("body-too-large").
    """
    size = 0

    async def receive_some() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise ProblemError("body-too-large", detail=f"the body is larger than {most} bytes")
        return message

    return receive_some
