"""What waits in the queue: one request's series, computed a slice at a time."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from starlette.requests import ClientDisconnect

from forecast import Forecaster
from forecast.together import Question
from service.problems import ProblemError

Answer = npt.NDArray[np.float32]


@dataclass(eq=False)
class Job:
    """A request for N series, H steps and R levels.

    Attributes:
        forecaster: What answers; it stays this one when a newer version goes live meanwhile.
        question: What is asked.
        deadline: When it is too late to begin, by `time.monotonic`.
        has_gone: Whether the caller has left.
        arrived: When it came, by `time.monotonic`.
        answer: `(N, H, 1 + R)`, once it is there.
        windows_each: Windows that the network reads for one series.
        begun: Series that are computed, or being computed.
    """

    forecaster: Forecaster
    question: Question
    deadline: float
    has_gone: Callable[[], bool]
    arrived: float
    answer: asyncio.Future[Answer]
    begun: int = 0
    _parts: list[Answer] = field(default_factory=list)
    windows_each: int = field(init=False)

    def __post_init__(self) -> None:
        self.windows_each = self.forecaster.windows_read(self.question.prediction_length)

    @property
    def windows_left(self) -> int:
        """Windows that are not begun."""
        return (len(self.question.table) - self.begun) * self.windows_each

    def is_wanted(self) -> bool:
        """Whether somebody waits for it still; if not, it is settled."""
        if self.answer.done():
            return False
        now = time.monotonic()
        if self.has_gone():
            self.settle(ClientDisconnect())
        elif now >= self.deadline:
            detail = f"the forecast had not begun after {now - self.arrived:.1f} s, when the time for it was up"
            self.settle(ProblemError("deadline-passed", detail=detail))
        return not self.answer.done()

    def slice(self, windows: int) -> Question:
        """The next series, as many as fit into so many windows, one at the least."""
        table = self.question.table
        count = min(max(windows // self.windows_each, 1), len(table) - self.begun)
        some = table if count == len(table) else table.select(np.arange(self.begun, self.begun + count))
        self.begun += count
        return self.question._replace(table=some)

    def add(self, part: Answer) -> None:
        """Take the answer to a slice; the last one completes the job."""
        self._parts.append(part)
        if sum(map(len, self._parts)) == len(self.question.table):
            self.settle(self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts))

    def settle(self, outcome: Answer | Exception) -> None:
        """Answer the caller, unless it waits no longer."""
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)
