"""The front door: one validated, regular table of series from whatever pandas gives.

This is the single place where series are checked. `read_series` takes frames and files, `lay_out`
the same columns as arrays (the service); both end in the same checks, in this order:

1. every row has an item id, an ISO 8601 or pandas timestamp (or a step number) and a number or nothing
   as its target; no value is infinite or beyond 1e33;
2. no series holds a timestamp twice; rows may come in any order;
3. all series lie on one time grid, whose frequency is given or found; gaps become missing values;
4. every series has at least one value;
5. covariates are numbers, booleans or text, and the static ones the same in all rows of a series.
"""

import warnings
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.calendar import DAY, HOUR, Frequency, Ints, Irregularity, Times, infer_frequency
from forecast.columns import Columns, Names, read_columns
from forecast.config import CovariatesConfig
from forecast.covariates import CovariateNames
from forecast.errors import PROBLEMS_TOLD, DataError, DataWarning, Problem
from forecast.table import SeriesTable
from forecast.values import LARGEST

SPARSEST = 100  # steps of the grid for each value that is there
EARLIEST, LATEST = np.datetime64("0001-01-02"), np.datetime64("9000-01-01")
LARGEST_STEP = 10**15


def read_series(
    data: pd.DataFrame | pd.Series | str | Path,
    *,
    item_id: str | None = None,
    timestamp: str | None = None,
    target: str | None = None,
    freq: str | None = None,
    covariates: CovariatesConfig | None = None,
) -> SeriesTable:
    """Check series and put them on a regular time grid.

    Args:
        data: A long frame (`item_id, timestamp, target`; `unique_id, ds, y` are recognised), a wide
            frame with a DatetimeIndex and a column per series, one `pd.Series`, or the path of a
            Parquet or CSV file that holds a long table. Without an item id column the table is one series.
        item_id: Name of the column with the series' names.
        timestamp: Name of the column with the times; integers count steps.
        target: Name of the column with the values.
        freq: pandas' alias of the frequency; found from the timestamps when left out.
        covariates: Which further columns are read, by default none: `CovariatesConfig(known=("price",))`, or
            those of a trained model, `model.config.covariates`. Text and categories become categories.

    Returns:
        The table. Missing values and gaps are masked, and a `DataWarning` tells of them.

    Raises:
        DataError: The series cannot be used; names the item, the place and what to do.
        ParameterError: `freq` is not a frequency.
    """
    names = Names(item_id, timestamp, target, CovariateNames.of(covariates or CovariatesConfig()))
    table = lay_out(read_columns(data, names), Frequency.parse(freq) if freq else None)
    warn_of_missing(table)
    return table


def warn_of_missing(table: SeriesTable) -> None:
    """Give the caller's caller a `DataWarning` where values are missing."""
    missing = Missing.of(table)
    if missing.steps:
        warnings.warn(str(missing), DataWarning, stacklevel=3)


@dataclass(frozen=True)
class Missing:
    """What is missing in series.

    Attributes:
        series, of_series: Series with missing values, of how many.
        steps, of_steps: Missing values, of how many steps.
        worst, worst_steps: The series that misses most, and how many.
    """

    series: int = 0
    of_series: int = 0
    steps: int = 0
    of_steps: int = 0
    worst: str = ""
    worst_steps: int = 0

    @classmethod
    def of(cls, table: SeriesTable) -> Self:
        """Count it."""
        missing = table.missing()
        worst = int(np.argmax(missing))
        counts = int((missing > 0).sum()), len(table), int(missing.sum()), int(table.lengths.sum())
        return cls(*counts, str(table.item_ids[worst]), int(missing[worst]))

    def __add__(self, other: Self) -> Self:
        worst = max(self, other, key=lambda one: one.worst_steps)
        return replace(
            worst,
            series=self.series + other.series,
            of_series=self.of_series + other.of_series,
            steps=self.steps + other.steps,
            of_steps=self.of_steps + other.of_steps,
        )

    def __str__(self) -> str:
        return (
            f"{self.series} of {self.of_series} series have missing values, {self.steps} of {self.of_steps} steps "
            f"in all ({self.worst!r} most, {self.worst_steps}); they are masked, not filled in"
        )


