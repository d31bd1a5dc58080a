"""NDJSON: a line is a series, as in `inputs` of a forecast request."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from forecast.calendar import Ints
from forecast.errors import DataError, Problem
from forecast.sifting import Fault, Faults
from service.bulk.lots import BYTES, SERIES, Grid, Seen
from service.covariates import check_covariates
from service.limits import LIMITS
from service.problems import ProblemError
from service.reading import check_series
from service.schema import ForecastRequest, Parameters, SeriesInput
from service.schema_errors import explain
from service.tables import Part, lay_out_request


@dataclass(frozen=True)
class LineLot:
    """Some lines.

    Attributes:
        item_ids: Their names, the line's number (from 0) where it has none.
        series: What they hold; None where that is no series.
        faults: What is wrong with these.
    """

    item_ids: Sequence[str]
    series: Sequence[SeriesInput | None]
    faults: Faults

    def lay_out(self, kept: Ints, grid: Grid) -> list[Part]:
        """See `lots.Lot`."""
        inputs = [one for one in (self.series[place] for place in kept) if one is not None]
        request = ForecastRequest.model_construct(inputs=inputs, parameters=Parameters(freq=grid.freq))
        try:
            check_series(request)
            check_covariates(request, grid.covariates, grid.prediction_length)
        except ProblemError as error:
            problems = [Problem(one.detail, one.hint or "", one.item_id) for one in error.errors]
            raise DataError(error.kind, problems) from None
        return lay_out_request(request, grid.model, grid.covariates)


async def read_lines(body: AsyncIterator[bytes]) -> AsyncIterator[LineLot]:
    """Cut a body into lots."""
    seen, number = Seen(LIMITS.bulk_series), 0
    lines: list[bytes] = []
    async for line in _split(body):
        lines.append(line)
        if len(lines) == SERIES or sum(map(len, lines)) >= BYTES:
            yield await run_in_threadpool(_read, lines, number, seen)
            number, lines = number + len(lines), []
    if lines:
        yield await run_in_threadpool(_read, lines, number, seen)


async def _split(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines that are not blank; of one that is too long only its beginning, which is no JSON then."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in body:
        *whole, rest = chunk.split(b"\n")
        for end in whole:
            line = b"".join([*pieces, end[: max(LIMITS.bulk_batch_bytes + 1 - size, 0)]])
            pieces, size = [], 0
            if line.strip():
                yield line
        if rest and size <= LIMITS.bulk_batch_bytes:
            pieces.append(rest)
            size += len(rest)
    line = b"".join(pieces)
    if line.strip():
        yield line


def _read(lines: list[bytes], number: int, seen: Seen) -> LineLot:
    item_ids, found, faults = [], [], Faults()
    for place, line in enumerate(lines):
        series, fault = _series(line, number + place)
        name = str(number + place) if series is None or series.item_id is None else series.item_id
        if series is not None:
            series.item_id = name
            fault = seen.fault(name)
        if fault is not None:
            faults[place] = fault
        item_ids.append(name)
        found.append(series)
    return LineLot(item_ids, found, faults)


def _series(line: bytes, number: int) -> tuple[SeriesInput | None, Fault | None]:
    if len(line) > LIMITS.bulk_batch_bytes:
        detail = f"line {number} is longer than {LIMITS.bulk_batch_bytes} bytes"
        return None, Fault("too-much", Problem(detail, "send less history"))
    try:
        return SeriesInput.model_validate_json(line), None
    except ValidationError as error:
        problem = explain(error, line)
    first = problem.errors[0]
    return None, Fault(problem.kind, Problem(f"line {number}: {first.detail}", first.hint or ""))
