"""A bulk call: lots are forecast while the next ones come in, and answered in their order."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from fastapi.concurrency import run_in_threadpool

from forecast.calendar import Ints
from forecast.errors import Problem
from forecast.sifting import Fault, Faults, make_of_good
from service.answers import check_end
from service.bulk.lots import Grid, Lot
from service.bulk.writers import Outcome, Writer
from service.engine import Engine
from service.models import ServedModel
from service.problems import ProblemError
from service.tables import Part

AHEAD = 3  # lots that are under way: one is read, one forecast, one written
PATIENCE = 60.0  # seconds that a lot waits for an engine that has too much to do


@dataclass(frozen=True)
class Call:
    """What is asked of each series.

    Attributes:
        model: What answers, to the call's end, even when a newer version goes live meanwhile.
        engine: Where it computes.
        grid: What all series have in common.
        quantile_levels: R levels.
        has_gone: Whether the caller has left.
    """

    model: ServedModel
    engine: Engine
    grid: Grid
    quantile_levels: Sequence[float]
    has_gone: Callable[[], bool]

    async def answer(self, lots: AsyncIterator[Lot], writer: Writer) -> AsyncIterator[bytes]:
        """The answer's pieces. At the most `AHEAD` lots are in memory: a caller who reads slowly is sent slowly.

        Raises:
            ProblemError: The body is not what it should be, and that was found before the first piece.
        """
        under_way: deque[asyncio.Task[bytes]] = deque()
        began, error = False, None
        try:
            async for lot in _until_error(lots):
                if isinstance(lot, ProblemError):
                    error = lot
                    break
                under_way.append(asyncio.create_task(self._piece(lot, writer)))
                if len(under_way) == AHEAD:
                    piece = await under_way.popleft()
                    yield piece if began else writer.begin() + piece
                    began = True
            if error is not None and not began:
                raise error
            while under_way:
                piece = await under_way.popleft()
                yield piece if began else writer.begin() + piece
                began = True
            yield (b"" if began else writer.begin()) + writer.end(error)
        finally:
            for task in under_way:
                task.cancel()

    async def _piece(self, lot: Lot, writer: Writer) -> bytes:
        outcome = await self._forecast(lot)
        return await run_in_threadpool(writer.write, outcome)

    async def _forecast(self, lot: Lot) -> Outcome:
        parts, faults = await run_in_threadpool(self._lay_out, lot)
        try:
            forecasts = [await self._compute(part) for part in parts]
        except ProblemError as error:  # the engine has too much to do: the caller may send these series again
            places = [place for part in parts for place in part.places]
            faults |= {place: Fault(error.kind, Problem(error.detail, "send it again later")) for place in places}
            parts, forecasts = [], []
        return Outcome(lot.item_ids, parts, forecasts, faults)

    def _lay_out(self, lot: Lot) -> tuple[list[Part], Faults]:
        """The series of a lot that can be forecast, on their grids, and what is wrong with the others."""
        good: Ints = np.array([place for place in range(len(lot.item_ids)) if place not in lot.faults], np.int64)

        def make(some: Ints) -> list[Part]:
            parts = lot.lay_out(good[some], self.grid)
            for part in parts:
                check_end(part.table, self.grid.prediction_length)
                self.model.forecaster.check(part.table, self.grid.prediction_length, self.quantile_levels)
            return parts

        parts, kept, faults = make_of_good(len(good), lambda some: [lot.item_ids[place] for place in good[some]], make)
        places = good[kept]
        moved = [replace(part, places=[int(places[place]) for place in part.places]) for part in parts or ()]
        return moved, {**lot.faults, **{int(good[place]): fault for place, fault in faults.items()}}

    async def _compute(self, part: Part) -> npt.NDArray[np.float32]:
        """Forecast; wait while the engine has too much to do: a bulk call stands back behind the others."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self.engine.forecast(
                    self.model.forecaster,
                    part.table,
                    self.grid.prediction_length,
                    self.quantile_levels,
                    deadline,
                    self.has_gone,
                )
            except ProblemError as error:
                wait = float((error.headers or {}).get("Retry-After", 1))
                if error.kind != "overloaded" or time.monotonic() + wait > deadline:
                    raise
                await asyncio.sleep(wait)


async def _until_error(lots: AsyncIterator[Lot]) -> AsyncIterator[Lot | ProblemError]:
    """The lots, and as the last one the error that ended them."""
    try:
        async for lot in lots:
            yield lot
    except ProblemError as error:
        yield error
