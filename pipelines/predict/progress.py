"""How far a prediction is: a bar with the time left on a terminal, plain lines elsewhere."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 3


class SeriesProgress:
    """Shows how many series are done, how many a second, and the time left.

    Args:
        console: Where to.
        total: Series in all.
        done: Those that are done already.
    """

    def __init__(self, console: Console, total: int, done: int = 0) -> None:
        self.console, self.total, self.done = console, total, done
        self._before = done
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("series, {task.fields[rate]:,.0f}/s, left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("forecast", total=total, completed=done, rate=0.0)
        self._started = self._last = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int) -> None:
        """So many series are done."""
        self.done = done
        now = time.monotonic()
        rate = (self.done - self._before) / max(now - self._started, 1e-6)
        self._bar.update(self._task, completed=self.done, rate=rate)
        if not self.console.is_terminal and now - self._last > SECONDS_BETWEEN_LINES:
            self._last = now
            left = (self.total - self.done) / rate
            self.console.print(
                f"forecast {self.done:,} of {self.total:,} series, {rate:,.0f}/s, about {left:.0f} s left"
            )
