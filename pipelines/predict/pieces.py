"""Whole series, a few thousand at a time: where they begin in a table, and the pieces it is cut into."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from forecast.calendar import Ints
from forecast.columns import Columns, Names, parse_columns
from forecast.errors import DataError, Problem
from pipelines.predict.rows import Rows, TableRows, open_rows, put_together, read_all, read_ranges

ROWS, SERIES, FORECASTS = 1 << 19, 4096, 1 << 18  # of a piece, at the most; a longer series is a piece alone


@dataclass(frozen=True)
class Piece:
    """N series.

    Attributes:
        item_ids: `(N,)` their names; null where there is none.
        counts: `(N,)` rows of each.
        rows: All other columns, the rows of each series together.
        names: What the columns are called.
        future: What is known in advance of the steps to forecast, with the column `future_id` of the names.
        future_id: None where the table of the future names no series.
    """

    item_ids: pa.Array
    counts: Ints
    rows: pa.Table
    names: Names
    future: pd.DataFrame | None = None
    future_id: str | None = None

    def __len__(self) -> int:
        return len(self.counts)

    def select(self, series: Ints) -> Self:
        """The series at `series`, ascending."""
        if len(series) == len(self):
            return self
        kept = np.zeros(len(self), bool)
        kept[series] = True
        item_ids, future = self.item_ids.take(pa.array(series)), self.future
        if future is not None and self.future_id is not None:
            future = future[future[self.future_id].astype(str).isin(set(map(str, item_ids.to_pylist())))]
        rows = self.rows.filter(pa.array(np.repeat(kept, self.counts)))
        return replace(self, item_ids=item_ids, counts=self.counts[series], rows=rows, future=future)

    def columns(self) -> Columns:
        """The series as the library reads them.

        Raises:
            DataError: A series has no name, or a value cannot be read.
        """
        if self.item_ids.null_count:
            problem = Problem("rows have no item_id", "name the series each row belongs to", field="item_id")
            raise DataError("bad-item-id", problem)
        item_ids = np.array(self.item_ids.to_pylist(), object)
        codes = np.repeat(np.arange(len(self)), self.counts)
        names = replace(self.names, item_id=None)
        return parse_columns(self.rows.to_pandas(split_blocks=True), names, item_ids, codes)


class Source:
    """The series of a table, piece by piece.

    Args:
        rows: The table.
        names: What its columns are called.

    Attributes:
        runs: Where each series begins.
        apart: The name of a series whose rows are not together, where there is one: the table was then read whole.
    """

    def __init__(self, rows: Rows, names: Names) -> None:
        self.names, self.runs = names, survey(rows)
        self.apart: str | None = None
        again = self.runs.repeated()
        if len(again):
            row = int(self.runs.starts[again[0]])
            self.apart = str(next(iter(read_ranges(rows, [(row, row + 1)])))[rows.item_id][0])
            rows = put_together(rows, names)
            self.runs = survey(rows)
        self.rows = rows
        self.item_type = _value_type(rows.schema.field(rows.item_id).type) if rows.item_id else pa.string()

    def __len__(self) -> int:
        return len(self.runs)

    def plan(self, horizon: int) -> list[tuple[int, int]]:
        """The series of each piece, from one number to before another: the same for the same table and horizon."""
        starts, most = self.runs.starts, max(1, min(SERIES, FORECASTS // horizon))
        bounds = [0]
        while bounds[-1] < len(self):
            first = bounds[-1]
            fitting = int(np.searchsorted(starts, starts[first] + ROWS, side="right")) - 1
            bounds.append(min(max(fitting, first + 1), first + most))
        return list(pairwise(bounds))

    def read(self, plan: Sequence[tuple[int, int]], future: "Future | None" = None) -> Iterator[Piece]:
        """Pieces, in the order of a plan or the end of one."""
        starts, item_id = self.runs.starts, self.rows.item_id
        ranges = [(int(starts[first]), int(starts[end])) for first, end in plan]
        beside = future.read(plan) if future else iter([None] * len(plan))
        for (first, end), table, ahead in zip(plan, read_ranges(self.rows, ranges), beside, strict=True):
            begins = pa.array(starts[first:end] - starts[first])
            if item_id is None:
                item_ids = pa.array([self.names.choose(table.column_names)[2]])
            else:
                item_ids = table[item_id].take(begins).cast(self.item_type).combine_chunks()
                table = table.drop_columns([item_id])
            counts = np.diff(starts[first : end + 1])
            yield Piece(item_ids, counts, table, self.names, ahead, future.rows.item_id if future else None)


class Future:
    """What is known in advance of a table's series, piece by piece.

    A file in the order of the table is streamed beside it; any other is read whole and put in that order.

    Args:
        path: A Parquet or CSV file.
        names: What its columns are called.
        source: The table.

    Raises:
        DataError: The file cannot be read, or does not say which series its rows belong to.
    """

    def __init__(self, path: Path, names: Names, source: Source) -> None:
        rows = open_rows(path, names)
        if rows.item_id is None and len(source) > 1:
            detail = f"the future table has no item ids, and there are {len(source)} series"
            raise DataError("missing-column", Problem(detail, "add the column of item ids", field="item_id"))
        runs = survey(rows)
        self._places = _places(runs, source.runs) if rows.item_id else np.zeros(1, np.int64)
        if (np.diff(self._places[self._places >= 0]) <= 0).any():
            table = read_all(rows)
            order = np.argsort(np.repeat(self._places, np.diff(runs.starts)), kind="stable")
            rows = TableRows(table.take(pa.array(order)), names, rows.identity)
            runs = survey(rows)
            self._places = _places(runs, source.runs)
        self.rows, self._runs = rows, runs

    def read(self, plan: Sequence[tuple[int, int]]) -> Iterator[pd.DataFrame]:
        """The rows that belong to the series of each piece, and such of others as lie between them."""
        mine = np.flatnonzero(self._places >= 0)
        at, ranges = 0, []
        for first, end in plan:
            low, high = np.searchsorted(self._places[mine], (first, end))
            if high > low:
                ranges.append((int(self._runs.starts[mine[low]]), int(self._runs.starts[mine[high - 1] + 1])))
            else:
                ranges.append((at, at))
            at = ranges[-1][1]
        for table in read_ranges(self.rows, ranges):
            yield table.to_pandas()


@dataclass(frozen=True)
class Runs:
    """Where one series ends and the next begins.

    Attributes:
        starts: `(N + 1,)` the first row of each series, and the number of rows.
        hashes: `(N,)` of their names as text.
        named: `(N,)` whether there is a name.
    """

    starts: Ints
    hashes: npt.NDArray[np.uint64]
    named: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.hashes)

    def repeated(self) -> Ints:
        """The series that begin again after others: none where the rows of each are together."""
        named = np.flatnonzero(self.named)
        _, first = np.unique(self.hashes[named], return_index=True)
        return np.delete(named, first)


def survey(rows: Rows) -> Runs:
    """Find where series begin, from the column of their names alone."""
    if rows.item_id is None:
        return Runs(np.array([0, rows.count]), np.zeros(1, np.uint64), np.ones(1, bool))
    starts, hashes, named = [], [], []
    row, last = 0, None
    for batch in rows.batches([rows.item_id]):
        for names in batch.column(0).chunks:
            if not pa.types.is_dictionary(names.type):
                names = names.dictionary_encode()
            codes = names.indices.fill_null(-1).to_numpy()
            begins = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
            labels = names.dictionary.take(names.indices.take(pa.array(begins))).to_pylist()
            if row and labels[0] == last:
                begins, labels = begins[1:], labels[1:]
            if labels:
                last = labels[-1]
            starts.append(begins + row)
            hashes.append(text_hashes(labels))
            named.append(np.array([label is not None for label in labels], bool))
            row += len(codes)
    return Runs(np.append(np.concatenate(starts), row), np.concatenate(hashes), np.concatenate(named))


def text_hashes(labels: Sequence[object]) -> npt.NDArray[np.uint64]:
    """Names by their text: 1 and "1" are the same."""
    return pd.util.hash_array(np.array([str(label) for label in labels], object), categorize=False)


def _places(runs: Runs, among: Runs) -> Ints:
    """Which of other series each series is, by its name; -1 where it is none of them."""
    order = np.argsort(among.hashes, kind="stable")
    found = np.searchsorted(among.hashes[order], runs.hashes).clip(max=len(order) - 1)
    return np.where(among.hashes[order[found]] == runs.hashes, order[found], -1)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
