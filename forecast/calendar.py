"""Time grids: frequencies, the steps between timestamps, season lengths, calendar features.

Times are `datetime64[us]` on the grid's own clock (UTC, or wall-clock time: see `series.py`); series
without dates count their steps instead and use plain `int64`. Everything here is vectorised over
points and series.
"""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.errors import ParameterError, Problem

Times = npt.NDArray[np.datetime64] | npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]

SECOND = 1_000_000  # microseconds
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
WEEK = 7 * DAY
YEAR = 31_556_952 * SECOND  # the mean Gregorian year, 365.2425 days

Kind = Literal["fixed", "month-start", "month-end", "business-day", "step"]

@dataclass(frozen=True)
class Frequency:
    """A regular time grid: how far one step goes, and where it lands.

    Attributes:
        alias: pandas' name of it ("h", "30min", "D", "B", "W", "MS", "QS", "YE", ...), or "step" for
            series that have no dates.
        kind: How steps are counted. Months keep their distance from the start (or end) of the month,
            so the 15th of each month is a grid as well.
        size: Microseconds, months, business days or plain steps in one step of the grid.
    """

    alias: str
    kind: Kind
    size: int

    @classmethod
    def parse(cls, alias: str) -> Self:
        """Read a pandas frequency alias, or "step".

        Raises:
            ParameterError: The alias is unknown, not positive, or of a kind no grid is made of.
        """
        if alias == "step":
            return cls("step", "step", 1)
        try:
            offset = pd.tseries.frequencies.to_offset(alias)
        except (ValueError, TypeError):
            offset = None
        if offset is None or offset.n < 1:
            raise ParameterError(_unknown_alias(alias))
        months = {"Month": 1, "Quarter": 3, "Year": 12}
        name = type(offset).__name__
        if isinstance(offset, pd.offsets.BusinessDay) and name == "BusinessDay":
            return cls.of("business-day", offset.n)
        if isinstance(offset, pd.offsets.Week):
            return cls.of("fixed", offset.n * WEEK)
        if name == "Day":
            return cls.of("fixed", offset.n * DAY)
        if isinstance(offset, pd.offsets.Tick):
            nanoseconds = int(offset.nanos)
            if nanoseconds % 1000:
                raise ParameterError(_unknown_alias(alias))
            return cls.of("fixed", nanoseconds // 1000)
        for unit, length in months.items():
            if name in (f"{unit}Begin", f"{unit}End"):
                return cls.of("month-start" if name.endswith("Begin") else "month-end", offset.n * length)
        raise ParameterError(_unknown_alias(alias))

    @classmethod
    def of(cls, kind: Kind, size: int) -> Self:
        """The grid of a kind and size, under its usual name."""
        if kind == "fixed":
            for unit, name in ((WEEK, "W"), (DAY, "D"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"), (1, "us")):
                if size % unit == 0:
                    count = size // unit
                    return cls(name if count == 1 else f"{count}{name}", kind, size)
        if kind in ("month-start", "month-end"):
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
            micros = (times - start).astype(np.int64)
            return micros // self.size, micros % self.size == 0
        if self.kind == "business-day":
            first, days = start.astype("M8[D]"), times.astype("M8[D]")
            count = np.busday_count(first, days)
            on_grid = np.is_busday(days) & (times - days == start - first) & (count % self.size == 0)
            return (count // self.size).astype(np.int64), on_grid
        first, months = self._months(start), self._months(times)
        count = (months - first).astype(np.int64)
        on_grid = (count % self.size == 0) & (times - self._anchor(months) == start - self._anchor(first))
        return count // self.size, on_grid

    def advance(self, start: Times, steps: Ints) -> Times:
        """The times `steps` steps after `start` (broadcast against each other)."""
        if self.kind == "step":
            return start + steps * np.int64(self.size)
        if self.kind == "fixed":
            return start + (steps * np.int64(self.size)).astype("m8[us]")
        if self.kind == "business-day":
            days = start.astype("M8[D]")
            moved = np.busday_offset(days, steps * self.size, roll="forward")
            return moved.astype("M8[us]") + (start - days)
        months = self._months(start)
        moved = months + (steps * self.size).astype("m8[M]")
        return self._anchor(moved) + (start - self._anchor(months))

    @property
    def season_lengths(self) -> tuple[int, ...]:
        """Steps per season, the shortest first; empty where nothing repeats by the calendar."""
        if self.kind in ("month-start", "month-end"):
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

    def _months(self, times: Times) -> npt.NDArray[np.datetime64]:
        return times.astype("M8[M]")

    def _anchor(self, months: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
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
    step = {"fixed": frequency.size, "business-day": frequency.size * DAY}.get(frequency.kind, frequency.size * 30 * DAY)
    return tuple(name for name, length in (("day", DAY), ("week", WEEK), ("year", YEAR)) if 2 * step <= length)


def infer_frequency(times: Times, first: Ints) -> "Frequency | Irregularity":
    """Find the grid that a table of series lies on.

    The step is the one most points have. Uneven multiples of it are gaps; a series that steps evenly,
    but by another step, is of another frequency.

    Args:
        times: `(P,)`, strictly increasing within each series.
        first: `(N,)`, where each series begins in `times`.

    Returns:
        The frequency, or what stands in its way.
    """
    if np.issubdtype(times.dtype, np.integer):
        return Frequency.parse("step")
    counts = np.diff(np.append(first, len(times)))
    steps = Steps.between(times.astype("M8[us]").astype(np.int64), first)
    if steps is None:
        return Irregularity("unknown")
    if steps.smallest.min() >= 28 * DAY:
        for kind in ("month-start", "month-end"):
            probe = Frequency.of(kind, 1)  # type: ignore[arg-type]
            starts = np.repeat(times[first], counts)
            months, on_grid = probe.positions(starts, times)
            if on_grid.all():
                found = Steps.between(months, first)
                if found is not None:
                    return found.common(kind)  # type: ignore[arg-type]
    if steps.smallest.min() % DAY == 0 and steps.smallest.min() <= 3 * DAY and np.is_busday(times.astype("M8[D]")).all():
        days = times.astype("M8[D]")
        count = np.busday_count(np.repeat(days[first], counts), days).astype(np.int64)
        weekend_skipped = (np.diff(days).astype(np.int64) != np.diff(count)).any()
        found = Steps.between(count, first)
        if weekend_skipped and found is not None and found.usual() == 1:
            return found.common("business-day")
    return steps.common("fixed")


@dataclass(frozen=True)
class Irregularity:
    """Why a table of series has no common frequency.

    Attributes:
        reason: "unknown" (no series has two values), "mixed" (a series keeps a step of its own) or
            "uneven" (a time lies off the grid).
        series: Index of the first series concerned.
        frequency: The grid that most points lie on.
        other: That series' own grid, where it has one.
    """

    reason: Literal["unknown", "mixed", "uneven"]
    series: int = 0
    frequency: Frequency | None = None
    other: Frequency | None = None


@dataclass(frozen=True)
class Steps:
    """The distances between neighbours, summed up by series (those with two values or more).

    Attributes:
        series: `(M,)` which series.
        smallest, largest, divisor: `(M,)` smallest and largest distance, and the greatest common divisor.
        counts: `(M,)` how many distances.
    """

    series: Ints
    smallest: Ints
    largest: Ints
    divisor: Ints
    counts: Ints

    @classmethod
    def between(cls, numbers: Ints, first: Ints) -> "Steps | None":
        counts = np.diff(np.append(first, len(numbers))) - 1
        several = np.flatnonzero(counts > 0)
        if not len(several):
            return None
        distances = np.diff(numbers)
        # reduceat works from each index to the next: every other stretch is one series, without the
        # distance from its last value to the next series' first.
        bounds = np.stack((first[several], first[several] + counts[several]), axis=1).ravel()
        bounds = bounds[bounds < len(distances)]
        return cls(
            several,
            np.minimum.reduceat(distances, bounds)[::2],
            np.maximum.reduceat(distances, bounds)[::2],
            np.gcd.reduceat(distances, bounds)[::2],
            counts[several],
        )

    def usual(self) -> int:
        """The smallest distance of the series that hold most points."""
        sizes, which = np.unique(self.smallest, return_inverse=True)
        return int(sizes[np.argmax(np.bincount(which, weights=self.counts))])

    def common(self, kind: Kind) -> Frequency | Irregularity:
        """The one grid of all series, or the first series that does not lie on it."""
        size = self.usual()
        even = (self.smallest == self.largest) & (self.smallest != size) & (self.counts >= 3)
        off = self.divisor % size != 0
        frequency = Frequency.of(kind, size)
        if not (even | off).any():
            return frequency
        worst = int(np.argmax(even | off))
        other = Frequency.of(kind, int(self.smallest[worst])) if self.divisor[worst] == self.smallest[worst] else None
        return Irregularity("mixed" if other else "uneven", int(self.series[worst]), frequency, other)

