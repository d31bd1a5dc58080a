"""The short way to a table: series of which the grid and the start are known have nothing to find and to place."""

from datetime import timedelta, tzinfo

import numpy as np
import numpy.typing as npt

from forecast.calendar import DAY, Frequency, Ints, Times
from forecast.series import EARLIEST, LARGEST_STEP, LATEST
from forecast.table import SeriesTable
from forecast.values import LARGEST


def lay_out_gapless(
    item_ids: npt.NDArray[np.object_],
    target: npt.NDArray[np.floating],
    lengths: Ints,
    starts: Times,
    frequency: Frequency,
    tz: tzinfo | None = None,
) -> SeriesTable | None:
    """Series with a value for each step of a grid whose steps are equally long, as `lay_out` would lay them out.

    Args:
        item_ids: `(N,)` names, each its own.
        target: `(P,)` values, NaN where missing, all series one after the other.
        lengths: `(N,)` how many of each, one at least.
        starts: `(N,)` time of each series' first step: UTC or zoneless microseconds, or plain step numbers.
        frequency: The grid.
        tz: The zone that the times came in, of one offset all year.

    Returns:
        The table; None for another kind of grid, and where something is wrong: `lay_out` says what.
    """
    if frequency.kind not in ("fixed", "step"):
        return None
    offset = tz.utcoffset(None) if tz else None
    wall_clock = bool(offset) and frequency.kind == "fixed" and frequency.size % DAY == 0
    low, high = (EARLIEST, LATEST) if frequency.kind == "fixed" else (-LARGEST_STEP, LARGEST_STEP)
    ends = frequency.advance(starts, lengths - 1)
    offsets = np.cumsum(lengths) - lengths
    missing = np.isnan(target)
    gaps = missing.any()
    sound = (
        starts.min() >= low
        and ends.max() <= high
        and not (np.abs(target) > LARGEST).any()
        and not (gaps and np.logical_and.reduceat(missing, offsets).any())
    )
    if not sound:
        return None
    values = target.astype(np.float32)
    if gaps:
        values[missing] = 0
    if wall_clock:
        starts = starts + np.timedelta64(offset or timedelta(0), "us")
    return SeriesTable(item_ids, values, ~missing, offsets, lengths, starts, frequency, tz, wall_clock)