def lay_out(columns: Columns, frequency: Frequency | None = None, most_steps: int | None = None) -> SeriesTable:
    """Check columns and lay them out on the grid.

    Args:
        columns: One entry a row, in any order.
        frequency: The grid; found from the times when left out.
        most_steps: Steps that all series together may span, gaps included; always at most 100 for each value.

    Raises:
        DataError: As `read_series`.
    """
    item_ids, target = columns.item_ids, columns.target
    if not len(target):
        raise DataError("empty-table", Problem("the table has no rows", "send at least one series"))
    _check_values(columns)
    _check_times(columns)
    codes, times, covariates = columns.codes, columns.times, columns.covariates
    if not _is_sorted(codes, times):
        order = np.lexsort((times, codes))
        codes, times, target = codes[order], times[order], target[order]
        covariates = covariates and covariates.take(order)
        del order
    counts = np.bincount(codes, minlength=len(item_ids)).astype(np.int64)
    first = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
    _check_duplicates(item_ids, codes, times, columns.tz)
    static = None if covariates is None else covariates.static(item_ids, codes)
    tz = columns.tz
    del columns, codes  # the largest arrays of all: what follows needs their room

    wall_clock = _counts_days(times, first, frequency, tz)
    if wall_clock:
        times = pd.DatetimeIndex(times, tz="UTC").tz_convert(tz).tz_localize(None).to_numpy()
    if frequency is None:
        found = infer_frequency(times, first)
        if isinstance(found, Irregularity):
            raise _irregular(found, item_ids, times, first, None if wall_clock else tz)
        frequency = found
    elif (frequency.kind == "step") != (times.dtype.kind != "M"):
        raise _other_kind(frequency)
    starts = times[first]
    if _is_gapless(times, first, frequency):
        positions, lengths = None, counts
    else:
        positions, on_grid = frequency.positions(np.repeat(starts, counts), times)
        if not on_grid.all():
            series = int(np.searchsorted(first, np.argmin(on_grid), side="right")) - 1
            off = Irregularity("uneven", series, frequency)
            raise _irregular(off, item_ids, times, first, None if wall_clock else tz)
        del on_grid
        lengths = positions[first + counts - 1] + 1
    _check_sparse(item_ids, lengths, counts, frequency, most_steps)
    offsets = np.concatenate(([0], np.cumsum(lengths)[:-1])).astype(np.int64)
    places = None  # of the rows on the grid, where there are gaps
    if positions is None or lengths.sum() == len(target):
        values = target.astype(np.float32)
    else:
        values = np.full(lengths.sum(), np.nan, np.float32)
        positions += np.repeat(offsets, counts)
        values[positions] = target
        places = positions
    observed = ~np.isnan(values)
    values[~observed] = 0
    beside = None
    if covariates is not None and static is not None:
        beside = covariates.lay_out(places, offsets, lengths, static)
    table = SeriesTable(item_ids, values, observed, offsets, lengths, starts, frequency, tz, wall_clock, beside)
    _check_observed(table)
    return table


def _check_values(columns: Columns) -> None:
    peak = max(np.fmax.reduce(columns.target, initial=0), -np.fmin.reduce(columns.target, initial=0))
    if peak <= LARGEST:
        return
    code, word = ("infinite-value", "infinite") if np.isinf(peak) else ("value-too-large", f"beyond {LARGEST:.0e}")
    bad = np.flatnonzero(np.isinf(columns.target) if np.isinf(peak) else np.abs(columns.target) > LARGEST)
    problems = [
        Problem(
            f"{columns.item_ids[columns.codes[row]]!r} has the value {columns.target[row]:g} at "
            f"{_show(columns.times[row], columns.tz)}, which is {word}",
            "send a number, or nothing where it is missing",
            str(columns.item_ids[columns.codes[row]]),
            "target",
        )
        for row in bad[:PROBLEMS_TOLD]
    ]
    raise DataError(code, problems)


def _check_times(columns: Columns) -> None:
    """Times must leave room for a forecast, and for differences between them."""
    dated = columns.times.dtype.kind == "M"
    low, high = (EARLIEST, LATEST) if dated else (-LARGEST_STEP, LARGEST_STEP)
    if columns.times.min() >= low and columns.times.max() <= high:
        return
    row = int(np.argmax((columns.times < low) | (columns.times > high)))
    item_id = str(columns.item_ids[columns.codes[row]])
    problem = Problem(
        f"{item_id!r} has the timestamp {columns.times[row]}, which lies outside {low} to {high}",
        "correct the date" if dated else "number the steps from 0",
        item_id,
        "timestamp",
    )
    raise DataError("bad-timestamp", problem)


def _is_sorted(codes: Ints, times: Times) -> bool:
    same = codes[1:] == codes[:-1]
    return bool(((codes[1:] > codes[:-1]) | (same & (times[1:] >= times[:-1]))).all())


def _check_duplicates(item_ids: npt.NDArray[np.object_], codes: Ints, times: Times, tz: tzinfo | None) -> None:
    twice = np.flatnonzero((codes[1:] == codes[:-1]) & (times[1:] == times[:-1]))
    if not len(twice):
        return
    series, at, count = np.unique(codes[twice], return_index=True, return_counts=True)
    problems = [
        Problem(
            f"{item_ids[code]!r} has the timestamp {_show(times[twice[row]], tz)} more than once"
            + (f" ({n} such timestamps)" if n > 1 else ""),
            "keep one value per time; local times repeat an hour when clocks go back: send them with their UTC offset",
            str(item_ids[code]),
            "timestamp",
        )
        for code, row, n in zip(series[:PROBLEMS_TOLD], at[:PROBLEMS_TOLD], count[:PROBLEMS_TOLD], strict=True)
    ]
    raise DataError("duplicate-timestamps", problems)


