"""Callers that are too slow: the server's HTTP protocol with an end to its patience.

uvicorn itself waits for ever for a request that has begun, and for a caller that does not read its answer: a few
hundred connections that say nothing would take all there are (slowloris). Here a connection is closed when

- the head of a request is not complete in time, counted from the connection's or the request's beginning;
- its body comes in more slowly than a byte rate, after a grace time. While the service itself does not read, to
  hold a sender back, the clock stands still;
- nothing of an answer is read for a while.
"""

from asyncio import Transport
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.problems import ProblemError


@dataclass(frozen=True)
class Patience:
    """How long to wait.

    Attributes:
        head: Seconds for a request's head.
        body: Seconds that any body may take.
        bytes_per_second: A body may take longer for each so many bytes that have come.
        answer: Seconds in which a caller must read something of its answer.
        look: Seconds between two looks at a connection.
    """

    head: float = 10.0
    body: float = 20.0
    bytes_per_second: float = 1000.0
    answer: float = 60.0
    look: float = 1.0


class PatientProtocol(HttpToolsProtocol):
    """A connection that is looked at now and then; a request costs it no timer of its own."""

    patience = Patience()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_began: float | None = None
        self._body_seconds: float | None = None  # spent on the body that is coming in; None where none is
        self._body_bytes = 0
        self._unread = (0, 0.0)  # bytes of the answer that wait, and since when they are as many

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_began = self.loop.time()
        self._look_again()

    def data_received(self, data: bytes) -> None:
        if self._head_began is None and self._body_seconds is None:
            self._head_began = self.loop.time()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._head_began, self._body_seconds, self._body_bytes = None, 0.0, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_began = self._body_seconds = None
        super().on_message_complete()

    def _look_again(self) -> None:
        self.loop.call_later(self.patience.look, self._look)

    def _look(self) -> None:
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            return
        now, patience = self.loop.time(), self.patience
        if self._head_began is not None and now - self._head_began > patience.head:
            self._give_up(f"the request's head was not complete after {patience.head:g} s")
            return
        if self._body_seconds is not None and not self.flow.read_paused:
            self._body_seconds += patience.look
            if self._body_seconds > patience.body + self._body_bytes / patience.bytes_per_second:
                self._give_up(f"{self._body_bytes} bytes of the body came in {self._body_seconds:g} s: too slow")
                return
        unread = self.transport.get_write_buffer_size()
        if unread == 0 or unread != self._unread[0]:
            self._unread = unread, now
        elif now - self._unread[1] > patience.answer:
            self.transport.abort()
            return
        self._look_again()

    def _give_up(self, detail: str) -> None:
        """Answer 408, unless an answer is under way, and close."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_too_slow(detail))
        self.transport.close()


def _too_slow(detail: str) -> bytes:
    """A whole HTTP response: no application is there to make one yet."""
    answer = ProblemError("too-slow", detail=detail, headers={"Connection": "close"}).response("none")
    head = b"".join(name + b": " + value + b"\r\n" for name, value in answer.raw_headers)
    return b"HTTP/1.1 408 Request Timeout\r\n" + head + b"\r\n" + bytes(answer.body)
