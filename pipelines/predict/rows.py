"""A long table as rows that are read one after the other: of Parquet files a piece at a time, of all else at once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ArrowException

from forecast.columns import Names, read_file
from forecast.errors import DataError, Problem
from pipelines.data.files import BATCH, Files, find_files, is_one_file, kind_of, reading

BUFFER = 1 << 20  # bytes of a file


class Rows(Protocol):
    """A table's rows, of the columns needed alone.

    Attributes:
        item_id: The column of the series' names; None where all rows are one series.
        schema: The columns.
        count: How many rows.
        streamed: Whether rows are read when they are asked for.
        identity: What tells these rows from others, as JSON.
    """

    item_id: str | None
    schema: pa.Schema
    count: int
    streamed: bool
    identity: object

    def batches(self, columns: list[str], start: int = 0) -> Iterator[pa.Table]:
        """The rows from `start` on, bit by bit."""


def open_rows(data: str | Path | pd.DataFrame, names: Names) -> Rows:
    """The rows of a frame, or of Parquet or CSV files: one, a folder, a glob, or an address fsspec knows.

    Raises:
        DataError: There is no such file, it cannot be read, lacks a column or has no rows.
    """
    if isinstance(data, pd.DataFrame):
        columns = _needed(list(map(str, data.columns)), names)
        rows: Rows = TableRows(data[columns], names, int(pd.util.hash_pandas_object(data[columns]).sum()))
    elif is_one_file(str(data)) and kind_of(str(data)) != "Parquet":
        rows = TableRows(read_file(Path(data), names), names, find_files(str(data)).identity)
    elif (files := find_files(str(data))).are_parquet:
        rows = ParquetRows(files, names)
    else:
        rows = TableRows(pa.concat_tables(files.batches(names), promote_options="permissive"), names, files.identity)
    if not rows.count:
        raise DataError("empty-table", Problem("the table has no rows", "send at least one series"))
    return rows


class TableRows:
    """The rows of a table in memory."""

    streamed = False

    def __init__(self, data: pd.DataFrame | pa.Table, names: Names, identity: object) -> None:
        self.table = data if isinstance(data, pa.Table) else _as_arrow(data)
        self.item_id = names.choose(self.table.column_names)[0]
        self.schema, self.count, self.identity = self.table.schema, self.table.num_rows, identity

    def batches(self, columns: list[str], start: int = 0) -> Iterator[pa.Table]:
        """One: all that is left."""
        yield self.table.select(columns).slice(start)


class ParquetRows:
    """The rows of Parquet files, one file after the other, read when they are asked for.

    Raises:
        DataError: A file cannot be read, or lacks a column, or has one of another kind than the others.
    """

    streamed = True

    def __init__(self, files: Files, names: Names) -> None:
        self.identity: object = files.identity
        self._system, paths = files.system, files.paths
        schemas = []
        self._groups: list[tuple[str, list[int]]] = []  # rows of each row group
        for path in paths:
            with reading(path), pq.ParquetFile(path, filesystem=self._system) as file:
                found, footer = file.schema_arrow, file.metadata
                groups = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
            schemas.append(pa.schema([found.field(name) for name in _needed(found.names, names)]))
            self._groups.append((path, groups))
        self.item_id = names.choose(schemas[0].names)[0]
        self.schema = _common(paths, [self._with_dictionary(schema.remove_metadata()) for schema in schemas])
        self.count = sum(map(sum, (groups for _, groups in self._groups)))

    def batches(self, columns: list[str], start: int = 0) -> Iterator[pa.Table]:
        """A few hundred thousand rows each."""
        wanted = pa.schema([self.schema.field(name) for name in columns])
        for path, groups in self._groups:
            before = np.cumsum([0, *groups])
            if start >= before[-1]:
                start -= int(before[-1])
                continue
            first = int(np.searchsorted(before, start, side="right")) - 1
            start -= int(before[first])
            text = [field.name for field in wanted if field.name == self.item_id and pa.types.is_dictionary(field.type)]
            options = {"filesystem": self._system, "read_dictionary": text, "buffer_size": BUFFER}
            with reading(path), pq.ParquetFile(path, **options) as file:
                numbers = list(range(first, len(groups)))
                for batch in file.iter_batches(BATCH, row_groups=numbers, columns=columns, use_threads=False):
                    if start < len(batch):
                        yield pa.table(batch).slice(start).select(columns).cast(wanted)
                    start = max(start - len(batch), 0)

    def _with_dictionary(self, schema: pa.Schema) -> pa.Schema:
        """Item ids that are text are kept as numbers of the few that are there."""
        if self.item_id is None:
            return schema
        place = schema.get_field_index(self.item_id)
        kind = schema.field(place).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            kind = pa.dictionary(pa.int32(), pa.string())
        return schema.set(place, pa.field(self.item_id, kind))


def read_ranges(rows: Rows, ranges: Sequence[tuple[int, int]]) -> Iterator[pa.Table]:
    """The rows from one number to before another, for ascending ranges; holds no more than what it gives."""
    if not ranges:
        return
    at = ranges[0][0]
    held = rows.schema.empty_table()
    batches = rows.batches(rows.schema.names, at)
    for low, high in ranges:
        parts = [held]
        length = held.num_rows
        while at + length < high:
            parts.append(next(batches))
            length += parts[-1].num_rows
        held = pa.concat_tables(parts)
        yield held.slice(low - at, high - low)
        held, at = held.slice(high - at), high


def put_together(rows: Rows, names: Names) -> TableRows:
    """All rows at once, those of each series together, in the order in which the series first appear."""
    table = read_all(rows)
    codes, _ = pd.factorize(table[rows.item_id].to_pandas())
    return TableRows(table.take(pa.array(np.argsort(codes, kind="stable"))), names, rows.identity)


def read_all(rows: Rows) -> pa.Table:
    """All rows at once."""
    return pa.concat_tables(rows.batches(rows.schema.names)).unify_dictionaries()


def _needed(found: list[str], names: Names) -> list[str]:
    return [name for name in (*names.choose(found), *names.covariates.all) if name is not None]


def _as_arrow(frame: pd.DataFrame) -> pa.Table:
    """A frame as a table; a column that holds numbers and text is text."""
    mixed = {str(name): frame[name].map(str, na_action="ignore") for name in frame if frame[name].dtype == object}
    return pa.Table.from_pandas(frame.assign(**mixed), preserve_index=False).replace_schema_metadata()


def _common(paths: Sequence[str], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The one schema that all files fit into.

    Raises:
        DataError: Names a file that does not fit.
    """
    common = schemas[0]
    for path, schema in zip(paths, schemas, strict=True):
        try:
            common = pa.unify_schemas([common, schema], promote_options="permissive")
        except ArrowException as error:
            problem = Problem(f"{path!r} does not fit {paths[0]!r}: {error}", "convert one of them")
            raise DataError("unreadable-file", problem) from None
    return common
