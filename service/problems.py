"""What goes wrong, as RFC 9457 problem documents (https://www.rfc-editor.org/rfc/rfc9457)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from pydantic import BaseModel, Field
from starlette.responses import Response

from forecast.errors import DataError

MEDIA_TYPE = "application/problem+json"
ERRORS_SHOWN = 20
TEXT_SHOWN = 300  # characters

KINDS: dict[str, tuple[int, str]] = {
    "invalid-json": (400, "Body is not JSON"),
    "invalid-arrow": (400, "Body is not an Arrow stream of series"),
    "bad-request": (400, "Bad request"),
    "unauthorized": (401, "API key missing or wrong"),
    "model-not-found": (404, "Model not found"),
    "not-found": (404, "No such route"),
    "method-not-allowed": (405, "Method not allowed"),
    "not-acceptable": (406, "No such form of answer"),
    "too-slow": (408, "Request too slow"),
    "body-too-large": (413, "Body too large"),
    "unsupported-media-type": (415, "Unsupported media type"),
    "invalid-request": (422, "Request does not fit the schema"),
    "too-much": (422, "Too much for one request"),
    "bad-parameter": (422, "Parameter cannot be used"),
    **{code: (422, title) for code, title in DataError.CODES.items()},
    "rate-limited": (429, "Too many requests"),
    "internal-error": (500, "Internal error"),
    "not-ready": (503, "Not ready"),
    "overloaded": (503, "Too much to do"),
    "deadline-passed": (504, "Not in time"),
}
"""Status and title by the last part of a problem's `type`."""


class ProblemItem(BaseModel):
    """One thing that is wrong with the request."""

    item_id: str | None = Field(None, description="The series concerned, where it is one.")
    pointer: str | None = Field(None, description="JSON pointer (RFC 6901) into the request's body.")
    detail: str = Field(description="What was found.")
    hint: str | None = Field(None, description="What to do about it.")


class ProblemDocument(BaseModel):
    """What went wrong."""

    type: str = Field(description="Stable address of this kind of problem.", examples=["/problems/series-too-short"])
    title: str
    status: int
    detail: str
    instance: str = Field(description="The request's id, as in the header X-Request-ID.")
    errors: list[ProblemItem] = Field(default=[], description=f"The first {ERRORS_SHOWN} things that are wrong.")


class ProblemError(Exception):
    """A request that is not answered with what was asked for.

    Args:
        kind: One of `KINDS`.
        errors: What is wrong; the first says the whole where `detail` does not.
        detail: The whole in one sentence.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        kind: str,
        errors: Sequence[ProblemItem] = (),
        *,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.kind, self.errors, self.headers = kind, errors, headers
        self.status, self.title = KINDS[kind]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        self.detail = detail or (errors[0].detail + more if errors else self.title)
        super().__init__(self.detail)

    def response(self, request_id: str) -> Response:
        """The problem document as an HTTP response."""
        return Response(self.document(request_id), self.status, dict(self.headers or {}), MEDIA_TYPE)

    def document(self, request_id: str) -> str:
        """The problem document, as JSON."""
        document = ProblemDocument(
            type=f"/problems/{self.kind}",
            title=self.title,
            status=self.status,
            detail=clean(self.detail),
            instance=request_id,
            errors=[
                ProblemItem(**{name: clean(text) for name, text in error if text is not None})
                for error in self.errors[:ERRORS_SHOWN]
            ],
        )
        return document.model_dump_json(exclude_none=True, exclude_defaults=False)


def of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ProblemError:
    """The refusal for what the framework itself answers with a bare status."""
    kinds = {404: "not-found", 405: "method-not-allowed", 413: "body-too-large"}
    kind = kinds.get(status, "bad-request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal-error")
    return ProblemError(kind, detail=detail, headers=headers)


def pointer(*path: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part)[:100].replace("~", "~0").replace("/", "~1") for part in path)


def clean(text: str) -> str:
    """A text cut to what is worth reading, which any encoder takes."""
    short = text if len(text) <= TEXT_SHOWN else text[: TEXT_SHOWN - 1] + "…"
    return short.encode("utf-8", "replace").decode("utf-8")