def _counts_days(times: Times, first: Ints, frequency: Frequency | None, tz: tzinfo | None) -> bool:
    """Whether the grid follows local clocks: zoned series of a day's step or more."""
    if tz is None or tz.utcoffset(None) == timedelta(0):
        return False
    if frequency is not None:
        return frequency.kind != "fixed" or frequency.size % DAY == 0
    distances = np.diff(times).view(np.int64)
    distances[first[1:] - 1] = DAY  # between two series
    return bool(len(distances) and distances.min() >= 23 * HOUR)


def _is_gapless(times: Times, first: Ints, frequency: Frequency) -> bool:
    """Whether every series has a row for each step, and all steps are equally long: there is nothing to place then."""
    if frequency.kind not in ("fixed", "step"):
        return False
    steps = np.diff(times).view(np.int64)
    steps[first[1:] - 1] = frequency.size  # between two series
    return bool((steps == frequency.size).all())


def _irregular(
    found: Irregularity, item_ids: npt.NDArray[np.object_], times: Times, first: Ints, tz: tzinfo | None
) -> DataError:
    """The error for series without a common grid."""
    item_id = str(item_ids[found.series])
    if found.frequency is None:
        detail = "no series has two values, so the frequency cannot be told"
        hint = "pass freq=..., pandas' name of it: 'h', 'D', 'MS', ..."
        return DataError("unknown-frequency", Problem(detail, hint, item_id, "timestamp"))
    end = first[found.series + 1] if found.series + 1 < len(first) else len(times)
    own = times[first[found.series] : end]
    if found.reason == "mixed":
        other = infer_frequency(own, np.zeros(1, np.int64))
        step = other if isinstance(other, Frequency) else Frequency.of("fixed", int((own[1] - own[0]).astype(np.int64)))
        detail = f"{item_id!r} steps by {step}, most values by {found.frequency}"
        hint = f"forecast them apart, or resample {item_id!r}"
        return DataError("mixed-frequencies", Problem(detail, hint, item_id, "timestamp"))
    off = ~found.frequency.positions(own[:1], own)[1]
    if off[0]:
        detail = f"{item_id!r} starts at {_show(own[0], tz)}, which is not on a grid of {found.frequency}"
    else:
        where = own[np.argmax(off)]
        detail = (
            f"{item_id!r} has the timestamp {_show(where, tz)}, which is off its grid of {found.frequency} "
            f"from {_show(own[0], tz)}"
        )
    hint = "resample the series to regular times (pandas.DataFrame.resample), or pass the right freq=..."
    return DataError("irregular-timestamps", Problem(detail, hint, item_id, "timestamp"))


def _other_kind(frequency: Frequency) -> DataError:
    if frequency.kind == "step":
        detail, hint = "freq='step' is for series without dates, these have dates", "leave freq out"
    else:
        detail = f"the timestamps are whole numbers, which have no freq={frequency.alias!r}"
        hint = "send dates (pandas.to_datetime(..., unit='s') reads Unix times), or leave freq out"
    return DataError("bad-timestamp", Problem(detail, hint, field="timestamp"))


def _check_sparse(
    item_ids: npt.NDArray[np.object_], lengths: Ints, counts: Ints, frequency: Frequency, most_steps: int | None
) -> None:
    most = SPARSEST * int(counts.sum()) + 1000
    if lengths.sum() <= most and (most_steps is None or lengths.sum() <= most_steps):
        return
    worst = int(np.argmax(lengths - counts * SPARSEST))
    item_id = str(item_ids[worst])
    detail = f"{item_id!r} spans {int(lengths[worst])} steps of {frequency} but has only {int(counts[worst])} values"
    if frequency.kind == "step":
        hint = "whole numbers count steps: send dates (pandas.to_datetime(..., unit='s') reads Unix times)"
        detail = f"{item_id!r} spans {int(lengths[worst])} steps but has only {int(counts[worst])} values"
    else:
        hint = "look for a wrong date, or pass a longer freq=..."
    raise DataError("too-sparse", Problem(detail, hint, item_id, "timestamp"))


def _check_observed(table: SeriesTable) -> None:
    empty = np.flatnonzero(table.missing() == table.lengths)
    if len(empty):
        problems = [
            Problem(
                f"{table.item_ids[series]!r} has no value at all: all {int(table.lengths[series])} are missing",
                "send at least one value, or leave the series out",
                str(table.item_ids[series]),
                "target",
            )
            for series in empty[:PROBLEMS_TOLD]
        ]
        raise DataError("all-missing", problems)


def _show(time: np.datetime64 | np.int64, tz: tzinfo | None = None) -> str:
    if not isinstance(time, np.datetime64):
        return f"step {time}"
    stamp = pd.Timestamp(time)
    return str(stamp if tz is None else stamp.tz_localize("UTC").tz_convert(tz))
