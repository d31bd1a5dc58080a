"""The engine: a bounded queue in front of one thread, in which each forward pass answers all it can."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import ceil
from weakref import WeakKeyDictionary

import torch

from forecast import Forecaster, SeriesTable
from forecast.together import Question
from service.engine.drain import PassTimes
from service.engine.job import Answer, Job
from service.engine.queue import Queue, Slice
from service.metrics import Metrics
from service.problems import ProblemError

CAUTION = 1.25  # passes take longer than the fit says while many requests are read and written


@dataclass(frozen=True)
class EngineLimits:
    """What waits, and what one pass takes. Both count windows: what the network reads for one series.

    A series forecast within the trained horizon is one window; beyond it there are five more for each further
    horizon that the model goes on from its own forecasts.

    Attributes:
        queue: Windows that may wait before further requests are refused.
        one_pass: Windows that one forward pass takes at the most: no request waits for a longer one.
        timeout: Seconds within which a request must have begun, where it does not say so itself.
        longest_timeout: Seconds that a request may ask for at the most.
    """

    queue: int = 10_000
    one_pass: int = 256
    timeout: float = 30.0
    longest_timeout: float = 300.0


class Engine:
    """Answers requests in the order they came, many of them in one forward pass.

    When the model is free it takes what waits, up to a limit, without waiting for more: alone, a request is
    computed at once; under load, passes grow by themselves. Requests for one model share a pass, whatever
    their horizons, levels and clocks. A large request is computed in slices, between which others get their turn.

    Everything but the forward pass happens on the event loop, so that nothing needs a lock.
    """

    def __init__(self, limits: EngineLimits | None = None, metrics: Metrics | None = None) -> None:
        self.limits = limits or EngineLimits()
        self.metrics = metrics or Metrics()
        self._thread = ThreadPoolExecutor(
            1, thread_name_prefix="engine", initializer=torch.set_num_threads, initargs=(1,)
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue = Queue()
        self._running = 0  # windows in the pass under way
        self._awake = False  # whether a pass is under way, or about to begin
        self._fits: WeakKeyDictionary[Forecaster, PassTimes] = WeakKeyDictionary()

    async def forecast(
        self,
        forecaster: Forecaster,
        table: SeriesTable,
        prediction_length: int,
        quantile_levels: Sequence[float],
        deadline: float | None = None,
        has_gone: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Forecast N series H steps ahead at R levels.

        Args:
            forecaster: What answers.
            table: The series.
            prediction_length: H.
            quantile_levels: R levels.
            deadline: When it is too late to begin, by `time.monotonic`.
            has_gone: Whether the caller has left; asked before each pass, so that nothing is computed for nobody.

        Returns:
            `(N, H, 1 + R)`: the mean, then the quantiles.

        Raises:
            DataError: A series cannot be forecast.
            ParameterError: The horizon or a level is out of range.
            ProblemError: Too much waits already ("overloaded"), or the deadline passed ("deadline-passed").
            ClientDisconnect: The caller has gone.
        """
        forecaster.check(table, prediction_length, quantile_levels)
        now, loop = time.monotonic(), asyncio.get_running_loop()
        if loop is not self._loop:  # what waited on another loop will never be asked for again
            self._begin_on(loop)
        answer: asyncio.Future[Answer] = loop.create_future()
        job = Job(
            forecaster,
            Question(table, prediction_length, quantile_levels),
            now + self.limits.timeout if deadline is None else deadline,
            has_gone,
            now,
            answer,
        )
        self._admit(job)
        self._queue.put(job)
        self._tell_depth()
        if not self._awake:
            self._awake = True
            loop.call_soon(self._next)
        return await answer

    def seconds_to_drain(self) -> float:
        """How long all that waits will take."""
        return self._seconds(self._queue.windows)

    def close(self) -> None:
        """Stop taking work, when what is under way is done."""
        self._thread.shutdown()

    def _begin_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._queue, self._running, self._awake = loop, Queue(), 0, False

    def _admit(self, job: Job) -> None:
        """Refuse a job at once that would only be told later that its time is up.

        Raises:
            ProblemError: The queue is full, or will not be worked off in time.
        """
        waiting = dict(self._queue.windows)
        if not waiting and not self._running:
            return
        total = sum(waiting.values())
        waiting[job.forecaster] = waiting.get(job.forecaster, 0) + self._running
        wait = self._seconds(waiting)
        if total < self.limits.queue and job.arrived + CAUTION * wait < job.deadline:
            return
        detail = f"too much waits to be forecast: {total} series, about {wait:.1f} s of work; ask again later"
        raise ProblemError("overloaded", detail=detail, headers={"Retry-After": str(max(ceil(wait), 1))})

    def _next(self) -> None:
        """Begin the next pass, if there is anything to do."""
        loop = asyncio.get_running_loop()
        slices = self._queue.take(self.limits.one_pass)
        self._tell_depth()
        self._awake = bool(slices)
        if not slices:
            return
        forecaster = slices[0][0].forecaster
        questions = [question for _, question in slices]
        windows = sum(len(question.table) * job.windows_each for job, question in slices)
        now = time.monotonic()
        for job, question in slices:
            if job.begun == len(question.table):
                self.metrics.queue_seconds.observe(now - job.arrived)
        self._running = windows
        work = loop.run_in_executor(self._thread, _compute, forecaster, questions)
        work.add_done_callback(partial(self._finish, forecaster, slices, windows, now))

    def _finish(
        self,
        forecaster: Forecaster,
        slices: Sequence[Slice],
        windows: int,
        began: float,
        work: "asyncio.Future[tuple[list[Answer | Exception], float]]",
    ) -> None:
        """Hand out what a pass has computed, and go on."""
        self._running = 0
        try:
            outcomes, seconds = work.result()
            for (job, _), outcome in zip(slices, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    job.settle(outcome)
                else:
                    job.add(outcome)
        except Exception as error:  # whatever happens, callers are answered and the next pass begins
            for job, _ in slices:
                job.settle(error)
            seconds = 0.0
        # From one beginning to the next: what requests have to wait for is more than the pass itself.
        self._fits.setdefault(forecaster, PassTimes()).add(windows, time.monotonic() - began)
        self.metrics.passed(len(slices), sum(len(question.table) for _, question in slices), seconds)
        self._next()

    def _seconds(self, windows: Mapping[Forecaster, int]) -> float:
        return sum(
            self._fits[model].seconds(count, self.limits.one_pass)
            for model, count in windows.items()
            if model in self._fits
        )

    def _tell_depth(self) -> None:
        self.metrics.queue_series.set(sum(self._queue.windows.values()))


def _compute(forecaster: Forecaster, questions: Sequence[Question]) -> tuple[list[Answer | Exception], float]:
    """Answer questions together; where that fails each alone, so that one does no harm to the others."""
    began = time.perf_counter()
    outcomes: list[Answer | Exception] = []
    try:
        outcomes += forecaster.forecast_together(questions)
    except Exception as error:
        if len(questions) == 1:
            outcomes.append(error)
        else:
            outcomes += [outcome for question in questions for outcome in _compute(forecaster, [question])[0]]
    return outcomes, time.perf_counter() - began
