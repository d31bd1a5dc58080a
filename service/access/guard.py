"""What stands before the routes: keys and rates are looked at before a byte of the body is read."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import docs_page
from service.access.rates import whole_seconds
from service.access.settings import AccessSettings
from service.problems import ProblemError

OPEN = frozenset({"/livez", "/readyz", "/openapi.json", *docs_page.PATHS})
"""Paths that need no key: what they answer is the same for all, and says nothing of models or callers."""
UNLIMITED = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that are not counted: whoever watches the service must see it most when there is most to do."""

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Answers 401 to who has no key and 429 to who asks too often.

    Args:
        app: What answers the others.
        access: Who may ask. The name of the caller's key is in the request's state as `caller`.
    """

    def __init__(self, app: ASGIApp, access: AccessSettings) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(scope)
            if refusal is not None:
                scope["state"]["problem"] = refusal.kind
                await refusal.response(scope["state"]["request_id"])(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemError | None:
        keys, limit = self._access.keys, self._access.rate_limit
        path = scope["path"]
        caller = None
        if keys is not None and path not in OPEN:
            scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
            if scheme.lower() == "bearer":
                caller = keys.name_of(key.strip())
            if caller is None:
                detail = "the key is not one of this service's" if key else "this service needs an API key"
                detail += ": send it in the header Authorization: Bearer KEY"
                return ProblemError("unauthorized", detail=detail, headers={"WWW-Authenticate": "Bearer"})
        scope["state"]["caller"] = caller
        if limit is not None and path not in UNLIMITED:
            client = scope.get("client")
            wait = limit.take(caller or (client[0] if client else ""))
            if wait > 0:
                detail = f"more than {limit.per_second:g} requests a second, {limit.burst} at once; ask again later"
                return ProblemError("rate-limited", detail=detail, headers={"Retry-After": whole_seconds(wait)})
        return None


class SecurityHeaders:
    """Gives every answer the headers that tell browsers to be careful with it, unless a route set its own.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.setdefault("headers", [])
                names = {name for name, _ in given}
                message["headers"] = [*given, *(header for header in HEADERS if header[0] not in names)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
