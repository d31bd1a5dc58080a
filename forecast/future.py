"""The second front door: what is known in advance of the steps to forecast."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.calendar import Ints
from forecast.columns import Columns, Names, read_columns
from forecast.config import CovariatesConfig
from forecast.covariates import CovariateColumns, CovariateNames, Covariates, require
from forecast.errors import DataError, ParameterError, Problem
from forecast.table import SeriesTable


def read_future(
    data: pd.DataFrame | str | Path,
    table: SeriesTable,
    covariates: CovariatesConfig,
    *,
    item_id: str | None = None,
    timestamp: str | None = None,
) -> SeriesTable:
    """Add what is known in advance to series.

    Args:
        data: A long frame, or the path of a Parquet or CSV file, with the columns of item ids and times and
            those of `covariates.known`, in any order. Items and times that are not asked for are passed over.
        table: The series, read with these covariates.
        covariates: The covariates, as a rule `model.config.covariates`.
        item_id: Name of the column with the series' names; it may be missing where there is one series.
        timestamp: Name of the column with the times.

    Returns:
        The series, each with what is known of the steps right after its end, up to the first that is missing.

    Raises:
        DataError: The table cannot be used, or its times do not fit the series'.
        ParameterError: There are no covariates known in advance.
    """
    if not covariates.known:
        detail = "this model reads no covariates known in advance"
        raise ParameterError(Problem(detail, "leave the future table out", field="future"))
    text = {name: name in require(table.covariates, name).categories for name in covariates.known}
    names = Names(item_id, timestamp, covariates=CovariateNames(covariates.known, text=text), has_target=False)
    columns = read_columns(data, names)
    rows, series, ahead = _place(columns, table)
    order = np.lexsort((ahead, series))
    rows, series, ahead = rows[order], series[order], ahead[order]
    _check_duplicates(table, series, ahead)
    # Steps ascend in each series: as long as none is missing, they are the numbers of its rows.
    number = np.arange(len(series)) - np.searchsorted(series, series)
    unbroken = ahead == number
    known = cast(CovariateColumns, columns.covariates).take(rows[unbroken])
    return extend(table, known, series[unbroken], ahead[unbroken])


def extend(table: SeriesTable, rows: CovariateColumns, series: Ints, ahead: Ints) -> SeriesTable:
    """Series with covariates of the steps after their ends, in place of those they had.

    Args:
        table: N series with covariates.
        rows: R rows of varying columns that the series have as well, each of the same kind.
        series: `(R,)` which series each row belongs to.
        ahead: `(R,)` steps after its end, from 0 on, without a gap in any series.
    """
    old = require(table.covariates, rows.names.varying[0])
    lengths = table.lengths + np.bincount(series, minlength=len(table))
    offsets = np.cumsum(lengths) - lengths
    values = np.full((lengths.sum(), old.values.shape[1]), np.nan, np.float32)
    step = np.arange(table.lengths.sum()) - np.repeat(np.cumsum(table.lengths) - table.lengths, table.lengths)
    values[step + np.repeat(offsets, table.lengths)] = old.values[step + np.repeat(old.offsets, table.lengths)]
    categories = dict(old.categories)
    for place, name in enumerate(rows.names.varying):
        column = rows.values[:, place]
        if name in categories:
            categories[name], column = _merge(categories[name], rows.categories[name], column)
        values[offsets[series] + table.lengths[series] + ahead, old.names.varying.index(name)] = column
    return replace(table, covariates=Covariates(old.names, values, offsets, lengths, old.static, categories))


def _place(columns: Columns, table: SeriesTable) -> tuple[Ints, Ints, Ints]:
    """The rows of a future table that lie after a series' end: which rows, which series, and how many steps."""
    if (columns.tz is None) != (table.tz is None) or columns.times.dtype.kind != table.starts.dtype.kind:
        kinds = {(False, True): "steps", (True, True): "times without a zone", (True, False): "times with a zone"}
        found = kinds[columns.times.dtype.kind == "M", columns.tz is None]
        expected = kinds[table.starts.dtype.kind == "M", table.tz is None]
        detail = f"the future table tells {found}, the series tell {expected}"
        raise DataError("bad-timestamp", Problem(detail, "give both in the same way", field="timestamp"))
    codes = _series_of(columns, table)[columns.codes]
    rows = np.flatnonzero(codes >= 0)
    series, times = codes[rows], table.grid_times(columns.times[rows])
    steps, on_grid = table.frequency.positions(table.starts[series], times)
    ahead = steps - table.lengths[series]
    off = np.flatnonzero((ahead >= 0) & ~on_grid)
    if len(off):
        item_id = str(table.item_ids[series[off[0]]])
        detail = (
            f"the future table has {item_id!r} at {table.timestamps(times[off[:1]])[0]}, "
            f"which is off its grid of {table.frequency}"
        )
        raise DataError("irregular-timestamps", Problem(detail, "give a row for each step", item_id, "timestamp"))
    after = ahead >= 0
    return rows[after], series[after], ahead[after]


def _series_of(columns: Columns, table: SeriesTable) -> Ints:
    """Which series each item of the future table is; -1 for those that are not there. Ids are compared as text."""
    if columns.item_ids.tolist() == [None]:
        if len(table) > 1:
            detail = f"the future table has no item ids, and there are {len(table)} series"
            raise DataError("missing-column", Problem(detail, "add the column of item ids", field="item_id"))
        return np.zeros(1, np.int64)
    places = {str(item_id): place for place, item_id in enumerate(table.item_ids)}
    return np.array([places.get(str(item_id), -1) for item_id in columns.item_ids], np.int64)


def _check_duplicates(table: SeriesTable, series: Ints, ahead: Ints) -> None:
    twice = np.flatnonzero((series[1:] == series[:-1]) & (ahead[1:] == ahead[:-1]))
    if len(twice):
        one = table.select(series[twice[:1]])
        item_id = str(one.item_ids[0])
        time = one.timestamps(one.times((one.lengths + ahead[twice[0]])[:, None]))[0]
        detail = f"the future table has {item_id!r} at {time} more than once"
        raise DataError("duplicate-timestamps", Problem(detail, "keep one row per time", item_id, "timestamp"))


def _merge(
    known: tuple[str, ...], others: tuple[str, ...], codes: npt.NDArray[np.float32]
) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Two lists of categories as one, and the codes of the second in it."""
    places = {label: place for place, label in enumerate(dict.fromkeys((*known, *others)))}
    moved = np.array([*(places[label] for label in others), np.nan], np.float32)
    return tuple(places), moved[np.where(np.isnan(codes), -1, codes).astype(np.int64)]
