"""How far a search is: a bar on a terminal, and a line for each trial that ended everywhere."""

import time
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipelines.tune.report import METRICS
from pipelines.tune.study import State
from pipelines.tune.trial import Outcome


class SearchProgress:
    """Shows trials as they end, the best so far and the time left.

    Args:
        console: Where to.
        metric: What trials are compared by.
        trials: How many there will be.
        done: How many there are already.
        seconds: How long the search may take at the most.
    """

    def __init__(self, console: Console, metric: str, trials: int, done: int, seconds: float | None) -> None:
        self.console, self.metric, self.trials, self.seconds = console, metric, trials, seconds
        self._done, self._before = done, done
        self._started = time.monotonic()
        self._bar = Progress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=trials, completed=done, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def ended(self, number: int, outcome: Outcome, best: float | None, counts: dict[State, int]) -> None:
        """A trial ended.

        Args:
            number: Which.
            outcome: How.
            best: The least error so far.
            counts: How many trials ended how.
        """
        if outcome.state == "stopped":
            return
        self._done += 1
        self._bar.update(self._task, completed=self._done, state=self._state(best, counts))
        name = METRICS[self.metric]
        if outcome.state == "complete":
            error = outcome.metrics[self.metric]
            text = f"{name} {error:.4f}" + (", the best so far" if error == best else "")
        else:
            text = f"{'given up' if outcome.state == 'pruned' else 'failed'}: {outcome.reason}"
        left = "" if self.console.is_terminal else f" ({self._done} of {self.trials}, {self._left()})"
        self.console.print(f"trial {number}: {escape(text)}{left}", highlight=False)

    def _state(self, best: float | None, counts: dict[State, int]) -> str:
        parts = [f"{counts['pruned']} given up", f"{counts['failed']} failed", self._left()]
        if best is not None:
            parts.insert(0, f"best {METRICS[self.metric]} {best:.4f}")
        return ", ".join(parts)

    def _left(self) -> str:
        """The time left, by the pace so far and by the clock."""
        passed = time.monotonic() - self._started
        left = passed / max(1, self._done - self._before) * (self.trials - self._done)
        if self.seconds is not None:
            left = min(left, max(0.0, self.seconds - passed))
        return f"about {left / 60:.0f} min left" if left > 120 else f"about {left:.0f} s left"
