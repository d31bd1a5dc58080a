"""How often each caller may ask: a token bucket."""

import math
import time
from collections.abc import Callable

MOST_BUCKETS = 10_000


class RateLimit:
    """A bucket of `burst` requests for each caller, refilled at a rate.

    Args:
        per_second: Requests a second in the long run.
        burst: Requests at once, when nothing was asked for a while.
        clock: Seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst, self._clock = per_second, burst, clock
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was so

    def take(self, caller: str) -> float:
        """Count a request.

        Returns:
            0 if it may pass; otherwise the seconds until the next may, and this one is not counted.
        """
        now = self._clock()
        left, then = self._buckets.get(caller, (float(self.burst), now))
        left = min(left + (now - then) * self.per_second, float(self.burst))
        if left < 1:
            return (1 - left) / self.per_second
        if len(self._buckets) >= MOST_BUCKETS:
            self._forget(now)
        self._buckets[caller] = left - 1, now
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again; if all are in use, the half that has rested longest."""
        full = self.burst / self.per_second
        recent = sorted(self._buckets.items(), key=lambda bucket: bucket[1][1])[MOST_BUCKETS // 2 :]
        self._buckets = {caller: (left, then) for caller, (left, then) in recent if now - then < full}


def whole_seconds(seconds: float) -> str:
    """For `Retry-After`, which knows no fractions."""
    return str(max(math.ceil(seconds), 1))
