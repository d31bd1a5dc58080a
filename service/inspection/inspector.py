"""The process that looks inside models, and the short queue in front of it.

Looking is work of Python as much as of torch: in the process that forecasts it would hold up everyone. So it has a
process of its own, at a low priority, started with the first request, ended after some idle minutes, and
killed when it takes too long.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary, finalize

from forecast import Forecaster, SeriesTable
from service.child import Child
from service.problems import ProblemError

WAITING = 8  # inspections that may wait for the one under way
SECONDS = 60.0  # that one may take, the start of the process included


class Inspector:
    """Looks inside models for callers, one after the other.

    Args:
        waiting: Inspections that may wait.
        seconds: That one may take.
    """

    def __init__(self, waiting: int = WAITING, seconds: float = SECONDS) -> None:
        self._most, self._seconds = waiting, seconds
        self._there = 0  # the one under way, and those that wait
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inspector")
        # One thread, numpy's included: more would take turns with forecasts, and are slower for matrices of this size.
        self._child = Child("service.inspection", {**os.environ, "OMP_NUM_THREADS": "1"})
        self._folders: WeakKeyDictionary[Forecaster, str] = WeakKeyDictionary()

    async def look(
        self,
        forecaster: Forecaster,
        table: SeriesTable,
        lead_time: int | None,
        version: dict[str, Any],
        deadline: float,
        has_gone: Callable[[], bool],
    ) -> bytes:
        """The body of a `schema.InspectResponse`.

        Args:
            forecaster: The model.
            table: One series, which it can forecast.
            lead_time: As in `looking.look`.
            version: As in `looking.look`.
            deadline: When an answer is too late, by `time.monotonic`.
            has_gone: Whether the caller has left.

        Raises:
            DataError: The series cannot be looked at.
            ProblemError: Too many wait, or the time is up.
            ChildBroke: The process could not look, or ended at it, and so did its successor.
        """
        if self._there > self._most:
            detail = f"{self._most} inspections wait already"
            raise ProblemError("overloaded", detail=detail, headers={"Retry-After": "10"})
        self._there += 1
        try:
            async with self._turn:
                seconds = min(deadline - time.monotonic(), self._seconds)
                if seconds <= 0 or has_gone():
                    raise ProblemError("deadline-passed", detail="the time was up before the look began")
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._ask, forecaster, (table, lead_time, version), seconds
                )
        finally:
            self._there -= 1

    def close(self) -> None:
        """End the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._child.close()

    def _ask(self, forecaster: Forecaster, question: tuple[Any, ...], seconds: float) -> bytes:
        folder = self._folders.get(forecaster)
        if folder is None:
            folder = tempfile.mkdtemp(prefix="forecast-inspect-")
            finalize(forecaster, shutil.rmtree, folder, ignore_errors=True)
            forecaster.save(folder)
            self._folders[forecaster] = folder
        try:
            seen: bytes = self._child.ask((folder, *question), seconds)
        except TimeoutError as error:
            raise ProblemError("deadline-passed", detail=f"the look took longer than {seconds:.0f} seconds") from error
        return seen
