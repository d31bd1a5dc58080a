"""W3C Trace Context (https://www.w3.org/TR/trace-context/): the trace that a request is part of."""

import re
import secrets
from dataclasses import dataclass
from typing import Self

REQUEST, RESPONSE = "traceparent", "traceresponse"
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True)
class Trace:
    """A trace, and this request's part in it.

    Attributes:
        trace_id: 32 hex digits.
        parent_id: The caller's span.
        span_id: Ours.
        flags: As sent: whether the caller records it.
    """

    trace_id: str
    parent_id: str
    span_id: str
    flags: str

    @classmethod
    def of(cls, header: str) -> Self | None:
        """The trace that a `traceparent` names; None where it names none."""
        match = _PARENT.fullmatch(header.strip()[:200])
        return cls(match[1], match[2], secrets.token_hex(8), match[3]) if match else None

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"
