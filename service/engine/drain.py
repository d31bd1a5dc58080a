"""How long the work in hand will take, from how long passes took."""

DECAY = 0.98  # of a pass's weight with each later one: about the last fifty count
OVERHEAD = 30  # windows that take as long as a pass as such, as long as passes tell nothing of it


class PassTimes:
    """A running least-squares fit: a pass over n windows takes `slope * n + intercept` seconds.

    Attributes:
        slope: Seconds for one window more; 0 until something is known.
        intercept: Seconds for a pass as such.
    """

    def __init__(self) -> None:
        self.slope, self.intercept = 0.0, 0.0
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)  # of 1, x, y, xx and xy, x being windows and y seconds

    def add(self, windows: int, seconds: float) -> None:
        """Learn from a pass."""
        new = (1.0, windows, seconds, windows**2, windows * seconds)
        self._sums = weight, x, y, xx, xy = tuple(  # type: ignore[assignment]
            DECAY * old + one for old, one in zip(self._sums, new, strict=True)
        )
        x, y, xx, xy = x / weight, y / weight, xx / weight, xy / weight
        spread = xx - x**2
        # Passes of one size say nothing of the slope: then a pass as such is taken to cost as much as some windows.
        slope = (xy - x * y) / spread if spread > 1e-3 * x**2 else y / (x + OVERHEAD)
        self.slope = min(max(slope, 0.0), y / x)  # no part takes less than no time
        self.intercept = y - self.slope * x

    def seconds(self, windows: int, most: int) -> float:
        """How long so many windows take, in passes of `most` at the most."""
        return self.slope * windows + self.intercept * -(-windows // most)
