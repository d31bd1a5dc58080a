"""Steps of a time grid in words: axes have units that a person knows."""

from typing import Any

import pandas as pd

from forecast.calendar import DAY, HOUR, MINUTE, MONTHLY, SECOND, WEEK, Frequency

FIXED = ((WEEK, "week"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))
MONTHS = ((12, "year"), (3, "quarter"), (1, "month"))


def step_name(frequency: Frequency, plural: bool = False) -> str:
    """One step in words, "hour" or "step of 30 minutes"; in the plural "hours" or "steps of 30 minutes"."""
    count, unit = _in_units(frequency, 1)
    if count == 1:
        return f"{unit}s" if plural else unit
    one = f"{count} {unit}s"
    return f"steps of {one}" if plural else f"step of {one}"


def duration(frequency: Frequency, steps: int) -> str:
    """So many steps in words, in the largest unit that they fill: 48 hours are "2 days"."""
    count, unit = _in_units(frequency, steps)
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def clock(time: Any) -> str:
    """A time as a clock on the wall shows it, without seconds that are 0, or a step's number."""
    if not isinstance(time, pd.Timestamp):
        return str(time)
    wall = time.tz_localize(None)
    return f"{wall:%Y-%m-%d}" if wall == wall.normalize() else f"{wall:%Y-%m-%d %H:%M}"


def _in_units(frequency: Frequency, steps: int) -> tuple[int, str]:
    total = frequency.size * steps
    units = FIXED if frequency.kind == "fixed" else MONTHS if frequency.kind in MONTHLY else ()
    for size, name in units:
        if total % size == 0:
            return total // size, name
    return total, "business day" if frequency.kind == "business-day" else "step"
