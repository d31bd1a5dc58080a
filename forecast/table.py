"""The table of series that everything inside works on: flat arrays, no Python object per series."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecast.calendar import Frequency, Ints, Times
from forecast.covariates import Covariates

PIECE = 1 << 20  # values of a flat array worked on at once


@dataclass(frozen=True)
class SeriesTable:
    """N validated series on one regular time grid.

    Attributes:
        item_ids: `(N,)` names, in the order of their first appearance.
        values: `(P,)` float32, all series one after the other; 0 where nothing was observed.
        observed: `(P,)` whether a value was observed.
        offsets: `(N,)` where each series begins in `values`.
        lengths: `(N,)` steps in each series, gaps included.
        starts: `(N,)` time of each series' first step, on the grid's clock.
        frequency: The grid.
        tz: The zone that times came in and go out in; None for times without a zone.
        wall_clock: Whether the grid's clock shows local time (daily data and coarser) rather than UTC.
            Means something only with a zone.
        covariates: What is known beside the values, of some series beyond their end.
    """

    item_ids: npt.NDArray[np.object_]
    values: npt.NDArray[np.float32]
    observed: npt.NDArray[np.bool_]
    offsets: Ints
    lengths: Ints
    starts: Times
    frequency: Frequency
    tz: tzinfo | None = None
    wall_clock: bool = False
    covariates: Covariates | None = None

    def __len__(self) -> int:
        return len(self.item_ids)

    def __repr__(self) -> str:
        return (
            f"SeriesTable({len(self)} series, {int(self.lengths.sum())} steps of {self.frequency}, "
            f"{int((self.lengths - self.missing()).sum())} observed)"
        )

    def drop_last(self, steps: int | Ints) -> Self:
        """The same series without their last `steps` steps (`(N,)`, or as many of each); empty ones are left out.

        Covariates stay: what was known in advance of these steps is then the future's. Shares the values:
        nothing is copied.
        """
        lengths = self.lengths - steps
        keep = lengths > 0
        return replace(
            self,
            item_ids=self.item_ids[keep],
            offsets=self.offsets[keep],
            lengths=lengths[keep],
            starts=self.starts[keep],
            covariates=self.covariates and self.covariates.select(keep),
        )

    def drop_last_missing(self) -> Self:
        """The same series up to the last value of each (every series has one); covariates stay, as in `drop_last`."""
        steps = np.append(np.where(self.observed, np.arange(len(self.observed)), -1), -1)
        bounds = np.stack((self.offsets, self.offsets + self.lengths), axis=1).ravel()
        last = np.maximum.reduceat(steps, bounds)[::2]
        return replace(self, lengths=last + 1 - self.offsets)

    def keep_last(self, steps: int) -> Self:
        """The same series cut to their last `steps` steps, sharing the values."""
        dropped = np.maximum(self.lengths - steps, 0)
        return replace(
            self,
            offsets=self.offsets + dropped,
            lengths=self.lengths - dropped,
            starts=self.frequency.advance(self.starts, dropped),
            covariates=self.covariates and self.covariates.skip(dropped),
        )

    def select(self, index: Ints | npt.NDArray[np.bool_]) -> Self:
        """The series at `index`, sharing the values."""
        return replace(
            self,
            item_ids=self.item_ids[index],
            offsets=self.offsets[index],
            lengths=self.lengths[index],
            starts=self.starts[index],
            covariates=self.covariates and self.covariates.select(index),
        )

    def times(self, positions: Ints) -> Times:
        """Times on the grid's clock.

        Args:
            positions: `(N, H)` steps after each series' start.

        Returns:
            `(N, H)` times.
        """
        return self.frequency.advance(self.starts[:, None], positions)

    def grid_times(self, times: Times) -> Times:
        """UTC times, as rows have them, on the grid's clock."""
        if not self.wall_clock:
            return times
        return pd.DatetimeIndex(times, tz="UTC").tz_convert(self.tz).tz_localize(None).to_numpy()

    def local(self, times: Times) -> Times:
        """Grid times as a clock on the wall shows them: what calendar features are made of."""
        if self.tz is None or self.wall_clock or times.dtype.kind != "M":
            return times
        utc = pd.DatetimeIndex(times.ravel()).tz_localize("UTC")
        wall = utc.tz_convert(self.tz).tz_localize(None).to_numpy().astype("M8[us]")
        return wall.reshape(times.shape)

    def timestamps(self, times: Times) -> pd.Index:
        """Grid times as callers sent them: in their zone, or plain steps counted on."""
        if times.dtype.kind != "M":
            return pd.Index(times.ravel())
        index = pd.DatetimeIndex(times.ravel())
        if self.tz is None:
            return index
        if self.wall_clock:
            # A midnight that a clock change skips is moved on; of two, the first is meant.
            twice = np.ones(len(index), bool)
            return index.tz_localize(self.tz, nonexistent="shift_forward", ambiguous=twice)
        return index.tz_localize("UTC").tz_convert(self.tz)

    def missing(self) -> Ints:
        """`(N,)` how many steps of each series hold no value."""
        return self.lengths - stretch_sums(self.observed, self.offsets, self.lengths).astype(np.int64)

    def is_nonnegative(self) -> bool:
        """Whether no value of these series is negative."""
        return not stretch_sums(self.values < 0, self.offsets, self.lengths).any()

    def warnings(self, series: int) -> list[str]:
        """What the caller should know of one series before trusting its forecast."""
        observed = self.observed[self.offsets[series] : self.offsets[series] + self.lengths[series]]
        missing = np.flatnonzero(~observed)
        if not len(missing):
            return []
        first = self.timestamps(self.frequency.advance(self.starts[[series]], missing[:1]))[0]
        count = "1 missing value" if len(missing) == 1 else f"{len(missing)} missing values, the first"
        return [f"{count} at {first}: masked, not filled in"]

    def tail(self, steps: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """The last `steps` steps of every series: values and observed mask, `(N, steps)` each.

        Steps before a series' start are not observed.
        """
        positions = self.lengths[:, None] + np.arange(-steps, 0)
        inside = positions >= 0
        index = self.offsets[:, None] + np.where(inside, positions, 0)
        observed = self.observed[index] & inside
        return np.where(observed, self.values[index], np.float32(0)), observed


def stretch_sums(values: npt.NDArray[Any], begin: Ints, lengths: Ints) -> npt.NDArray[np.float64]:
    """Sums over stretches of a flat array, each by itself: one huge value does not drown the others' sums.

    Works through the array piece by piece: sums in double precision would else need several times its memory.

    Args:
        values: `(P,)`.
        begin: `(N,)` where each stretch begins; what lies outside the array is not counted.
        lengths: `(N,)` its length, 0 or more.

    Returns:
        `(N,)` sums, 0 for an empty stretch.
    """
    sums = np.zeros(len(begin))
    for start in range(0, len(values), PIECE):
        piece = values[start : start + PIECE]
        low, high = (np.clip(bound - start, 0, len(piece)) for bound in (begin, begin + lengths))
        some = high > low
        # reduceat works from each index to the next: every other stretch is ours. The zero lets the last one close.
        bounds = np.stack((low[some], high[some]), axis=1).ravel()
        if len(bounds):
            closed = np.append(piece, piece.dtype.type(0))
            sums[some] += np.add.reduceat(closed, bounds, dtype=np.float64)[::2]
    return sums
