"""The process that looks inside models, and the short queue in front of it.

Looking is work of Python as much as of torch: in the process that forecasts it would hold up everyone. So it has a
process of its own, at the lowest priority, started with the first request, ended after some idle minutes, and
killed when it takes too long.
"""

import asyncio
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakKeyDictionary, finalize

from forecast import Forecaster, SeriesTable
from forecast.errors import DataError, Problem
from service.problems import ProblemError

WAITING = 8  # inspections that may wait for the one under way
SECONDS = 60.0  # that one may take, the start of the process included
IDLE = 300.0  # seconds without work after which the process ends: it holds some hundred megabytes
COURTESY = 19  # niceness: forecasts go first


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
        self._child = _Child()

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
            ProblemError: Too many wait, the time is up, or the process came to an end.
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
                question = (table, lead_time, version)
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._child.ask, forecaster, question, seconds
                )
        finally:
            self._there -= 1

    def close(self) -> None:
        """End the process."""
        self._child.end()
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Child:
    """The process. Asked by one thread at a time."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._folders: WeakKeyDictionary[Forecaster, str] = WeakKeyDictionary()

    def ask(self, forecaster: Forecaster, question: tuple[Any, ...], seconds: float) -> bytes:
        """Ask, and wait for the answer.

        Raises:
            DataError: The series cannot be looked at.
            ProblemError: The time is up.
            RuntimeError: The process came to an end.
        """
        folder = self._folders.get(forecaster)
        if folder is None:
            folder = self._folders[forecaster] = tempfile.mkdtemp(prefix="forecast-inspect-")
            finalize(forecaster, shutil.rmtree, folder, ignore_errors=True)
            forecaster.save(folder)
        try:
            pipe = self._open()
            pipe.send((folder, *question))
            if not pipe.poll(seconds):
                self.end()
                raise ProblemError("deadline-passed", detail=f"the look took longer than {seconds:.0f} seconds")
            answer = pipe.recv()
        except (EOFError, OSError) as error:
            self.end()
            raise RuntimeError("the inspecting process came to an end") from error
        if isinstance(answer, bytes):
            return answer
        code, problems = answer
        raise DataError(code, problems)

    def end(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _open(self) -> Connection:
        if self._pipe is None or self._process is None or not self._process.is_alive():
            self.end()
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_run, args=(other,), name="inspector", daemon=True)
            self._process.start()
            other.close()
        return self._pipe


def _run(pipe: Connection) -> None:
    """The process's life: answer what comes, until nothing does."""
    import torch

    from service.inspection.looking import look

    with suppress(OSError):
        os.nice(COURTESY)
    torch.set_num_threads(1)
    models: dict[str, Forecaster] = {}
    while pipe.poll(IDLE):
        try:
            folder, table, lead_time, version = pipe.recv()
        except EOFError:
            return
        try:
            if folder not in models:
                models = {folder: Forecaster.load(folder)}
            answer: bytes | tuple[str, tuple[Problem, ...]] = look(models[folder], table, lead_time, version)
        except DataError as error:
            answer = (error.code, error.problems)
        pipe.send(answer)
