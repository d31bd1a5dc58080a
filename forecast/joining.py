"""Several tables as one, so that what is done for all series at once is done once."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from forecast.covariates import Covariates
from forecast.table import SeriesTable


def layout(table: SeriesTable) -> Hashable:
    """What tables must have in common to be joined: their grid, their clock and their covariates' names.

    Zones of one fixed offset are no difference, as `join` moves such tables to their own wall clock.
    """
    zone = None if _offset(table) is not None else (table.tz, table.wall_clock)
    beside = table.covariates and (table.covariates.names.varying, table.covariates.names.static)
    text = table.covariates and frozenset(table.covariates.categories)
    return table.frequency, zone, beside, text


def join(tables: Sequence[SeriesTable]) -> SeriesTable:
    """The series of all tables, one after the other; calendar features and forecasts of each stay what they were.

    Args:
        tables: Of one `layout`, one at least. A single one is returned as it is.
    """
    if len(tables) == 1:
        return tables[0]
    first = tables[0]
    ends = np.cumsum([len(table.values) for table in tables])
    starts = []
    for table in tables:
        offset = _offset(table)
        starts.append(table.starts + np.timedelta64(offset, "us") if offset else table.starts)
    local = _offset(first) is not None
    return replace(
        first,
        item_ids=np.concatenate([table.item_ids for table in tables]),
        values=np.concatenate([table.values for table in tables]),
        observed=np.concatenate([table.observed for table in tables]),
        offsets=np.concatenate(
            [table.offsets + end - len(table.values) for table, end in zip(tables, ends, strict=True)]
        ),
        lengths=np.concatenate([table.lengths for table in tables]),
        starts=np.concatenate(starts),
        tz=None if local else first.tz,
        wall_clock=False if local else first.wall_clock,
        covariates=_join_covariates([table.covariates for table in tables if table.covariates is not None]),
    )


def _offset(table: SeriesTable) -> timedelta | None:
    """How far a table's wall clock is ahead of its grid's clock; None where that changes over the year."""
    if table.tz is None or table.wall_clock:
        return timedelta(0)
    return table.tz.utcoffset(None)


def _join_covariates(parts: Sequence[Covariates]) -> Covariates | None:
    """Covariates of the same names; each part's categories get numbers of their own."""
    if not parts:
        return None
    names = parts[0].names
    ends = np.cumsum([len(part.values) for part in parts])
    values = np.concatenate([part.values for part in parts])
    static = np.concatenate([part.static for part in parts])
    series = np.cumsum([len(part.static) for part in parts])
    categories = {}
    for name in parts[0].categories:
        labels = [part.categories[name] for part in parts]
        categories[name] = tuple(label for one in labels for label in one)
        before = np.cumsum([0, *map(len, labels[:-1])])
        column, sizes = (
            (values[:, names.varying.index(name)], np.diff(ends, prepend=0))
            if name in names.varying
            else (static[:, names.static.index(name)], np.diff(series, prepend=0))
        )
        column += np.repeat(before, sizes).astype(np.float32)
    return Covariates(
        names,
        values,
        np.concatenate([part.offsets + end - len(part.values) for part, end in zip(parts, ends, strict=True)]),
        np.concatenate([part.lengths for part in parts]),
        static,
        categories,
    )
