"""Arrow in: a long table of series, the rows of each together."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from fastapi.concurrency import run_in_threadpool

from forecast.calendar import Frequency, Ints
from forecast.columns import Columns
from forecast.config import CovariatesConfig
from forecast.covariates import CovariateColumns, CovariateNames
from forecast.errors import Problem
from forecast.series import lay_out
from forecast.sifting import Fault, Faults
from forecast.values import parse_times
from service.bulk.lots import ROWS, SERIES, Grid, Seen
from service.limits import LIMITS
from service.problems import ProblemError, ProblemItem
from service.tables import Part, asked_frequency, check_grid


@dataclass(frozen=True)
class RowLot:
    """Some series of a table.

    Attributes:
        item_ids: N names.
        faults: What is wrong with some of them.
        counts: `(N,)` rows of each.
        rows: The rows, those of a series together.
    """

    item_ids: Sequence[str]
    faults: Faults
    counts: Ints
    rows: pa.Table

    def lay_out(self, kept: Ints, grid: Grid) -> list[Part]:
        """See `lots.Lot`."""
        rows, counts = self.rows, self.counts
        if len(kept) < len(counts):
            mask = np.zeros(len(counts), bool)
            mask[kept] = True
            rows, counts = rows.filter(pa.array(np.repeat(mask, counts))), counts[kept]
        frame = rows.to_pandas()
        frequency = asked_frequency(grid.freq, grid.model)
        tz = None
        if "timestamp" in frame:
            times, tz = parse_times(frame["timestamp"])
            if frequency is None and (counts < 2).all() and times.dtype.kind == "M":
                frequency = grid.model  # nothing to find it from
        else:
            times = np.arange(len(frame)) - np.repeat(np.cumsum(counts) - counts, counts)
            frequency = Frequency.parse("step")
        names = CovariateNames.of(grid.covariates)
        beside = {name: frame[name] for name in names.all}
        columns = Columns(
            np.array([self.item_ids[place] for place in kept], object),
            np.repeat(np.arange(len(kept)), counts),
            times,
            frame["target"].to_numpy(np.float64, na_value=np.nan),
            tz,
            CovariateColumns.parse(beside, names, len(frame)) if names.all else None,
        )
        table = lay_out(columns, frequency, LIMITS.steps)
        if "timestamp" in frame:
            check_grid(table, grid.model)
        if grid.covariates.known:
            table = table.drop_last_missing()  # its last rows are the steps to forecast
        return [Part(list(range(len(kept))), table)]


def check_schema(schema: pa.Schema, covariates: CovariatesConfig) -> None:
    """Refuse columns that are not wanted, and types that could hold anything else than they should.

    Raises:
        ProblemError: Names them.
    """
    problems = []
    names = CovariateNames.of(covariates)
    wanted = {**dict.fromkeys(names.all, _is_value), "item_id": _is_text, "timestamp": _is_time, "target": _is_number}
    for name in schema.names:
        if name not in wanted or schema.names.count(name) > 1:
            what = "is there twice" if name in wanted else "is not read"
            problems.append((f"the column {name[:50]!r} {what}", f"send {', '.join(wanted)}"))
        elif not wanted[name](schema.field(name).type):
            detail = f"the column {name!r} is of type {str(schema.field(name).type)[:50]}"
            problems.append((detail, WANTED.get(name, "numbers, booleans or strings")))
    lacking = [name for name in wanted if name not in schema.names and name != "timestamp"]
    problems += [(f"there is no column {name!r}", "add it") for name in lacking]
    if problems:
        items = [ProblemItem(detail=detail, hint=hint) for detail, hint in problems]
        raise ProblemError("invalid-arrow", items)


WANTED = {
    "item_id": "make it string",
    "timestamp": "make it a timestamp, a date or, for steps, int64; zones are named as in the IANA database",
    "target": "make it a float or an integer",
}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float64(kind) or pa.types.is_integer(kind))


def _is_value(kind: pa.DataType) -> bool:
    return _is_text(kind) or _is_number(kind) or bool(pa.types.is_boolean(kind))


def _is_time(kind: pa.DataType) -> bool:
    if not pa.types.is_timestamp(kind):
        return bool(pa.types.is_date32(kind) or pa.types.is_int64(kind))
    try:
        pd.DatetimeTZDtype(tz=kind.tz) if kind.tz else None
    except (TypeError, ValueError, KeyError, OSError):
        return False
    return True


async def read_rows(batches: AsyncIterator[pa.RecordBatch]) -> AsyncIterator[RowLot]:
    """Cut record batches, of a schema that was checked, into lots.

    Raises:
        ProblemError: A row has no name or no time, or the stream cannot be read.
    """
    cutter = _Cutter()
    async for batch in batches:
        for lot in await run_in_threadpool(cutter.add, batch):
            yield lot
    for lot in await run_in_threadpool(cutter.end):
        yield lot


class _Cutter:
    """Keeps rows until their series are whole."""

    def __init__(self) -> None:
        self._seen = Seen(LIMITS.bulk_series)
        self._waiting: list[pa.RecordBatch] = []
        self._fresh = 0  # rows that were not looked at
        self._dropping: str | None = None  # a series that was refused for its length, of which more rows may come

    def add(self, batch: pa.RecordBatch) -> list[RowLot]:
        for name in ("item_id", "timestamp"):
            if name in batch.schema.names and batch.column(name).null_count:
                detail = f"there are rows without {name}"
                raise ProblemError("invalid-arrow", [ProblemItem(detail=detail, hint="fill it, or drop the rows")])
        self._waiting.append(batch)
        self._fresh += batch.num_rows
        return self._cut(last=False) if self._fresh >= ROWS else []

    def end(self) -> list[RowLot]:
        return self._cut(last=True) if self._waiting else []

    def _cut(self, last: bool) -> list[RowLot]:
        table = pa.Table.from_batches(self._waiting).combine_chunks()
        self._waiting, self._fresh = [], 0
        runs = pc.run_end_encode(table.column("item_id").combine_chunks())
        names, ends = runs.values.to_pylist(), np.concatenate(([0], runs.run_ends.to_numpy().astype(np.int64)))
        if names[0] == self._dropping:
            table, names, ends = table.slice(ends[1]), names[1:], ends[1:] - ends[1]
        if not names:
            return []
        self._dropping = None
        counts = np.diff(ends)
        whole = len(names) if last or counts[-1] > LIMITS.points_per_series else len(names) - 1
        if whole == len(names) and not last:
            self._dropping = names[-1]
        if whole < len(names):
            self._waiting = table.slice(ends[whole]).to_batches()
        lots = []
        for start, end in pairwise(_bounds(counts[:whole])):
            rows = table.slice(ends[start], ends[end] - ends[start])
            some = names[start:end]
            lots.append(RowLot(some, self._faults(some, counts[start:end]), counts[start:end], rows))
        return lots

    def _faults(self, names: Sequence[str], counts: Ints) -> Faults:
        faults = Faults()
        for place, (name, count) in enumerate(zip(names, counts, strict=True)):
            if count > LIMITS.points_per_series:
                detail = f"{name[:50]!r} has more than {LIMITS.points_per_series} rows"
                faults[place] = Fault("too-much", Problem(detail, "send less history", name))
            elif not 0 < len(name) <= LIMITS.item_id_length:
                detail = f"the item id {name[:50]!r} has {len(name)} characters, 1 to {LIMITS.item_id_length} are taken"
                faults[place] = Fault("bad-item-id", Problem(detail, "shorten it", name))
            elif fault := self._seen.fault(name):
                faults[place] = fault
        return faults


def _bounds(counts: Ints) -> list[int]:
    """Where lots of whole series begin, and the end."""
    bounds, series, rows = [0], 0, 0
    for place, count in enumerate(counts.tolist()):
        if series and (series == SERIES or rows + count > ROWS):
            bounds.append(place)
            series = rows = 0
        series, rows = series + 1, rows + count
    if series:
        bounds.append(len(counts))
    return bounds
