"""Time grids: frequencies, the steps between timestamps, season lengths, calendar features.

Times are `datetime64[us]` on the grid's own clock (UTC, or wall-clock time: see `series.py`); series
without dates count their steps instead and use plain `int64`. Everything here is vectorised over
points and series.
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.errors import ParameterError, Problem

Times = npt.NDArray[Any]  # datetime64[us], or int64 for series without dates
Ints = npt.NDArray[np.int64]

SECOND = 1_000_000  # microseconds
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
WEEK = 7 * DAY
YEAR = 31_556_952 * SECOND  # the mean Gregorian year, 365.2425 days

Kind = Literal["fixed", "month-start", "month-end", "business-day", "step"]
MONTHLY: tuple[Kind, Kind] = ("month-start", "month-end")


@dataclass(frozen=True)
class Frequency:
    """A regular time grid: how far one step goes, and where it lands.

    Attributes:
        alias: pandas' name of it ("h", "30min", "D", "B", "W", "MS", "QS", "YE", ...), or "step" for
            series that have no dates.
        kind: How steps are counted. Months keep their distance from the start (or end) of the month,
            so the 15th of each month is a grid as well; the 29th is not.
        size: Microseconds, months, business days or plain steps in one step of the grid.
    """

    alias: str
    kind: Kind
    size: int

    @classmethod
    @lru_cache(256)
    def parse(cls, alias: str) -> Self:
        """Read a pandas frequency alias, or "step".

        Raises:
            ParameterError: The alias is unknown, not positive, or of a kind no grid is made of.
        """
        if alias == "step":
            return cls("step", "step", 1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "d" for "D" is as clear
                offset = pd.tseries.frequencies.to_offset(alias)
        except (ValueError, TypeError):
            offset = None
        if offset is None or offset.n < 1:
            raise ParameterError(_unknown_alias(alias))
        name = type(offset).__name__
        if name == "BusinessDay":
            return cls.of("business-day", offset.n)
        if name in ("Week", "Day"):
            return cls.of("fixed", offset.n * (WEEK if name == "Week" else DAY))
        if isinstance(offset, pd.offsets.Tick) and offset.nanos % 1000 == 0:
            return cls.of("fixed", offset.nanos // 1000)
        for unit, months in (("Month", 1), ("Quarter", 3), ("Year", 12)):
            if name in (f"{unit}Begin", f"{unit}End"):
                return cls.of("month-start" if name.endswith("Begin") else "month-end", offset.n * months)
        raise ParameterError(_unknown_alias(alias))

    @classmethod
    def of(cls, kind: Kind, size: int) -> Self:
        """The grid of a kind and size, under its usual name."""
        if kind == "fixed":
            for unit, name in ((WEEK, "W"), (DAY, "D"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (1, "us")):
                if size % unit == 0:
                    count = size // unit
                    return cls(name if count == 1 else f"{count}{name}", kind, size)
        if kind in MONTHLY:
            for months, name in ((12, "Y"), (3, "Q"), (1, "M")):
                if size % months == 0:
                    count = size // months
                    alias = name + ("S" if kind == "month-start" else "E")
                    return cls(alias if count == 1 else f"{count}{alias}", kind, size)
        if kind == "business-day":
            return cls("B" if size == 1 else f"{size}B", kind, size)
        return cls("step", "step", 1)

    def __str__(self) -> str:
        return self.alias

    def positions(self, start: Times, times: Times) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """How many steps `times` lie after `start`, and whether they lie on the grid at all.

        Args:
            start: The grid's first times, of a shape that broadcasts with `times`.
            times: The times to place.

        Returns:
            Steps (rounded down where off the grid) and a mask of those on the grid.
        """
        if self.kind == "step":
            steps = (times - start).astype(np.int64)
            return steps, np.ones(steps.shape, bool)
        if self.kind == "fixed":
            micros = (times - start).view(np.int64)
            steps = micros // self.size
            return steps, steps * self.size == micros  # a remainder takes several times as long
        if self.kind == "business-day":
            first, days = start.astype("M8[D]"), times.astype("M8[D]")
            count = np.busday_count(first, days)
            on_grid = np.is_busday(days) & (times - days == start - first) & (count % self.size == 0)
            return (count // self.size).astype(np.int64), on_grid
        first, months = start.astype("M8[M]"), times.astype("M8[M]")
        count = (months - first).astype(np.int64)
        distance = start - self._anchor(first)
        # The 29th is not in every month; and what lies far from a month's end is not meant by it.
        low, high = (0, 27) if self.kind == "month-start" else (-15, -1)
        in_every_month = (distance >= np.timedelta64(low, "D")) & (distance < np.timedelta64(high + 1, "D"))
        on_grid = (count % self.size == 0) & (times - self._anchor(months) == distance) & in_every_month
        return count // self.size, on_grid

    def advance(self, start: Times, steps: Ints) -> Times:
        """The times `steps` steps after `start` (broadcast against each other)."""
        moved: Times
        if self.kind == "step":
            moved = start + steps * np.int64(self.size)
        elif self.kind == "fixed":
            moved = start + (steps * np.int64(self.size)).astype("m8[us]")
        elif self.kind == "business-day":
            days = start.astype("M8[D]")
            moved = np.busday_offset(days, steps * self.size, roll="forward").astype("M8[us]") + (start - days)
        else:
            first = start.astype("M8[M]")
            months = first + (steps * self.size).astype("m8[M]")
            moved = self._anchor(months) + (start - self._anchor(first))
        return moved

    @property
    def season_lengths(self) -> tuple[int, ...]:
        """Steps per season, the shortest first; empty where nothing repeats by the calendar."""
        if self.kind in MONTHLY:
            return (12 // self.size,) if self.size < 12 and 12 % self.size == 0 else ()
        if self.kind == "business-day":
            return (5, 261) if self.size == 1 else ()
        if self.kind == "step":
            return ()
        if self.size == DAY:
            return (7, 365)
        if self.size == WEEK:
            return (52,)
        cycles = (MINUTE, HOUR) if self.size < MINUTE else (HOUR, DAY) if self.size < 5 * MINUTE else (DAY, WEEK)
        return tuple(cycle // self.size for cycle in cycles if cycle % self.size == 0 and cycle > self.size)

    @property
    def short_season(self) -> int:
        """Steps of the shortest season; 1 where nothing repeats by the calendar."""
        return next(iter(self.season_lengths), 1)

    def _anchor(self, months: Times) -> Times:
        """The instant in each month from which days are counted: its start, or the start of the next."""
        return (months + 1 if self.kind == "month-end" else months).astype("M8[us]")


def _unknown_alias(alias: str) -> Problem:
    return Problem(
        f"freq={alias!r} is not a frequency this library knows",
        "use one of pandas' aliases: 's', 'min', '15min', 'h', 'D', 'B', 'W', 'MS', 'ME', 'QS', 'YS', ...",
        field="freq",
    )


def feature_names(frequency: Frequency) -> tuple[str, ...]:
    """The calendar features of a grid: one per cycle that the grid can resolve, as sine and cosine."""
    return tuple(f"{part}_{cycle}" for cycle in _cycles(frequency) for part in ("sin", "cos"))


def calendar_features(frequency: Frequency, times: Times) -> npt.NDArray[np.float32]:
    """Where each time stands in the day, the week and the year.

    Args:
        frequency: The grid; cycles no longer than its step are left out.
        times: Wall-clock times of any shape `(...)`.

    Returns:
        `(..., K)` in [-1, 1], named by `feature_names(frequency)`; K is 0 for series without dates.
    """
    cycles = _cycles(frequency)
    out = np.empty((*times.shape, 2 * len(cycles)), np.float32)
    micros = times.astype(np.int64) if cycles else times
    for k, cycle in enumerate(cycles):
        length = {"day": DAY, "week": WEEK, "year": YEAR}[cycle]
        angle = ((micros % length) * (2 * np.pi / length)).astype(np.float32)
        np.sin(angle, out=out[..., 2 * k])
        np.cos(angle, out=out[..., 2 * k + 1])
    return out


def _cycles(frequency: Frequency) -> tuple[str, ...]:
    if frequency.kind == "step":
        return ()
    step = {"fixed": frequency.size, "business-day": frequency.size * DAY}.get(
        frequency.kind, frequency.size * 30 * DAY
    )
    return tuple(name for name, length in (("day", DAY), ("week", WEEK), ("year", YEAR)) if 2 * step <= length)


def infer_frequency(times: Times, first: Ints) -> "Frequency | Irregularity":
    """Find the grid that a table of series lies on.

    The step is the most common distance between neighbours. Multiples of it are gaps, but a series that
    steps evenly by another distance is of another frequency.

    Args:
        times: `(P,)`, strictly increasing within each series.
        first: `(N,)`, where each series begins in `times`.

    Returns:
        The frequency, or what stands in its way.
    """
    if np.issubdtype(times.dtype, np.integer):
        return Frequency.parse("step")
    steps = Steps.between(times.view(np.int64), first)
    if steps is None:
        return Irregularity("unknown")
    shortest = steps.smallest.min()
    if shortest >= 28 * DAY:
        starts = np.repeat(times[first], np.diff(first, append=len(times)))
        for kind in MONTHLY:
            months, on_grid = Frequency.of(kind, 1).positions(starts, times)
            if on_grid.all() and (by_month := Steps.between(months, first)) is not None:
                return by_month.common(kind)
    if shortest % DAY == 0 and shortest <= 3 * DAY:
        days = times.astype("M8[D]")
        if np.is_busday(days).all():
            last = np.append(first[1:], len(times)) - 1
            count = np.busday_count(np.repeat(days[first], last + 1 - first), days).astype(np.int64)
            weekend_skipped = (count[last] != (days[last] - days[first]).astype(np.int64)).any()
            by_day = Steps.between(count, first)
            if weekend_skipped and by_day is not None and by_day.usual == 1:
                return by_day.common("business-day")
    return steps.common("fixed")


def keeps_longer_step(frequency: Frequency, times: Times, first: Ints) -> npt.NDArray[np.bool_]:
    """Which series lie on a grid, but step evenly over several of its steps: they are of another frequency.

    Args:
        frequency: The grid.
        times: `(P,)` on it, strictly increasing within each series.
        first: `(N,)` where each series begins in `times`.

    Returns:
        `(N,)`.
    """
    positions, _ = frequency.positions(np.repeat(times[first], np.diff(first, append=len(times))), times)
    longer = np.zeros(len(first), bool)
    steps = Steps.between(positions, first)
    if steps is not None:
        longer[steps.series] = steps.even & (steps.smallest >= 2)
    return longer


@dataclass(frozen=True)
class Irregularity:
    """Why a table of series has no common frequency.

    Attributes:
        reason: "unknown" (no series has two values), "mixed" (a series keeps a step of its own) or
            "uneven" (a time lies off the grid).
        series: Index of the first series concerned.
        frequency: The grid that most points lie on; None where it is unknown.
    """

    reason: Literal["unknown", "mixed", "uneven"]
    series: int = 0
    frequency: Frequency | None = None


@dataclass(frozen=True)
class Steps:
    """The distances between neighbours, summed up by series (those with two values or more).

    Attributes:
        series: `(M,)` which series.
        smallest, largest, divisor: `(M,)` smallest and largest distance, and the greatest common divisor.
        counts: `(M,)` how many distances.
        usual: The most common distance of all, the smallest of these where there are several.
    """

    series: Ints
    smallest: Ints
    largest: Ints
    divisor: Ints
    counts: Ints
    usual: int

    @classmethod
    def between(cls, numbers: Ints, first: Ints) -> Self | None:
        """Sum up the distances between neighbours; None where no series has two values."""
        counts = np.diff(first, append=len(numbers)) - 1
        several = np.flatnonzero(counts > 0)
        if not len(several):
            return None
        distances = np.diff(numbers)
        # reduceat works from each index to the next: every other stretch is one series, without the
        # distance from its last value to the next series' first.
        bounds = np.stack((first[several], first[several] + counts[several]), axis=1).ravel()
        bounds = bounds[bounds < len(distances)]
        smallest, largest, divisor = (f.reduceat(distances, bounds)[::2] for f in (np.minimum, np.maximum, np.gcd))
        distances[first[1:] - 1] = 0  # between two series
        return cls(several, smallest, largest, divisor, counts[several], _most_common(distances))

    @property
    def even(self) -> npt.NDArray[np.bool_]:
        """`(M,)` which series keep one step: days of 23 to 25 hours and months of 28 to 31 days do."""
        return (self.largest <= 1.15 * self.smallest) & (self.counts >= 3)

    def common(self, kind: Kind) -> Frequency | Irregularity:
        """The one grid of all series, or the first series that does not lie on it."""
        frequency = Frequency.of(kind, self.usual)
        mixed = self.even & ((self.smallest >= 2 * self.usual) | (2 * self.largest <= self.usual))
        wrong = mixed | (self.divisor % self.usual != 0)
        if not wrong.any():
            return frequency
        worst = int(np.argmax(wrong))
        return Irregularity("mixed" if mixed[worst] else "uneven", int(self.series[worst]), frequency)


def _most_common(distances: Ints) -> int:
    """The most common positive number; sorts in place."""
    distances.sort()
    ends = np.flatnonzero(np.append(distances[1:] != distances[:-1], True))
    counts = np.diff(ends, prepend=-1)
    return int(distances[ends[np.argmax(np.where(distances[ends] > 0, counts, 0))]])
