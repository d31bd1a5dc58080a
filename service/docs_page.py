"""GET /docs: the OpenAPI description for people, to read and to try. Nothing is loaded from elsewhere.

The page is Swagger UI (Apache-2.0), whose files the package flask-swagger-ui brings as they were published; Flask
itself is not loaded.
"""

from importlib.metadata import distribution
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from service.problems import ProblemError

_OURS = Path(__file__).parent / "static"
_THEIRS = Path(str(distribution("flask-swagger-ui").locate_file("flask_swagger_ui/dist")))
FILES = {
    "docs.js": _OURS / "docs.js",
    **{name: _THEIRS / name for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")},
}
"""What the page is made of, by name."""
PATHS = frozenset({"/docs", *(f"/docs/{name}" for name in FILES)})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page may run its own files and ask its own service: no script in the page itself, nothing from elsewhere."""
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "public, max-age=3600"}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def page() -> Response:
    """The page."""
    return FileResponse(_OURS / "docs.html", headers=HEADERS)


@router.get("/docs/{name}")
async def file(name: str) -> Response:
    """One of its files."""
    if name not in FILES:
        raise ProblemError("not-found", detail="there is no such file")
    return FileResponse(FILES[name], headers=HEADERS)
